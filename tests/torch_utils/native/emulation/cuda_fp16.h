#pragma once
#include <immintrin.h>

#include "qualifiers.h"

struct __half {
    unsigned short bits;
};
inline float __half2float(__half h) { return _cvtsh_ss(h.bits); }
inline __half __float2half_rn(float f) { return {(unsigned short)_cvtss_sh(f, 0)}; }
