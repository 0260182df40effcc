// Reading and writing several neighbouring numbers at once on the GPU.
#pragma once

#include <cuda_runtime.h>

#include "numbers.h"

namespace steergan {

constexpr int kThreads = 256;

// N numbers, moved as one when N > 1; their address must be a multiple of their size.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
    T item[N];
};

// How many numbers of type T make 16 bytes.
template <class T>
constexpr int kPackSize = 16 / sizeof(T);

template <int N, class T, class W>
__device__ __forceinline__ void load(const T* from, W (&to)[N]) {
    Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
    for (int i = 0; i < N; i++) to[i] = W(widen(pack.item[i]));
}

template <int N, class T, class W>
__device__ __forceinline__ void store(const W (&from)[N], T* to) {
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i++) narrow(from[i], pack.item[i]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// Whether runs of `run` numbers, all beginning at multiples of `run` from the addresses, can be moved in packs.
template <class T, class... Pointers>
bool packs_fit(int64_t run, Pointers... pointers) {
    uintptr_t bits = (uintptr_t(0) | ... | reinterpret_cast<uintptr_t>(pointers));
    return run % kPackSize<T> == 0 && bits % 16 == 0;
}

inline int64_t blocks_for(int64_t items, int per_block) { return (items + per_block - 1) / per_block; }

}  // namespace steergan
