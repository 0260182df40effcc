// Convolution of channels_last float images with 3x3 filters by minimal filtering, F(4x4, 3x3) (Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016): a quarter of the multiplications, rounded to about 1e-5 of the
// largest result, where a plain sum has 3e-7.
#pragma once

#include <cstdint>

#include "modulation.h"

namespace steergan {

constexpr int kWinogradTile = 4;                         // pixels of the result along a side of a tile
constexpr int kWinogradPatch = kWinogradTile + 2;        // of the input
constexpr int kWinogradPoints = kWinogradPatch * kWinogradPatch;

// Channels are multiples of kLanes.
struct Winograd {
    int64_t images, height, width, in, out;  // in, out: channels
};

// x [N, H, W, in], filters [36, out / kLanes, in, kLanes] -> y [N, H, W, out].
void launch_winograd(const Winograd& a, const Modulation& m, const float* x, const float* filters, float* y);

}  // namespace steergan
