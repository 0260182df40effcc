// Convolution of channels_last float images with 3x3 filters by minimal filtering, F(4x4, 3x3) (Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016): a quarter of the multiplications, rounded to about 1e-5 of the
// largest result, where a plain sum has 3e-7.
//
// What a modulated convolution does to its input and result is done on the way, so that each is visited once:
//     y = clip(gain * act(out_scale * conv(x * in_scale) + noise + bias), -clamp, clamp)
#pragma once

#include <cstdint>

#include "bias_act.h"

namespace steergan {

constexpr int kWinogradTile = 4;                         // pixels of the result along a side of a tile
constexpr int kWinogradPatch = kWinogradTile + 2;        // of the input
constexpr int kWinogradPoints = kWinogradPatch * kWinogradPatch;
constexpr int kWinogradLanes = 16;                       // channels are a multiple of these

struct Winograd {
    int64_t images, height, width, in, out;  // in, out: channels
    Activation act;
    float alpha, gain, clamp;
    bool noise_per_sample;
};

// x [N, H, W, in], filters [36, out / 16, in, 16], in_scale [N, in], out_scale [N, out], noise [N or 1, H, W], bias [out]
// (the last four may be null) -> y [N, H, W, out].
void launch_winograd(
    const Winograd& a, const float* x, const float* filters, const float* in_scale, const float* out_scale,
    const float* noise, const float* bias, float* y);

}  // namespace steergan
