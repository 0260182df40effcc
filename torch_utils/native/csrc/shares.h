// How threads share a convolution: blocks of tiles, and for each of them groups of the result's channels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"

namespace steergan {

struct Range {
    int64_t first, count;
};

// The i-th of `shares` about equal ones.
inline Range share(int64_t size, int64_t i, int64_t shares) {
    int64_t first = size * i / shares;
    return {first, size * (i + 1) / shares - first};
}

// Blocks have about so many tiles. Where not all threads would get one, they share the channels of its result, and each
// has to read only the filters of its own. Results do not depend on that.
struct Shares {
    int64_t channels, groups, blocks;  // blocks: so many that all threads have equally many

    Shares(int64_t tiles, int64_t in_block, int64_t channels, int64_t threads) : channels(channels) {
        int64_t full = std::max<int64_t>(tiles / in_block, 1);
        groups = std::min((threads + full - 1) / full, channels / kLanes);
        int64_t at_once = threads / groups;
        blocks = std::max(full, at_once) / at_once * at_once;
    }
    int64_t count() const { return groups * blocks; }
    Range block(int64_t i, int64_t size) const { return share(size, i / groups, blocks); }
    Range group(int64_t i) const {
        Range vectors = share(channels / kLanes, i % groups, groups);
        return {vectors.first * kLanes, vectors.count * kLanes};
    }
};

}  // namespace steergan
