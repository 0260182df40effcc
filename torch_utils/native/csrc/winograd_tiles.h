// What convolutions of F(4x4, 3x3) have in common: how images are cut into tiles, and how these are spread out.
#pragma once

#include "lanes.h"
#include "winograd.h"

namespace steergan {

constexpr int64_t kGap = 5 * kLineFloats;  // between points, which would else share the sets of a cache

struct Place {
    int64_t n, y, x;  // of a tile's first pixel in the image
};

// The tiles of all images, counted row by row.
struct Tiling {
    int64_t images, height, width, down, across;

    explicit Tiling(const Winograd& a)
        : images(a.images), height(a.height), width(a.width), down((a.height + kWinogradTile - 1) / kWinogradTile),
          across((a.width + kWinogradTile - 1) / kWinogradTile) {}

    int64_t count() const { return images * down * across; }
    Place place(int64_t tile) const {
        int64_t in_image = tile % (down * across);
        return {tile / (down * across), in_image / across * kWinogradTile, in_image % across * kWinogradTile};
    }
    // Where the pixels of a square begin whose first one is at (y, x): `outside` for those that the image lacks.
    template <int Side>
    void pixels(const float* image, int64_t channels, Place at, const float* outside, const float** found) const {
        for (int p = 0; p < Side * Side; p++) {
            int64_t y = at.y + p / Side, x = at.x + p % Side;
            bool inside = y >= 0 && y < height && x >= 0 && x < width;
            found[p] = inside ? image + ((at.n * height + y) * width + x) * channels : outside;
        }
    }
    // The same of a tile with the pixel around it.
    void patch(const float* image, int64_t channels, Place at, const float* outside, const float** found) const {
        pixels<kWinogradPatch>(image, channels, {at.n, at.y - 1, at.x - 1}, outside, found);
    }
};

// Transforms a row or column of an image, whose values are `step` from each other.
inline void spread_pixels(const Lanes* d, int step, Lanes* to, int to_step) {
    Lanes d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    Lanes even = d4 - 4 * d2, odd = d3 - 4 * d1, even2 = d4 - d2, odd2 = 2 * (d3 - d1);
    to[0] = 4 * d0 - 5 * d2 + d4;
    to[to_step] = even + odd;
    to[2 * to_step] = even - odd;
    to[3 * to_step] = even2 + odd2;
    to[4 * to_step] = even2 - odd2;
    to[5 * to_step] = 4 * d1 - 5 * d3 + d5;
}

// A patch of one vector of channels: pixels[36] from channel c on, times `scale`, to points[36].
inline void spread_patch(const float* const* pixels, int64_t c, Lanes scale, Lanes* points) {
    alignas(kLine) Lanes columns[kWinogradPoints];
    for (int x = 0; x < kWinogradPatch; x++) {
        alignas(kLine) Lanes column[kWinogradPatch];
        for (int y = 0; y < kWinogradPatch; y++) column[y] = load(pixels[y * kWinogradPatch + x] + c) * scale;
        round_now(column);  // so that images scaled beforehand give the same
        spread_pixels(column, 1, columns + x, kWinogradPatch);
    }
    for (int y = 0; y < kWinogradPatch; y++) {
        spread_pixels(columns + y * kWinogradPatch, 1, points + y * kWinogradPatch, 1);
    }
}

}  // namespace steergan
