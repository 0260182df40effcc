// bias_act on the CPU: one pass over memory each, in slices that threads share out.

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "bias_act.h"

namespace steergan {
namespace {

// A channels_last pixel: parameters change along the inner loop, which runs over channels; noise is the same for all.
template <class W>
struct PixelRow {
    const W *scale, *bias;
    W noise, strength;
    Local<W> operator[](int64_t i) const { return {scale[i], noise * strength + bias[i]}; }
};

// Pixels of one channel: only noise changes along the inner loop.
template <class W>
struct ChannelRow {
    W scale, bias;
    const W* noise;
    W strength;
    Local<W> operator[](int64_t i) const { return {scale, noise[i] * strength + bias}; }
};

// Parameters with stand-ins for the missing ones: 1 for scale and strength, or what is given for them.
template <class W>
class Filled {
  public:
    Filled(const BiasAct& a, Parameters p, W factor = 1)
        : ones_(p.scale ? 0 : a.channels, factor),
          zeros_(std::max(p.bias ? 0 : a.channels, p.noise ? 0 : slice_pixels(a)), W(0)),
          scale_(p.scale ? static_cast<const W*>(p.scale) : ones_.data()),
          noise_(p.noise ? static_cast<const W*>(p.noise) : nullptr),
          bias_(p.bias ? static_cast<const W*>(p.bias) : zeros_.data()),
          strength_(p.strength ? *static_cast<const W*>(p.strength) : factor),
          scale_step_(p.scale ? a.channels : 0),
          noise_step_(p.noise_per_sample ? a.pixels : 0) {}

    PixelRow<W> at_pixel(int64_t n, int64_t p) const {
        return {scale_ + n * scale_step_, bias_, noise_ ? noise_[n * noise_step_ + p] : W(0), strength_};
    }
    ChannelRow<W> at_channel(int64_t n, int64_t c, int64_t p) const {
        const W* noise = noise_ ? noise_ + n * noise_step_ + p : zeros_.data();
        return {scale_[n * scale_step_ + c], bias_[c], noise, strength_};
    }

  private:
    std::vector<W> ones_, zeros_;
    const W *scale_, *noise_, *bias_;
    W strength_;
    int64_t scale_step_, noise_step_;
};

struct Slice {
    int64_t index, n, first, last;  // of all slices; its sample, its pixels
};

template <class F>
void for_each_slice(const BiasAct& a, const F& f) {
    int64_t each = slice_pixels(a), per_sample = slices(a);
    int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, each * a.channels));
    at::parallel_for(0, a.samples * per_sample, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t first = i % per_sample * each;
            f(Slice{i, i / per_sample, first, std::min(first + each, a.pixels)});
        }
    });
}

// ---- forward

template <Kind K, class T, class Row>
void apply_row(const Curve<K, Wide<T>>& curve, Row row, const T* __restrict x, T* __restrict y, int64_t size) {
#pragma omp simd
    for (int64_t i = 0; i < size; i++) {
        Local<Wide<T>> at = row[i];
        narrow(curve.value(widen(x[i]) * at.scale + at.shift), y[i]);
    }
}

template <Kind K, class T>
void apply(const BiasAct& a, const Curve<K, Wide<T>>& curve, const T* x, Parameters given, T* y) {
    Filled<Wide<T>> parameters(a, given);
    for_each_slice(a, [&](Slice s) {
        if (a.channels_last) {
            for (int64_t p = s.first; p < s.last; p++) {
                int64_t at = (s.n * a.pixels + p) * a.channels;
                apply_row(curve, parameters.at_pixel(s.n, p), x + at, y + at, a.channels);
            }
        } else {
            for (int64_t c = 0; c < a.channels; c++) {
                int64_t at = (s.n * a.channels + c) * a.pixels + s.first;
                apply_row(curve, parameters.at_channel(s.n, c, s.first), x + at, y + at, s.last - s.first);
            }
        }
    });
}

// ---- derivatives: what to compute at an element, then how to walk and sum

template <bool FromOutput, Kind K, class T>
struct FirstOrder {
    using W = Wide<T>;
    Curve<K, W> curve;
    const T *g, *ref;
    T* gx;

    template <class Row>
    Terms<W> operator()(int64_t at, int64_t i, const Row& row, const Row&) const {
        Terms<W> t = grad_terms<FromOutput>(curve, W(widen(g[at + i])), W(widen(ref[at + i])), row[i]);
        narrow(t.x, gx[at + i]);
        return t;
    }
};

template <bool FromOutput, Kind K, class T>
struct SecondOrder {
    using W = Wide<T>;
    Curve<K, W> curve;
    const T *vx, *g, *ref;
    T *dg, *dx;

    template <class Row>
    Terms<W> operator()(int64_t at, int64_t i, const Row& row, const Row& v) const {
        Terms<W> t = grad_grad_terms<FromOutput>(
            curve, W(widen(vx[at + i])), W(widen(g[at + i])), W(widen(ref[at + i])), row[i], v[i]);
        narrow(t.g, dg[at + i]);
        if (!FromOutput) narrow(t.x, dx[at + i]);
        return t;
    }
};

constexpr int kLanes = 16;  // partial sums side by side, so that the compiler may use vectors

template <class W>
W sum_of(const W* lanes) {
    W total = 0;
    for (int l = 0; l < kLanes; l++) total += lanes[l];
    return total;
}

// One channels_last pixel: adds to the sums of each channel, returns its sum over channels.
template <class W, class Order, class Row>
W pixel_terms(const Order& order, int64_t at, Row row, Row v, W* __restrict scale, W* __restrict shift, int64_t size) {
    W lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
#pragma omp simd
        for (int l = 0; l < kLanes; l++) {
            Terms<W> t = order(at, i + l, row, v);
            scale[i + l] += t.scale;
            shift[i + l] += t.shift;
            lanes[l] += t.shift;
        }
    }
    for (; i < size; i++) {
        Terms<W> t = order(at, i, row, v);
        scale[i] += t.scale;
        shift[i] += t.shift;
        lanes[0] += t.shift;
    }
    return sum_of(lanes);
}

// Pixels of one channel: the two sums of the channel, and adds to that for strength.
template <class W, class Order, class Row>
void channel_terms(const Order& order, int64_t at, Row row, Row v, W& scale, W& strength, W& shift, int64_t size) {
    W scales[kLanes] = {}, shifts[kLanes] = {}, strengths[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
#pragma omp simd
        for (int l = 0; l < kLanes; l++) {
            Terms<W> t = order(at, i + l, row, v);
            scales[l] += t.scale;
            shifts[l] += t.shift;
            strengths[l] += t.shift * row.noise[i + l];
        }
    }
    for (; i < size; i++) {
        Terms<W> t = order(at, i, row, v);
        scales[0] += t.scale;
        shifts[0] += t.shift;
        strengths[0] += t.shift * row.noise[i];
    }
    scale = sum_of(scales);
    shift = sum_of(shifts);
    strength += sum_of(strengths);
}

// Returns the sum for strength.
template <class W, class Order>
W slice_terms(
    const BiasAct& a, Slice s, const Order& order, const Filled<W>& parameters, const Filled<W>& v, W* scale,
    W* shift) {
    W strength = 0;
    if (a.channels_last) {
        for (int64_t p = s.first; p < s.last; p++) {
            int64_t at = (s.n * a.pixels + p) * a.channels;
            PixelRow<W> row = parameters.at_pixel(s.n, p);
            strength += row.noise * pixel_terms<W>(order, at, row, v.at_pixel(s.n, p), scale, shift, a.channels);
        }
    } else {
        for (int64_t c = 0; c < a.channels; c++) {
            int64_t at = (s.n * a.channels + c) * a.pixels + s.first;
            channel_terms<W>(
                order, at, parameters.at_channel(s.n, c, s.first), v.at_channel(s.n, c, s.first), scale[c], strength,
                shift[c], s.last - s.first);
        }
    }
    return strength;
}

// Sums are made whether asked for or not: the pass is bound by memory.
template <class W, class Order>
void derive(const BiasAct& a, const Order& order, Parameters p, Parameters v, Sums sums) {
    v.noise = p.noise, v.noise_per_sample = p.noise_per_sample;
    Filled<W> parameters(a, p), directions(a, v, 0);
    for_each_slice(a, [&](Slice s) {
        std::vector<W> scale(a.channels, W(0)), shift(a.channels, W(0));
        W strength = slice_terms(a, s, order, parameters, directions, scale.data(), shift.data());
        auto keep = [&](const std::vector<W>& from, void* to) {
            if (to != nullptr) std::copy(from.begin(), from.end(), static_cast<W*>(to) + s.index * a.channels);
        };
        keep(scale, sums.scale);
        keep(shift, sums.shift);
        if (sums.strength != nullptr) static_cast<W*>(sums.strength)[s.index] = strength;
    });
}

// ---- from run-time values to templates

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
    if (a.type == Type::float64) return with_kind<double>(a, f);
    if (a.type == Type::bfloat16) return with_kind<BFloat16>(a, f);
    with_kind<float>(a, f);
}

template <bool FromOutput>
void grad(const BiasAct& a, const void* g, const void* ref, Parameters p, void* gx, Sums sums) {
    with_type(a, [&](auto type, auto curve) {
        using T = decltype(type);
        FirstOrder<FromOutput, decltype(curve)::kind, T> order{curve, (const T*)g, (const T*)ref, (T*)gx};
        derive<Wide<T>>(a, order, p, Parameters{}, sums);
    });
}

template <bool FromOutput>
void grad_grad(
    const BiasAct& a, const void* vx, Parameters v, const void* g, const void* ref, Parameters p, void* dg, void* dx,
    Sums sums) {
    with_type(a, [&](auto type, auto curve) {
        using T = decltype(type);
        SecondOrder<FromOutput, decltype(curve)::kind, T> order{
            curve, (const T*)vx, (const T*)g, (const T*)ref, (T*)dg, (T*)dx};
        derive<Wide<T>>(a, order, p, v, sums);
    });
}

}  // namespace

void launch_bias_act(const BiasAct& a, const void* x, Parameters p, void* y, void*) {
    with_type(a, [&](auto type, auto curve) {
        using T = decltype(type);
        apply(a, curve, (const T*)x, p, (T*)y);
    });
}

void launch_bias_act_grad(const BiasAct& a, const void* g, const void* ref, Parameters p, void* gx, Sums sums, void*) {
    a.from_output ? grad<true>(a, g, ref, p, gx, sums) : grad<false>(a, g, ref, p, gx, sums);
}

void launch_bias_act_grad_grad(
    const BiasAct& a, const void* vx, Parameters v, const void* g, const void* ref, Parameters p, void* dg, void* dx,
    Sums sums, void*) {
    a.from_output ? grad_grad<true>(a, vx, v, g, ref, p, dg, dx, sums)
                  : grad_grad<false>(a, vx, v, g, ref, p, dg, dx, sums);
}

}  // namespace steergan
