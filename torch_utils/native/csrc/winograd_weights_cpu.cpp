// Weights' gradient on the CPU. With y = A' [(G w G') * (B' x B)] A for each tile, it is
// G' [sum of (B' x B) * (A g A')] G: blocks of tiles are spread out, multiplied point by point, and the sums of all
// blocks are gathered once.

#include "winograd_weights.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "shares.h"
#include "winograd_tiles.h"

namespace steergan {
namespace {

constexpr int kTile = kWinogradTile, kPoints = kWinogradPoints, kPatch = kWinogradPatch, kTaps = 3;
constexpr int kDown = kLanes == 16 ? 8 : 4, kAlong = 3;  // rows and vectors summed in registers
constexpr int64_t kLeast = 32, kMost = 256;              // tiles in a block
static_assert(kLanes % kDown == 0);

// ---- transforms of one row or column, at `step` from each other

inline void spread_gradient(const Lanes* g, int step, Lanes* to, int to_step) {
    Lanes g0 = g[0], g1 = g[step], g2 = g[2 * step], g3 = g[3 * step];
    Lanes even = g0 + g2, odd = g1 + g3, even2 = g0 + 4 * g2, odd2 = 2 * (g1 + 4 * g3);
    to[0] = g0;
    to[to_step] = even + odd;
    to[2 * to_step] = even - odd;
    to[3 * to_step] = even2 + odd2;
    to[4 * to_step] = even2 - odd2;
    to[5 * to_step] = g3;
}

inline void gather_taps(const Lanes* m, int step, Lanes* to, int to_step) {
    Lanes sum = m[step] + m[2 * step], difference = m[2 * step] - m[step];
    Lanes sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    to[0] = 0.25f * m[0] - sum / 6.0f + sum2 / 24.0f;
    to[to_step] = difference / 6.0f + difference2 / 12.0f;
    to[2 * to_step] = (sum2 - sum) / 6.0f + m[5 * step];
}

// ---- products

// c[r, :] (+)= sum over k of a[k, r] * b[k, :], for kDown rows and Vectors vectors. Both are held vector by vector.
template <int Vectors>
void multiply_few(const float* a, const float* b, float* c, int64_t depth, int64_t width, bool is_first) {
    Lanes sums[kDown][Vectors] = {};
    for (int64_t k = 0; k < depth; k++) {
        Lanes row[Vectors];
        for (int j = 0; j < Vectors; j++) row[j] = load(b + (j * depth + k) * kLanes);
        for (int r = 0; r < kDown; r++) {
            Lanes factor = all(a[k * kLanes + r]);
            for (int j = 0; j < Vectors; j++) sums[r][j] += factor * row[j];
        }
    }
    for (int r = 0; r < kDown; r++) {
        for (int j = 0; j < Vectors; j++) {
            float* to = c + r * width + j * kLanes;
            store(is_first ? sums[r][j] : load(to) + sums[r][j], to);
        }
    }
}

// All rows; a [rows / kLanes, depth, kLanes].
template <int Vectors>
void multiply_all(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t width, bool is_first) {
    for (int64_t r = 0; r < rows; r += kDown) {
        const float* from = a + r / kLanes * depth * kLanes + r % kLanes;
        multiply_few<Vectors>(from, b, c + r * width, depth, width, is_first);
    }
}

// ---- all of it

class Weights {
  public:
    Weights(const Winograd& a, const float* x, const float* g)
        : a_(a), x_(x), g_(g), tiling_(a), blocks_(at::divup(tiling_.count(), most(a))),
          x_step_(at::divup(tiling_.count(), blocks_) * a.in + kGap),
          g_step_(at::divup(tiling_.count(), blocks_) * a.out + kGap), sum_step_(a.out * a.in + kGap),
          x_spread_(kPoints * x_step_), g_spread_(kPoints * g_step_), sums_(kPoints * sum_step_),
          zeros_(std::max(a.in, a.out), 0.0f) {}

    void run(float* weights) {
        for (int64_t i = 0; i < blocks_; i++) {
            Range tiles = share(tiling_.count(), i, blocks_);
            at::parallel_for(0, tiles.count, 1, [&](int64_t begin, int64_t end) {
                for (int64_t t = begin; t < end; t++) spread_tile(tiles, t);
            });
            multiply_block(tiles.count, i == 0);
        }
        at::parallel_for(0, a_.out, 1, [&](int64_t begin, int64_t end) {
            for (int64_t o = begin; o < end; o++) gather_filters(o, weights + o * a_.in * kTaps * kTaps);
        });
    }

  private:
    // So many tiles that spreading them out moves about as much memory as adding to the sums does.
    static int64_t most(const Winograd& a) {
        return std::clamp(2 * a.in * a.out / (a.in + a.out), kLeast, kMost);
    }

    void spread_tile(Range tiles, int64_t t) {
        Place at = tiling_.place(tiles.first + t);
        const float *patch[kPoints], *tile[kTile * kTile];
        tiling_.patch(x_, a_.in, at, zeros_.data(), patch);
        tiling_.pixels<kTile>(g_, a_.out, at, zeros_.data(), tile);
        alignas(kLine) Lanes points[kPoints], columns[kTile * kPatch];
        for (int64_t c = 0; c < a_.in; c += kLanes) {
            spread_patch(patch, c, all(1.0f), points);
            for (int p = 0; p < kPoints; p++) {
                store(points[p], x_spread_.get() + p * x_step_ + c * tiles.count + t * kLanes);
            }
        }
        for (int64_t c = 0; c < a_.out; c += kLanes) {
            alignas(kLine) Lanes pixels[kTile * kTile];
            for (int i = 0; i < kTile * kTile; i++) pixels[i] = load(tile[i] + c);
            for (int x = 0; x < kTile; x++) spread_gradient(pixels + x, kTile, columns + x, kTile);
            for (int y = 0; y < kPatch; y++) spread_gradient(columns + y * kTile, 1, points + y * kPatch, 1);
            for (int p = 0; p < kPoints; p++) {
                store(points[p], g_spread_.get() + p * g_step_ + c * tiles.count + t * kLanes);
            }
        }
    }

    void multiply_block(int64_t depth, bool is_first) {
        int64_t vectors = a_.in / kLanes, shares = at::divup(vectors, kAlong);
        at::parallel_for(0, kPoints * shares, 1, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
                Range along = share(vectors, i % shares, shares);
                multiply_point(i / shares, along, depth, is_first);
            }
        });
    }

    void multiply_point(int64_t p, Range vectors, int64_t depth, bool is_first) {
        const float* a = g_spread_.get() + p * g_step_;
        const float* b = x_spread_.get() + p * x_step_ + vectors.first * depth * kLanes;
        float* c = sums_.get() + p * sum_step_ + vectors.first * kLanes;
        switch (vectors.count) {
            case 1: return multiply_all<1>(a, b, c, a_.out, depth, a_.in, is_first);
            case 2: return multiply_all<2>(a, b, c, a_.out, depth, a_.in, is_first);
            default: return multiply_all<kAlong>(a, b, c, a_.out, depth, a_.in, is_first);
        }
    }

    // The filters of one output.
    void gather_filters(int64_t o, float* to) {
        for (int64_t c = 0; c < a_.in; c += kLanes) {
            alignas(kLine) Lanes points[kPoints], columns[kTaps * kPatch], taps[kTaps * kTaps];
            for (int p = 0; p < kPoints; p++) points[p] = load(sums_.get() + p * sum_step_ + o * a_.in + c);
            for (int x = 0; x < kPatch; x++) gather_taps(points + x, kPatch, columns + x, kPatch);
            for (int y = 0; y < kTaps; y++) gather_taps(columns + y * kPatch, 1, taps + y * kTaps, 1);
            for (int t = 0; t < kTaps * kTaps; t++) {
                for (int i = 0; i < kLanes; i++) to[(c + i) * kTaps * kTaps + t] = taps[t][i];
            }
        }
    }

    const Winograd& a_;
    const float *x_, *g_;
    Tiling tiling_;
    int64_t blocks_;
    int64_t x_step_, g_step_, sum_step_;  // from point to point
    Buffer x_spread_, g_spread_, sums_;
    std::vector<float> zeros_;
};

}  // namespace

void launch_winograd_weights(const Winograd& a, const float* x, const float* g, float* weights) {
    Weights(a, x, g).run(weights);
}

}  // namespace steergan
