// Filters of 3x3 taps, spread out to the points of minimal filtering: for winograd.h, or for winograd_up.h.
#pragma once

#include <cstdint>

namespace steergan {

constexpr int kFilterTaps = 3;  // along a side

// Weights [out, in, 3, 3] with these strides, `taps` from the first tap in the order in which they meet the image.
struct Taps {
    const float* taps;
    int64_t out, in;
    int64_t out_step, in_step, row_step, column_step;
};

// -> filters [36, out / kLanes, in, kLanes], rounded once: what lies between is float64. out: a multiple of kLanes.
void launch_winograd_filters(const Taps& w, bool enlarging, float* filters);

}  // namespace steergan
