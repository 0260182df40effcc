// Enlarging convolution of channels_last float images: a transposed convolution with 3x3 filters and stride 2 by
// minimal filtering, then a FIR filter of 4x4 taps, band by band, so that what lies between them stays in the cache.
//
// Along one axis the transposed convolution is t[2i] = w0 x[i] + w2 x[i - 1] and t[2i + 1] = w1 x[i]. Tiles of four
// inputs make four results of either kind: the even ones by F(4, 2) at the points 0, 1, -1, 2 and infinity, with five
// products, the odd ones with four; that is 81 products in two dimensions, where there are 144 without. They take 6 x 6
// different filters: five points and w1 along each axis. Rounded to about 3e-6 of the largest result.
#pragma once

#include <cstdint>

#include "modulation.h"

namespace steergan {

constexpr int kWinogradUpFilters = 6 * 6;
constexpr int kWinogradUpTaps = 4;

// Channels are multiples of kLanes; height and width are those of the input.
struct WinogradUp {
    int64_t images, height, width, in, out;
};

// x [N, H, W, in], filters [36, out / kLanes, in, kLanes], taps [4, 4] in the order in which they meet the image
// -> y [N, 2 H, 2 W, out]; t is padded by one pixel around.
void launch_winograd_up(
    const WinogradUp& a, const Modulation& m, const float* x, const float* filters, const float* taps, float* y);

}  // namespace steergan
