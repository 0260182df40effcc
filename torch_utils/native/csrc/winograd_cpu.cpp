// Minimal filtering on the CPU: blocks of tiles that stay in the cache, each spread out to 36 points, multiplied with
// the filters point by point, and gathered again.

#include "winograd.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "shares.h"
#include "winograd_tiles.h"

namespace steergan {
namespace {

constexpr int kTile = kWinogradTile, kPatch = kWinogradPatch, kPoints = kWinogradPoints;
constexpr int kToWrite = 1;
// About: few enough to stay in the cache, many for each reading of the filters.
constexpr int64_t kBlockTiles = kRows == 14 ? 28 : 30;

// Transforms a row or column of products, at `step` from each other.
inline void gather(const Lanes* m, int step, Lanes* to, int to_step) {
    Lanes sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
    Lanes sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    to[0] = m[0] + sum + sum2;
    to[to_step] = difference + 2 * difference2;
    to[2 * to_step] = sum + 4 * sum2;
    to[3 * to_step] = difference + 8 * difference2 + m[5 * step];
}

// ---- a block of tiles

template <Kind K>
class Block {
  public:
    // of at most so many tiles
    Block(const Winograd& a, const Modulation& m, const float* x, const float* filters, float* y, int64_t most)
        : a_(a),
          modulated_(m, a.in, a.out, a.height * a.width),
          x_(x),
          filters_(filters),
          y_(y),
          tiling_(a),
          spread_step_(most * a.in + kGap),
          products_step_(most * a.out + kGap),
          spread_(kPoints * spread_step_),
          products_(kPoints * products_step_),
          zeros_(a.in, 0.0f) {}

    void run(Range tiles, Range channels) {
        for (int64_t i = 0; i < tiles.count; i++) {
            spread_tile(tiling_.place(tiles.first + i), spread_.get() + i * a_.in);
        }
        for (int p = 0; p < kPoints; p++) {
            multiply(spread_.get() + p * spread_step_, filters_ + (p * a_.out + channels.first) * a_.in,
                     products_.get() + p * products_step_, tiles.count, a_.in, channels.count);
        }
        for (int64_t i = 0; i < tiles.count; i++) {
            gather_tile(tiling_.place(tiles.first + i), products_.get() + i * channels.count, channels);
        }
    }

  private:
    void spread_tile(Place at, float* to) {
        const float *scales = modulated_.in_scales(at.n), *pixels[kPoints];
        tiling_.patch(x_, a_.in, at, zeros_.data(), pixels);
        for (int64_t c = 0; c < a_.in; c += kLanes) {
            alignas(kLine) Lanes points[kPoints];
            spread_patch(pixels, c, load(scales + c), points);
            for (int p = 0; p < kPoints; p++) store(points[p], to + p * spread_step_ + c);
        }
    }

    void gather_tile(Place at, const float* from, Range channels) {
        for (int64_t c = 0; c < channels.count; c += kLanes) {
            alignas(kLine) Lanes points[kPoints], columns[kTile * kPatch], pixels[kTile * kTile];
            for (int p = 0; p < kPoints; p++) points[p] = load(from + p * products_step_ + c);
            for (int x = 0; x < kPatch; x++) gather(points + x, kPatch, columns + x, kPatch);
            for (int y = 0; y < kTile; y++) gather(columns + y * kPatch, 1, pixels + y * kTile, 1);
            finish(at, channels.first + c, pixels);
        }
    }

    // The tile's pixels of a vector of channels to where they belong.
    void finish(Place at, int64_t c, const Lanes* pixels) {
        Lanes scale = load(modulated_.out_scales(at.n) + c), bias = load(modulated_.biases() + c);
        for (int j = 0; j < kTile && at.y + j < a_.height; j++) {
            for (int i = 0; i < kTile && at.x + i < a_.width; i++) {
                int64_t pixel = (at.y + j) * a_.width + at.x + i;
                Lanes sum = pixels[j * kTile + i] * scale + (bias + modulated_.noise(at.n, pixel));
                float* to = y_ + (at.n * a_.height * a_.width + pixel) * a_.out + c;
                store(modulated_.activate(sum), to);
                __builtin_prefetch(to + kTile * a_.out, kToWrite);  // of the next tile
            }
        }
    }

    const Winograd& a_;
    Modulated<K> modulated_;
    const float *x_, *filters_;
    float* y_;
    Tiling tiling_;
    int64_t spread_step_, products_step_;  // from point to point
    Buffer spread_, products_;
    std::vector<float> zeros_;
};

template <Kind K>
void convolve(const Winograd& a, const Modulation& m, const float* x, const float* filters, float* y) {
    int64_t tiles = Tiling(a).count();
    Shares shares(tiles, kBlockTiles, a.out, at::get_num_threads());
    at::parallel_for(0, shares.count(), 1, [&](int64_t begin, int64_t end) {
        Block<K> block(a, m, x, filters, y, at::divup(tiles, shares.blocks));
        for (int64_t i = begin; i < end; i++) block.run(shares.block(i, tiles), shares.group(i));
    });
}

}  // namespace

void launch_winograd(const Winograd& a, const Modulation& m, const float* x, const float* filters, float* y) {
    switch (kind_of(m.act)) {
        case Kind::linear: return convolve<Kind::linear>(a, m, x, filters, y);
        case Kind::lrelu: return convolve<Kind::lrelu>(a, m, x, filters, y);
        default: return convolve<Kind::any>(a, m, x, filters, y);
    }
}

}  // namespace steergan
