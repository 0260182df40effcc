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

template <class T>
struct Task {
    Axis x, y;
    int64_t inner, packs, total;  // packs of a pixel; threads with work
    int strips;                   // of rows, in an image
    const T* from;
    const Wide<T>* taps;
    T* to;
};

// Any factors and filter; Up, Down 0: known at run time only.
template <int N, int Up, int Down, class T>
__device__ void resample_pixel(const Task<T>& t, const Wide<T>* taps, int64_t image, int oy, int ox, int64_t channel) {
    using W = Wide<T>;
    Axis x = t.x, y = t.y;
    if (Up > 0) x.up = y.up = Up;
    if (Down > 0) x.down = y.down = Down;
    Window across = window(x, ox), along = window(y, oy);
    W sum[N] = {};
    for (int j = 0; j < along.count; j++) {
        const T* row = t.from + ((image * y.size + along.sample + j) * x.size + across.sample) * t.inner + channel;
        const W* tap = taps + (along.tap + j * y.up) * x.taps + across.tap;
        for (int i = 0; i < across.count; i++) {
            W pixel[N];
            load<N>(row + i * t.inner, pixel);
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += tap[i * x.up] * pixel[k];
        }
    }
    store<N>(sum, t.to + ((image * y.size_out + oy) * x.size_out + ox) * t.inner + channel);
}

// A filter of Taps x Taps without resampling: Rows rows of the result from Rows + Taps - 1 rows of the image.
template <int N, int Taps, int Rows, class T>
__device__ void filter_strip(const Task<T>& t, const Wide<T>* taps, int64_t image, int oy, int ox, int64_t channel) {
    using W = Wide<T>;
    W sums[Rows][N] = {};
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
    for (int i = threadIdx.x; i < t.x.taps * t.y.taps; i += kThreads) taps[i] = t.taps[i];
    __syncthreads();
    int64_t step = int64_t(gridDim.x) * kThreads;
    for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < t.total; i += step) {
        int64_t channel = i % t.packs * N, rest = i / t.packs;
        int ox = int(rest % t.x.size_out);
        rest /= t.x.size_out;
        int oy = int(rest % t.strips) * Rows;
        int64_t image = rest / t.strips;
        if constexpr (Rows > 1) {
            filter_strip<N, Taps, Rows>(t, taps, image, oy, ox, channel);
        } else {
            resample_pixel<N, Up, Down>(t, taps, image, oy, ox, channel);
        }
    }
}

template <int N, int Up, int Down, int Taps, int Rows, class T>
void start(Task<T> t, const Upfirdn2d& a, cudaStream_t stream) {
    t.packs = a.inner / N;
    t.strips = (a.y.size_out + Rows - 1) / Rows;
    t.total = a.images * t.strips * a.x.size_out * t.packs;
    int64_t blocks = blocks_for(t.total, kThreads);
    resample<N, Up, Down, Taps, Rows><<<unsigned(blocks < kMaxBlocks ? blocks : kMaxBlocks), kThreads, 0, stream>>>(t);
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
    Task<T> t{a.x, a.y, a.inner, 0, 0, 0, static_cast<const T*>(x), static_cast<const Wide<T>*>(taps), static_cast<T*>(y)};
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
