// bias_act on NVIDIA GPUs. No torch headers: nvcc alone compiles this.
//
// Every kernel gives a block one slice: some pixels of one sample. In channels_last images threads lie along channels
// first, then along pixels; otherwise a block takes one channel of the slice, and threads lie along its pixels. Both
// ways neighbouring threads touch neighbouring memory, sums over pixels stay within a block, and no sum depends on
// the order in which blocks run.

#include "bias_act.h"
#include "vectors.cuh"

namespace steergan {
namespace {

// What all threads know. Missing parameters are 1, 0 and 0; those of a direction (second order) are all 0.
template <class W>
struct Job {
    int64_t pixels;
    int channels, slice_pixels, slices, parts;
    const W *scale, *noise, *strength, *bias;
    int64_t noise_step;

    __device__ W scale_at(int64_t n, int c, W otherwise) const { return scale ? scale[n * channels + c] : otherwise; }
    __device__ W bias_at(int c) const { return bias ? bias[c] : W(0); }
    __device__ W noise_at(int64_t n, int64_t p) const { return noise ? noise[n * noise_step + p] : W(0); }
    __device__ W strength_or(W otherwise) const { return strength ? *strength : otherwise; }
};

template <class W>
Job<W> make_job(const BiasAct& a, Parameters p) {
    return {a.pixels, int(a.channels), int(slice_pixels(a)), int(slices(a)), int(parts(a)), (const W*)p.scale,
            (const W*)p.noise, (const W*)p.strength, (const W*)p.bias, p.noise_per_sample ? a.pixels : 0};
}

// ---- what is computed for a pack of N elements at memory position `at`

template <Kind K, class T>
struct Forward {
    using Type = T;
    using W = Wide<T>;
    Curve<K, W> curve;
    const T* x;
    T* y;

    template <int N>
    __device__ void run(int64_t at, const Local<W> (&here)[N], const Local<W> (&)[N], Terms<W> (&)[N]) const {
        W in[N], out[N];
        load<N>(x + at, in);
#pragma unroll
        for (int i = 0; i < N; i++) out[i] = curve.value(in[i] * here[i].scale + here[i].shift);
        store<N>(out, y + at);
    }
};

template <bool FromOutput, Kind K, class T>
struct FirstOrder {
    using Type = T;
    using W = Wide<T>;
    Curve<K, W> curve;
    const T *g, *ref;
    T* gx;

    template <int N>
    __device__ void run(int64_t at, const Local<W> (&here)[N], const Local<W> (&)[N], Terms<W> (&terms)[N]) const {
        W dy[N], u[N], dx[N];
        load<N>(g + at, dy);
        load<N>(ref + at, u);
#pragma unroll
        for (int i = 0; i < N; i++) {
            terms[i] = grad_terms<FromOutput>(curve, dy[i], u[i], here[i]);
            dx[i] = terms[i].x;
        }
        store<N>(dx, gx + at);
    }
};

template <bool FromOutput, Kind K, class T>
struct SecondOrder {
    using Type = T;
    using W = Wide<T>;
    Curve<K, W> curve;
    const T *vx, *g, *ref;
    T *dg, *dx;  // dx: null where the result was kept

    template <int N>
    __device__ void run(int64_t at, const Local<W> (&here)[N], const Local<W> (&v)[N], Terms<W> (&terms)[N]) const {
        W moved[N], dy[N], u[N], for_g[N], for_x[N];
        load<N>(vx + at, moved);
        load<N>(g + at, dy);
        load<N>(ref + at, u);
#pragma unroll
        for (int i = 0; i < N; i++) {
            terms[i] = grad_grad_terms<FromOutput>(curve, moved[i], dy[i], u[i], here[i], v[i]);
            for_g[i] = terms[i].g;
            for_x[i] = terms[i].x;
        }
        store<N>(for_g, dg + at);
        if (dx != nullptr) store<N>(for_x, dx + at);
    }
};

// ---- walking: gradients and sums over pixels

// Adds up `value` over the threads whose number leaves the same remainder by `width` (a power of two).
template <class W>
__device__ W sum_over_rows(W value, W* shared, int width) {
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = kThreads / 2; half >= width; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    W total = shared[threadIdx.x % width];
    __syncthreads();
    return total;
}

// channels_last: block (slice, group of width * N channels, sample).
template <int N, class Step>
__global__ void __launch_bounds__(kThreads) along_channels(
    Step step, Job<typename Step::W> job, Job<typename Step::W> v, int width, Sums sums) {
    using W = typename Step::W;
    __shared__ W shared[kThreads];
    int64_t n = blockIdx.z;
    int c = (blockIdx.y * width + threadIdx.x % width) * N;
    int64_t first = int64_t(blockIdx.x) * job.slice_pixels;
    int64_t last = min(first + job.slice_pixels, job.pixels);
    bool inside = c < job.channels;
    W strength = job.strength_or(1), v_strength = v.strength_or(0), strengths = 0;
    W scale[N] = {}, bias[N] = {}, v_scale[N] = {}, v_bias[N] = {}, scales[N] = {}, shifts[N] = {};
    for (int i = 0; inside && i < N; i++) {
        scale[i] = job.scale_at(n, c + i, W(1)), bias[i] = job.bias_at(c + i);
        v_scale[i] = v.scale_at(n, c + i, W(0)), v_bias[i] = v.bias_at(c + i);
    }
    for (int64_t p = first + threadIdx.x / width; inside && p < last; p += kThreads / width) {
        W noise = job.noise_at(n, p);
        Local<W> here[N], there[N];
        Terms<W> terms[N] = {};
#pragma unroll
        for (int i = 0; i < N; i++) {
            here[i] = {scale[i], noise * strength + bias[i]};
            there[i] = {v_scale[i], noise * v_strength + v_bias[i]};
        }
        step.template run<N>((n * job.pixels + p) * job.channels + c, here, there, terms);
#pragma unroll
        for (int i = 0; i < N; i++) {
            scales[i] += terms[i].scale, shifts[i] += terms[i].shift, strengths += noise * terms[i].shift;
        }
    }
    int64_t slice = n * job.slices + blockIdx.x, row = slice * job.channels + c;
    bool first_row = threadIdx.x < width && inside;
    if (sums.scale != nullptr) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            W sum = sum_over_rows(scales[i], shared, width);
            if (first_row) ((W*)sums.scale)[row + i] = sum;
        }
    }
    if (sums.shift != nullptr) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            W sum = sum_over_rows(shifts[i], shared, width);
            if (first_row) ((W*)sums.shift)[row + i] = sum;
        }
    }
    if (sums.strength != nullptr) {
        W sum = sum_over_rows(strengths, shared, 1);
        for (int part = blockIdx.y; part < job.parts && threadIdx.x == 0; part += gridDim.y) {
            ((W*)sums.strength)[slice * job.parts + part] = sum;
            sum = 0;  // there may be fewer blocks than parts
        }
    }
}

// Otherwise: block (slice, channel, sample).
template <int N, class Step>
__global__ void __launch_bounds__(kThreads) along_pixels(
    Step step, Job<typename Step::W> job, Job<typename Step::W> v, Sums sums) {
    using W = typename Step::W;
    __shared__ W shared[kThreads];
    int64_t n = blockIdx.z;
    int c = blockIdx.y;
    int64_t first = int64_t(blockIdx.x) * job.slice_pixels;
    int64_t last = min(first + job.slice_pixels, job.pixels);
    W scale = job.scale_at(n, c, W(1)), bias = job.bias_at(c), v_scale = v.scale_at(n, c, W(0)), v_bias = v.bias_at(c);
    W strength = job.strength_or(1), v_strength = v.strength_or(0);
    W scales = 0, shifts = 0, strengths = 0;
    for (int64_t p = first + threadIdx.x * N; p < last; p += kThreads * N) {
        W noise[N];
        Local<W> here[N], there[N];
        Terms<W> terms[N] = {};
#pragma unroll
        for (int i = 0; i < N; i++) {
            noise[i] = job.noise_at(n, p + i);
            here[i] = {scale, noise[i] * strength + bias};
            there[i] = {v_scale, noise[i] * v_strength + v_bias};
        }
        step.template run<N>((n * job.channels + c) * job.pixels + p, here, there, terms);
#pragma unroll
        for (int i = 0; i < N; i++) {
            scales += terms[i].scale, shifts += terms[i].shift, strengths += noise[i] * terms[i].shift;
        }
    }
    int64_t at = (n * job.slices + blockIdx.x) * job.channels + c;  // a channel is a part
    if (sums.scale != nullptr) {
        W sum = sum_over_rows(scales, shared, 1);
        if (threadIdx.x == 0) ((W*)sums.scale)[at] = sum;
    }
    if (sums.shift != nullptr) {
        W sum = sum_over_rows(shifts, shared, 1);
        if (threadIdx.x == 0) ((W*)sums.shift)[at] = sum;
    }
    if (sums.strength != nullptr) {
        W sum = sum_over_rows(strengths, shared, 1);
        if (threadIdx.x == 0) ((W*)sums.strength)[at] = sum;
    }
}

// ---- launching

inline int width_for(int64_t packs) {
    int width = 1;
    while (width < packs && width < kThreads) width *= 2;
    return width;
}

// Gradients and sums over pixels, or values.
template <int N, class Step, class W>
void walk(const BiasAct& a, const Step& step, const Job<W>& job, const Job<W>& v, Sums sums, cudaStream_t stream) {
    dim3 grid(unsigned(slices(a)), 1, unsigned(a.samples));
    if (a.channels_last) {
        int width = width_for(blocks_for(a.channels, N));
        grid.y = unsigned(blocks_for(a.channels, width * N));
        along_channels<N><<<grid, kThreads, 0, stream>>>(step, job, v, width, sums);
    } else {
        grid.y = unsigned(a.channels);
        along_pixels<N><<<grid, kThreads, 0, stream>>>(step, job, v, sums);
    }
}

template <class Step, class W>
void walk(const BiasAct& a, const Step& step, const Job<W>& job, const Job<W>& v, Sums sums, bool packed, void* on) {
    constexpr int N = kPackSize<typename Step::Type>;
    auto stream = static_cast<cudaStream_t>(on);
    packed ? walk<N>(a, step, job, v, sums, stream) : walk<1>(a, step, job, v, sums, stream);
}

// Runs of memory that one pack must not cross.
int64_t run_length(const BiasAct& a) {
    if (a.channels_last) return a.channels;
    return a.pixels % 16 == 0 && slice_pixels(a) % 16 == 0 ? 16 : 1;
}

template <class T, class F>
void with_kind(const BiasAct& a, const F& f) {
    using W = Wide<T>;
    W alpha(a.alpha), gain(a.gain), clamp(a.clamp);
    switch (kind_of(a.act)) {
        case Kind::linear: return f(T{}, Curve<Kind::linear, W>{a.act, alpha, gain, clamp});
        case Kind::lrelu: return f(T{}, Curve<Kind::lrelu, W>{a.act, alpha, gain, clamp});
        case Kind::any: return f(T{}, Curve<Kind::any, W>{a.act, alpha, gain, clamp});
    }
}

template <class F>
void with_type(const BiasAct& a, const F& f) {
    switch (a.type) {
        case Type::float32: return with_kind<float>(a, f);
        case Type::float64: return with_kind<double>(a, f);
        case Type::float16: return with_kind<__half>(a, f);
        case Type::bfloat16: return with_kind<__nv_bfloat16>(a, f);
    }
}

template <bool FromOutput>
void grad(const BiasAct& a, const void* g, const void* ref, Parameters p, void* gx, Sums sums, void* on) {
    with_type(a, [&](auto type, auto curve) {
        using T = decltype(type);
        using Step = FirstOrder<FromOutput, decltype(curve)::kind, T>;
        auto job = make_job<Wide<T>>(a, p), none = make_job<Wide<T>>(a, Parameters{});
        bool packed = packs_fit<T>(run_length(a), g, ref, gx);
        walk(a, Step{curve, (const T*)g, (const T*)ref, (T*)gx}, job, none, sums, packed, on);
    });
}

template <bool FromOutput>
void grad_grad(
    const BiasAct& a, const void* vx, Parameters v, const void* g, const void* ref, Parameters p, void* dg, void* dx,
    Sums sums, void* on) {
    with_type(a, [&](auto type, auto curve) {
        using T = decltype(type);
        using Step = SecondOrder<FromOutput, decltype(curve)::kind, T>;
        auto job = make_job<Wide<T>>(a, p), along = make_job<Wide<T>>(a, v);
        bool packed = packs_fit<T>(run_length(a), vx, g, ref, dg, dx);
        Step step{curve, (const T*)vx, (const T*)g, (const T*)ref, (T*)dg, (T*)dx};
        walk(a, step, job, along, sums, packed, on);
    });
}

}  // namespace

void launch_bias_act(const BiasAct& a, const void* x, Parameters p, void* y, void* on) {
    with_type(a, [&](auto type, auto curve) {
        using T = decltype(type);
        auto job = make_job<Wide<T>>(a, p), none = make_job<Wide<T>>(a, Parameters{});
        Forward<decltype(curve)::kind, T> step{curve, (const T*)x, (T*)y};
        walk(a, step, job, none, Sums{}, packs_fit<T>(run_length(a), x, y), on);
    });
}

void launch_bias_act_grad(
    const BiasAct& a, const void* g, const void* ref, Parameters p, void* gx, Sums sums, void* on) {
    a.from_output ? grad<true>(a, g, ref, p, gx, sums, on) : grad<false>(a, g, ref, p, gx, sums, on);
}

void launch_bias_act_grad_grad(
    const BiasAct& a, const void* vx, Parameters v, const void* g, const void* ref, Parameters p, void* dg, void* dx,
    Sums sums, void* on) {
    a.from_output ? grad_grad<true>(a, vx, v, g, ref, p, dg, dx, sums, on)
                  : grad_grad<false>(a, vx, v, g, ref, p, dg, dx, sums, on);
}

}  // namespace steergan
