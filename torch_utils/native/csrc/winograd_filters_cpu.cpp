// Spreading filters out on the CPU. The 36 planes of the result are far apart, by a power of two as a rule: a few
// filters are made in the cache, and then written plane by plane.

#include "winograd_filters.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "lanes.h"

namespace steergan {
namespace {

constexpr int kTaps = kFilterTaps, kSide = 6, kPoints = kSide * kSide;
constexpr int64_t kAtOnce = 16;  // inputs

typedef double Wide __attribute__((vector_size(kLanes * sizeof(double))));

// How a row of three taps is spread out for F(4, 3) (Lavin and Gray 2016, section 4.2).
constexpr double kPlain[kSide][kTaps] = {
    {1.0 / 4, 0, 0},
    {-1.0 / 6, -1.0 / 6, -1.0 / 6},
    {-1.0 / 6, 1.0 / 6, -1.0 / 6},
    {1.0 / 24, 1.0 / 12, 1.0 / 6},
    {1.0 / 24, -1.0 / 12, 1.0 / 6},
    {0, 0, 1},
};

// The same for a transposed convolution with stride 2: F(4, 2) of its taps 2 and 0, which meet in even results, at the
// points 0, 1, -1, 2 and infinity; and its tap 1, which makes the odd ones.
constexpr double kEnlarging[kSide][kTaps] = {
    {0, 0, 1.0 / 2},
    {1.0 / 2, 0, 1.0 / 2},
    {1.0 / 6, 0, -1.0 / 6},
    {1.0 / 3, 0, 1.0 / 6},
    {1, 0, 0},
    {0, 1, 0},
};

template <bool Enlarging>
inline void spread(const Wide* taps, int step, Wide* to, int to_step) {
    constexpr auto& factors = Enlarging ? kEnlarging : kPlain;
    for (int i = 0; i < kSide; i++) {
        to[i * to_step] = factors[i][0] * taps[0] + factors[i][1] * taps[step] + factors[i][2] * taps[2 * step];
    }
}

// The filters from one input to as many outputs as a vector has.
template <bool Enlarging>
void spread_filters(const Taps& w, const float* first, float* to, int64_t plane) {
    Wide taps[kTaps * kTaps], columns[kSide * kTaps], points[kPoints];
    for (int t = 0; t < kTaps * kTaps; t++) {
        const float* from = first + t / kTaps * w.row_step + t % kTaps * w.column_step;
        for (int i = 0; i < kLanes; i++) taps[t][i] = from[i * w.out_step];
    }
    for (int x = 0; x < kTaps; x++) spread<Enlarging>(taps + x, kTaps, columns + x, kTaps);
    for (int y = 0; y < kSide; y++) spread<Enlarging>(columns + y * kTaps, 1, points + y * kSide, 1);
    for (int p = 0; p < kPoints; p++) store(__builtin_convertvector(points[p], Lanes), to + p * plane);
}

template <bool Enlarging>
void make(const Taps& w, float* filters) {
    int64_t groups = w.out / kLanes, pieces = at::divup(w.in, kAtOnce);
    at::parallel_for(0, groups * pieces, 1, [&](int64_t begin, int64_t end) {
        Buffer made(kPoints * kAtOnce * kLanes);
        for (int64_t i = begin; i < end; i++) {
            int64_t out = i / pieces * kLanes, in = i % pieces * kAtOnce, count = std::min(kAtOnce, w.in - in);
            for (int64_t k = 0; k < count; k++) {
                const float* first = w.taps + out * w.out_step + (in + k) * w.in_step;
                spread_filters<Enlarging>(w, first, made.get() + k * kLanes, kAtOnce * kLanes);
            }
            for (int p = 0; p < kPoints; p++) {
                float* to = filters + (p * w.out + out) * w.in + in * kLanes;
                std::memcpy(to, made.get() + p * kAtOnce * kLanes, count * kLanes * sizeof(float));
            }
        }
    });
}

}  // namespace

void launch_winograd_filters(const Taps& w, bool enlarging, float* filters) {
    return enlarging ? make<true>(w, filters) : make<false>(w, filters);
}

}  // namespace steergan
