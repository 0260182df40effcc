#pragma once
#include <cstdint>
#include <cstring>

#include "qualifiers.h"

struct __nv_bfloat16 {
    unsigned short bits;
};
inline float __bfloat162float(__nv_bfloat16 h) {
    uint32_t bits = uint32_t(h.bits) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}
inline __nv_bfloat16 __float2bfloat16_rn(float f) {
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    return {(unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
