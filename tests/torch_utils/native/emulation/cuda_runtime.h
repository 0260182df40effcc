// As much of CUDA as the kernels of csrc/ use, on the CPU: a thread of the system for each thread of a block, one
// block after the other. Slow, and good enough to run small cases of the very kernels that nvcc compiles.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#include "qualifiers.h"

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

typedef void* cudaStream_t;
inline thread_local dim3 threadIdx, blockIdx;
inline dim3 gridDim;
inline std::barrier<>* block_barrier;

using std::min;

inline void __syncthreads() { block_barrier->arrive_and_wait(); }

// For calls that all threads of a block make.
template <class W>
W __shfl_down_sync(unsigned, W value, int apart) {
    static W lanes[1024];
    lanes[threadIdx.x] = value;
    __syncthreads();
    W found = threadIdx.x % 32 + apart < 32 ? lanes[threadIdx.x + apart] : value;
    __syncthreads();
    return found;
}

template <class Kernel>
void emulate(dim3 grid, int threads, const Kernel& kernel) {
    std::barrier<> barrier(threads);
    block_barrier = &barrier;
    gridDim = grid;
    std::vector<std::thread> all;
    for (int t = 0; t < threads; t++) {
        all.emplace_back([&, t] {
            threadIdx.x = t;
            for (unsigned i = 0; i < grid.x * grid.y * grid.z; i++) {
                blockIdx = dim3(i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y);
                kernel();
                barrier.arrive_and_wait();
            }
        });
    }
    for (auto& thread : all) thread.join();
}
