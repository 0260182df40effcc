// upfirdn2d on NVIDIA GPUs. No torch headers: nvcc alone compiles this.
//
// A thread makes N neighbouring numbers (channels, in channels_last images) of a few rows of the result. The factors
// and the filter's size of the hot path are known to the compiler, so that its loops vanish; where nothing is resampled
// a thread makes several rows at once, each pixel read for all of them.

#include "upfirdn2d.h"
#include "vectors.cuh"

namespace steergan {
namespace {

constexpr int kMaxTaps = 1024;
constexpr int64_t kMaxImages = 65535;  // at once; a block then goes on to further ones

template <class T>
struct Task {
    Axis x, y;
    int64_t images, inner;
    unsigned packs, work;  // packs of a pixel; of an image, strips of rows by columns by packs
    const T* from;
    const Wide<T>* taps;
    bool flip;
    Wide<T> gain;
    T* to;
};

// Any factors, any filter.
template <int N, class T>
__device__ void resample_pixel(const Task<T>& t, const Wide<T>* taps, int64_t image, int oy, int ox, int64_t channel) {
    using W = Wide<T>;
    Window across = window(t.x, ox), along = window(t.y, oy);
    W sum[N] = {};
    for (int j = 0; j < along.count; j++) {
        const T* row = t.from + ((image * t.y.size + along.sample + j) * t.x.size + across.sample) * t.inner + channel;
        const W* tap = taps + (along.tap + j * t.y.up) * t.x.taps + across.tap;
        for (int i = 0; i < across.count; i++) {
            W pixel[N];
            load<N>(row + i * t.inner, pixel);
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += tap[i * t.x.up] * pixel[k];
        }
    }
    store<N>(sum, t.to + ((image * t.y.size_out + oy) * t.x.size_out + ox) * t.inner + channel);
}

// Factors and a filter of Taps x Taps that the compiler knows; Taps / Up of its taps meet a sample along each axis.
template <int N, int Up, int Down, int Taps, class T>
__device__ void resample_known(const Task<T>& t, const Wide<T>* taps, int64_t image, int oy, int ox, int64_t channel) {
    using W = Wide<T>;
    int top = oy * Down - t.y.pad, left = ox * Down - t.x.pad;
    int first_y = divide_up(top, Up), first_x = divide_up(left, Up);
    const W* tap = taps + (first_y * Up - top) * Taps + first_x * Up - left;
    const T* from = t.from + image * t.y.size * t.x.size * t.inner + channel;
    W sum[N] = {};
#pragma unroll
    for (int j = 0; j < Taps / Up; j++) {
#pragma unroll
        for (int i = 0; i < Taps / Up; i++) {
            int y = first_y + j, x = first_x + i;
            if (y < 0 || y >= t.y.size || x < 0 || x >= t.x.size) continue;
            W pixel[N];
            load<N>(from + (int64_t(y) * t.x.size + x) * t.inner, pixel);
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += tap[(j * Taps + i) * Up] * pixel[k];
        }
    }
    store<N>(sum, t.to + ((image * t.y.size_out + oy) * t.x.size_out + ox) * t.inner + channel);
}

// A filter of Taps x Taps without resampling: Rows rows of the result from Rows + Taps - 1 rows of the image.
template <int N, int Taps, int Rows, class T>
__device__ void filter_strip(const Task<T>& t, const Wide<T>* shared, int64_t image, int oy, int ox, int64_t channel) {
    using W = Wide<T>;
    W taps[Taps * Taps], sums[Rows][N] = {};
#pragma unroll
    for (int i = 0; i < Taps * Taps; i++) taps[i] = shared[i];  // in registers: stores are no reason to read them again
#pragma unroll
    for (int j = 0; j < Rows + Taps - 1; j++) {
        int iy = oy + j - t.y.pad;
        if (iy < 0 || iy >= t.y.size) continue;
        const T* row = t.from + (image * t.y.size + iy) * t.x.size * t.inner + channel;
#pragma unroll
        for (int i = 0; i < Taps; i++) {
            int ix = ox + i - t.x.pad;
            if (ix < 0 || ix >= t.x.size) continue;
            W pixel[N];
            load<N>(row + ix * t.inner, pixel);
#pragma unroll
            for (int r = 0; r < Rows; r++) {
                if (j - r < 0 || j - r >= Taps) continue;
#pragma unroll
                for (int k = 0; k < N; k++) sums[r][k] += taps[(j - r) * Taps + i] * pixel[k];
            }
        }
    }
#pragma unroll
    for (int r = 0; r < Rows; r++) {
        if (oy + r >= t.y.size_out) return;
        store<N>(sums[r], t.to + ((image * t.y.size_out + oy + r) * t.x.size_out + ox) * t.inner + channel);
    }
}

template <int N, int Up, int Down, int Taps, int Rows, class T>
__global__ void __launch_bounds__(kThreads) resample(Task<T> t) {
    __shared__ Wide<T> taps[Taps > 0 ? Taps * Taps : kMaxTaps];
    int count = t.x.taps * t.y.taps;
    for (int i = threadIdx.x; i < count; i += kThreads) taps[i] = t.gain * t.taps[t.flip ? count - 1 - i : i];
    __syncthreads();
    for (int64_t image = blockIdx.y; image < t.images; image += gridDim.y) {
        for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < t.work; i += gridDim.x * kThreads) {
            int64_t channel = int64_t(i % t.packs) * N;
            int ox = int(i / t.packs % t.x.size_out), oy = int(i / t.packs / t.x.size_out) * Rows;
            if constexpr (Rows > 1) {
                filter_strip<N, Taps, Rows>(t, taps, image, oy, ox, channel);
            } else if constexpr (Taps > 0) {
                resample_known<N, Up, Down, Taps>(t, taps, image, oy, ox, channel);
            } else {
                resample_pixel<N>(t, taps, image, oy, ox, channel);
            }
        }
    }
}

template <int N, int Up, int Down, int Taps, int Rows, class T>
void start(Task<T> t, const Upfirdn2d& a, cudaStream_t stream) {
    t.packs = unsigned(a.inner / N);
    t.work = unsigned((a.y.size_out + Rows - 1) / Rows * int64_t(a.x.size_out) * t.packs);
    dim3 grid(unsigned(blocks_for(t.work, kThreads)), unsigned(min(a.images, kMaxImages)));
    resample<N, Up, Down, Taps, Rows><<<grid, kThreads, 0, stream>>>(t);
}

template <int N, class T>
void choose(const Task<T>& t, const Upfirdn2d& a, cudaStream_t stream) {
    bool square = a.x.up == a.y.up && a.x.down == a.y.down && a.x.taps == 4 && a.y.taps == 4;
    if (square && a.x.up == 1 && a.x.down == 1) return start<N, 1, 1, 4, 4>(t, a, stream);
    if (square && a.x.up == 2 && a.x.down == 1) return start<N, 2, 1, 4, 1>(t, a, stream);
    if (square && a.x.up == 1 && a.x.down == 2) return start<N, 1, 2, 4, 1>(t, a, stream);
    start<N, 0, 0, 0, 1>(t, a, stream);
}

template <class T>
void run(const Upfirdn2d& a, const void* x, const void* taps, void* y, void* on) {
    auto factors = static_cast<const Wide<T>*>(taps);
    Task<T> t{a.x, a.y, a.images, a.inner, 0, 0, static_cast<const T*>(x), factors, a.flip,
              Wide<T>(a.gain), static_cast<T*>(y)};
    auto stream = static_cast<cudaStream_t>(on);
    if (packs_fit<T>(a.inner, x, y)) return choose<kPackSize<T>>(t, a, stream);
    choose<1>(t, a, stream);
}

}  // namespace

void launch_upfirdn2d(const Upfirdn2d& a, const void* x, const void* taps, void* y, void* on) {
    switch (a.type) {
        case Type::float32: return run<float>(a, x, taps, y, on);
        case Type::float64: return run<double>(a, x, taps, y, on);
        case Type::float16: return run<__half>(a, x, taps, y, on);
        case Type::bfloat16: return run<__nv_bfloat16>(a, x, taps, y, on);
    }
}

}  // namespace steergan
