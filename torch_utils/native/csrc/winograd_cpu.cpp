// Minimal filtering on the CPU: blocks of tiles that stay in the cache, each spread out to 36 points, multiplied with
// the filters point by point, and gathered again.

#include "winograd.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace steergan {
namespace {

constexpr int kTile = kWinogradTile, kPatch = kWinogradPatch, kPoints = kWinogradPoints, kLanes = kWinogradLanes;

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

inline Lanes load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline void store(Lanes value, float* to) { *reinterpret_cast<Lanes*>(to) = value; }
inline Lanes all(float value) { return Lanes{} + value; }

// Rows and vectors of the product that are summed in registers.
#ifdef __AVX512F__
constexpr int kRows = 6, kColumns = 4;
#else
constexpr int kRows = 3, kColumns = 2;
#endif
constexpr int64_t kGap = 5 * kLanes;         // between points, which would else share the sets of a cache
constexpr int kBlockRows = 48;               // tiles of a block, at most; a multiple of kRows
constexpr int64_t kBlockElements = 1 << 21;  // of a block's spread input and products, about

// ---- transforms of one row or column, at `step` from each other

inline void spread(const Lanes* d, int step, Lanes* to, int to_step) {
    Lanes d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    Lanes even = d4 - 4 * d2, odd = d3 - 4 * d1, even2 = d4 - d2, odd2 = 2 * (d3 - d1);
    to[0] = 4 * d0 - 5 * d2 + d4;
    to[to_step] = even + odd;
    to[2 * to_step] = even - odd;
    to[3 * to_step] = even2 + odd2;
    to[4 * to_step] = even2 - odd2;
    to[5 * to_step] = 4 * d1 - 5 * d3 + d5;
}

inline void gather(const Lanes* m, int step, Lanes* to, int to_step) {
    Lanes sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
    Lanes sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    to[0] = m[0] + sum + sum2;
    to[to_step] = difference + 2 * difference2;
    to[2 * to_step] = sum + 4 * sum2;
    to[3 * to_step] = difference + 8 * difference2 + m[5 * step];
}

// ---- products

// c[r, :] = sum over k of a[r, k] * b[k, :], for Rows rows and Columns vectors; b holds its columns vector by vector
template <int Rows, int Columns>
void multiply_few(const float* a, const float* b, float* c, int64_t depth, int64_t width) {
    Lanes sums[Rows][Columns] = {};
    for (int64_t k = 0; k < depth; k++) {
        Lanes row[Columns];
        for (int j = 0; j < Columns; j++) row[j] = load(b + (j * depth + k) * kLanes);
        for (int r = 0; r < Rows; r++) {
            Lanes factor = all(a[r * depth + k]);
            for (int j = 0; j < Columns; j++) sums[r][j] += factor * row[j];
        }
    }
    for (int r = 0; r < Rows; r++) {
        for (int j = 0; j < Columns; j++) store(sums[r][j], c + r * width + j * kLanes);
    }
}

template <int Columns>
void multiply_columns(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t width) {
    int64_t r = 0;
    for (; r + kRows <= rows; r += kRows) multiply_few<kRows, Columns>(a + r * depth, b, c + r * width, depth, width);
    for (; r < rows; r++) multiply_few<1, Columns>(a + r * depth, b, c + r * width, depth, width);
}

// a [rows, depth] times b [width / 16, depth, 16]
void multiply(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t width) {
    int64_t j = 0;
    for (; j + kColumns * kLanes <= width; j += kColumns * kLanes) {
        multiply_columns<kColumns>(a, b + j * depth, c + j, rows, depth, width);
    }
    for (; j < width; j += kLanes) multiply_columns<1>(a, b + j * depth, c + j, rows, depth, width);
}

// ---- a block of tiles

struct Tensors {
    const float *x, *filters, *in_scale, *out_scale, *noise, *bias;
    float* y;
};

struct Place {
    int64_t n, y, x;  // of a tile's first pixel in the input
};

template <Kind K>
class Block {
  public:
    Block(const Winograd& a, const Tensors& t, int64_t most)
        : a_(a),
          t_(t),
          curve_{a.act, a.alpha, a.gain, a.clamp},
          down_((a.height + kTile - 1) / kTile),
          across_((a.width + kTile - 1) / kTile),
          spread_step_(most * a.in + kGap),
          products_step_(most * a.out + kGap),
          spread_(new float[kPoints * spread_step_]),
          products_(new float[kPoints * products_step_]),
          zeros_(std::max(a.in, a.out), 0.0f),
          ones_(std::max(a.in, a.out), 1.0f) {}

    void run(int64_t first, int64_t count) {
        for (int64_t i = 0; i < count; i++) spread_tile(place(first + i), spread_.get() + i * a_.in);
        for (int p = 0; p < kPoints; p++) {
            multiply(spread_.get() + p * spread_step_, t_.filters + p * a_.in * a_.out,
                     products_.get() + p * products_step_, count, a_.in, a_.out);
        }
        for (int64_t i = 0; i < count; i++) gather_tile(place(first + i), products_.get() + i * a_.out);
    }

  private:
    Place place(int64_t tile) const {
        int64_t in_image = tile % (down_ * across_);
        return {tile / (down_ * across_), in_image / across_ * kTile, in_image % across_ * kTile};
    }

    void spread_tile(Place at, float* to) {
        const float* scales = t_.in_scale ? t_.in_scale + at.n * a_.in : ones_.data();
        const float* pixels[kPoints];
        for (int p = 0; p < kPoints; p++) {  // one pixel of padding around the image
            int64_t y = at.y + p / kPatch - 1, x = at.x + p % kPatch - 1;
            bool inside = y >= 0 && y < a_.height && x >= 0 && x < a_.width;
            pixels[p] = inside ? t_.x + ((at.n * a_.height + y) * a_.width + x) * a_.in : zeros_.data();
        }
        for (int64_t c = 0; c < a_.in; c += kLanes) {
            Lanes scale = load(scales + c), columns[kPoints], points[kPoints];
            for (int x = 0; x < kPatch; x++) {
                Lanes column[kPatch];
                for (int y = 0; y < kPatch; y++) column[y] = load(pixels[y * kPatch + x] + c) * scale;
                spread(column, 1, columns + x, kPatch);
            }
            for (int y = 0; y < kPatch; y++) spread(columns + y * kPatch, 1, points + y * kPatch, 1);
            for (int p = 0; p < kPoints; p++) store(points[p], to + p * spread_step_ + c);
        }
    }

    void gather_tile(Place at, const float* from) {
        for (int64_t c = 0; c < a_.out; c += kLanes) {
            Lanes points[kPoints], columns[kTile * kPatch], pixels[kTile * kTile];
            for (int p = 0; p < kPoints; p++) points[p] = load(from + p * products_step_ + c);
            for (int x = 0; x < kPatch; x++) gather(points + x, kPatch, columns + x, kPatch);
            for (int y = 0; y < kTile; y++) gather(columns + y * kPatch, 1, pixels + y * kTile, 1);
            finish(at, c, pixels);
        }
    }

    // The tile's pixels of 16 channels to where they belong.
    void finish(Place at, int64_t c, const Lanes* pixels) {
        Lanes scale = load((t_.out_scale ? t_.out_scale + at.n * a_.out : ones_.data()) + c);
        Lanes bias = load((t_.bias ? t_.bias : zeros_.data()) + c);
        for (int j = 0; j < kTile && at.y + j < a_.height; j++) {
            for (int i = 0; i < kTile && at.x + i < a_.width; i++) {
                int64_t pixel = (at.y + j) * a_.width + at.x + i, image = at.n * a_.height * a_.width;
                float noise = t_.noise ? t_.noise[(a_.noise_per_sample ? image : 0) + pixel] : 0.0f;
                float values[kLanes], *to = t_.y + (image + pixel) * a_.out + c;
                store(pixels[j * kTile + i] * scale + (bias + noise), values);
#pragma omp simd
                for (int k = 0; k < kLanes; k++) to[k] = curve_.value(values[k]);
            }
        }
    }

    const Winograd& a_;
    const Tensors& t_;
    Curve<K, float> curve_;
    int64_t down_, across_;
    int64_t spread_step_, products_step_;  // from point to point
    std::unique_ptr<float[]> spread_, products_;
    std::vector<float> zeros_, ones_;
};

template <Kind K>
void convolve(const Winograd& a, const Tensors& t) {
    int64_t tiles = a.images * ((a.height + kTile - 1) / kTile) * ((a.width + kTile - 1) / kTile);
    int64_t fitting = kBlockElements / (kPoints * (a.in + a.out)) / kRows * kRows;
    int64_t most = std::min(tiles, std::clamp<int64_t>(fitting, 4 * kRows, kBlockRows));
    at::parallel_for(0, (tiles + most - 1) / most, 1, [&](int64_t begin, int64_t end) {
        Block<K> block(a, t, most);
        for (int64_t i = begin; i < end; i++) block.run(i * most, std::min(most, tiles - i * most));
    });
}

}  // namespace

void launch_winograd(
    const Winograd& a, const float* x, const float* filters, const float* in_scale, const float* out_scale,
    const float* noise, const float* bias, float* y) {
    Tensors t{x, filters, in_scale, out_scale, noise, bias, y};
    switch (kind_of(a.act)) {
        case Kind::linear: return convolve<Kind::linear>(a, t);
        case Kind::lrelu: return convolve<Kind::lrelu>(a, t);
        default: return convolve<Kind::any>(a, t);
    }
}

}  // namespace steergan
