// Number types of the operators, on either device: how they are stored, and what they are computed in.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define STEERGAN_INLINE __host__ __device__ __forceinline__
#else
#define STEERGAN_INLINE inline
#endif

namespace steergan {

enum class Type : int { float32, float64, float16, bfloat16 };

// A bfloat16 for compilers that have none.
struct BFloat16 {
    uint16_t bits;
};

// What a stored type is computed in: double for double, float for all others.
template <class T>
struct Computed {
    using type = float;
};
template <>
struct Computed<double> {
    using type = double;
};
template <class T>
using Wide = typename Computed<T>::type;

STEERGAN_INLINE float widen(float x) { return x; }
STEERGAN_INLINE double widen(double x) { return x; }

STEERGAN_INLINE float widen(BFloat16 x) {
    uint32_t bits = uint32_t(x.bits) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

STEERGAN_INLINE void narrow(float x, float& to) { to = x; }
STEERGAN_INLINE void narrow(double x, double& to) { to = x; }

// To the nearest, ties to even; the quiet bit keeps a NaN a NaN.
STEERGAN_INLINE void narrow(float x, BFloat16& to) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uint32_t nan = (bits >> 16) | 0x40u;
    to.bits = uint16_t(x != x ? nan : rounded);
}

#ifdef __CUDACC__
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ void narrow(float x, __half& to) { to = __float2half_rn(x); }
__device__ __forceinline__ void narrow(float x, __nv_bfloat16& to) { to = __float2bfloat16_rn(x); }
#endif

}  // namespace steergan
