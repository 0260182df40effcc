// The arithmetic of upfirdn2d: which pixels meet which taps.
//
// y[o] = sum over k of taps[k] * z[o * down + k - pad], z being x with up - 1 zeros after each sample; the same along
// both axes. Images are [images, height, width, inner]: inner counts the channels of channels_last images and is 1
// otherwise, when every channel is an image.
#pragma once

#include "numbers.h"

namespace steergan {

struct Axis {
    int up, down, pad, taps;
    int size, size_out;
};

// The taps that meet a sample at one output position: `count` of them, each `up` taps and one sample further.
struct Window {
    int tap, sample, count;
};

STEERGAN_INLINE int divide_up(int a, int b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }
STEERGAN_INLINE int divide_down(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

STEERGAN_INLINE Window window(const Axis& axis, int out) {
    int start = out * axis.down - axis.pad;  // under tap 0, on the upsampled grid
    int first = divide_up(start, axis.up);
    int last = divide_down(start + axis.taps - 1, axis.up);
    first = first > 0 ? first : 0;
    last = last < axis.size - 1 ? last : axis.size - 1;
    return {first * axis.up - start, first, last >= first ? last - first + 1 : 0};
}

struct Upfirdn2d {
    Type type;
    Axis x, y;
    int64_t images;
    int64_t inner;
    bool flip;     // the last tap meets the image first
    double gain;   // factor on the taps
};

// taps: [y.taps, x.taps] of the type that is computed in.
void launch_upfirdn2d(const Upfirdn2d& a, const void* x, const void* taps, void* y, void* stream);

}  // namespace steergan
