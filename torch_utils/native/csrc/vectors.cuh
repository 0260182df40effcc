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

// One store of 16 bytes; the compiler by itself takes apart what was put together of single numbers.
template <class P>
__device__ __forceinline__ void store_pack(const P& pack, void* to) {
#ifdef __CUDA_ARCH__
    if constexpr (sizeof(P) == 16) {
        uint32_t word[4];
        memcpy(word, &pack, 16);
        asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "r"(word[0]),
                     "r"(word[1]), "r"(word[2]), "r"(word[3])
                     : "memory");
        return;
    }
#endif
    *static_cast<P*>(to) = pack;
}

template <int N, class T, class W>
__device__ __forceinline__ void store(const W (&from)[N], T* to) {
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i++) narrow(from[i], pack.item[i]);
    store_pack(pack, to);
}

// Whether runs of `run` numbers, all beginning at multiples of `run` from the addresses, can be moved in packs.
template <class T, class... Pointers>
bool packs_fit(int64_t run, Pointers... pointers) {
    uintptr_t bits = (uintptr_t(0) | ... | reinterpret_cast<uintptr_t>(pointers));
    return run % kPackSize<T> == 0 && bits % 16 == 0;
}

inline int64_t blocks_for(int64_t items, int per_block) { return (items + per_block - 1) / per_block; }

}  // namespace steergan
