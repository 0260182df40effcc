// The arithmetic of bias_act: y = clip(gain * act(u), -clamp, clamp) with u = x * scale + noise * strength + bias.
//
// Images are N samples of C channels of P pixels, in either memory layout. scale is [N, C], noise [N or 1, P], strength
// one number, bias [C]; each may be missing. Noise is not differentiated, its strength is. Both devices compute one
// element with the functions below and differ only in how they walk over memory.
#pragma once

#include "numbers.h"

namespace steergan {

enum class Activation : int { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

constexpr double kSeluScale = 1.0507009873554805;
constexpr double kSeluAlpha = 1.6732632423543772;
constexpr double kSoftplusLinearAbove = 50;

using std::exp;
using std::expm1;
using std::log1p;
using std::tanh;

template <class W>
STEERGAN_INLINE W logistic(W u) {
    return W(1) / (W(1) + exp(-u));
}

template <class W>
STEERGAN_INLINE W activate(Activation act, W u, W alpha) {
    switch (act) {
        case Activation::linear: return u;
        case Activation::relu: return u > 0 ? u : W(0);
        case Activation::lrelu: return u > 0 ? u : u * alpha;
        case Activation::tanh: return tanh(u);
        case Activation::sigmoid: return logistic(u);
        case Activation::elu: return u > 0 ? u : expm1(u);
        case Activation::selu: return W(kSeluScale) * (u > 0 ? u : W(kSeluAlpha) * expm1(u));
        case Activation::softplus: return u > W(kSoftplusLinearAbove) ? u : log1p(exp(u));
        case Activation::swish: return u * logistic(u);
    }
    return u;
}

template <class W>
STEERGAN_INLINE W first_derivative(Activation act, W u, W alpha) {
    switch (act) {
        case Activation::linear: return W(1);
        case Activation::relu: return u > 0 ? W(1) : W(0);
        case Activation::lrelu: return u > 0 ? W(1) : alpha;
        case Activation::tanh: return W(1) - tanh(u) * tanh(u);
        case Activation::sigmoid: return logistic(u) * logistic(-u);
        case Activation::elu: return u > 0 ? W(1) : exp(u);
        case Activation::selu: return W(kSeluScale) * (u > 0 ? W(1) : W(kSeluAlpha) * exp(u));
        case Activation::softplus: return u > W(kSoftplusLinearAbove) ? W(1) : logistic(u);
        case Activation::swish: return logistic(u) * (W(1) + u * logistic(-u));
    }
    return W(1);
}

template <class W>
STEERGAN_INLINE W second_derivative(Activation act, W u, W alpha) {
    W s = logistic(u), r = logistic(-u);
    switch (act) {
        case Activation::tanh: return W(-2) * tanh(u) * (W(1) - tanh(u) * tanh(u));
        case Activation::sigmoid: return s * r * (r - s);
        case Activation::elu: return u > 0 ? W(0) : exp(u);
        case Activation::selu: return u > 0 ? W(0) : W(kSeluScale * kSeluAlpha) * exp(u);
        case Activation::softplus: return u > W(kSoftplusLinearAbove) ? W(0) : s * r;
        case Activation::swish: return s * r * (W(2) + u * (r - s));
        default: return W(0);
    }
}

// How the kernels are specialised: the activations of the hot path by themselves, all others together.
enum class Kind : int { linear, lrelu, any };

inline Kind kind_of(Activation act) {
    if (act == Activation::linear) return Kind::linear;
    return act == Activation::lrelu ? Kind::lrelu : Kind::any;
}

// An activation with its gain and clamp, and its derivatives with respect to u.
template <Kind K, class W>
struct Curve {
    static constexpr Kind kind = K;
    Activation act;
    W alpha, gain, clamp;

    STEERGAN_INLINE Activation which() const {
        if (K == Kind::linear) return Activation::linear;
        return K == Kind::lrelu ? Activation::lrelu : act;
    }
    STEERGAN_INLINE W scaled(W u) const { return gain * activate(which(), u, alpha); }
    STEERGAN_INLINE W value(W u) const {
        W y = scaled(u);
        return y > clamp ? clamp : (y < -clamp ? -clamp : y);
    }
    STEERGAN_INLINE bool limited(W y) const { return (y > clamp) | (y < -clamp); }
    STEERGAN_INLINE W slope(W u) const {
        W inside = gain * first_derivative(which(), u, alpha);
        return limited(scaled(u)) ? W(0) : inside;
    }
    STEERGAN_INLINE W curvature(W u) const {
        if (K != Kind::any) return W(0);
        W inside = gain * second_derivative(which(), u, alpha);
        return limited(scaled(u)) ? W(0) : inside;
    }
    // slope(u) from y = value(u), for linear, relu and lrelu with positive alpha and gain.
    STEERGAN_INLINE W slope_of_output(W y) const {
        W inside = gain * first_derivative(which(), y, alpha);
        return ((y >= clamp) | (y <= -clamp)) ? W(0) : inside;
    }
};

// The parameters that meet at one element; missing ones are 1, 0 and 0.
template <class W>
struct Local {
    W scale, shift;  // u = x * scale + shift, shift = noise * strength + bias
};

// What one element adds to the gradients: that of x, and its terms in the sums for scale, and for bias. The latter
// times noise is its term in the sum for strength.
template <class W>
struct Terms {
    W g, x, scale, shift;  // g is used by the second order only
};

// First order, for the gradient g of y. `ref` is x, or y when FromOutput (there is no scale then).
template <bool FromOutput, Kind K, class W>
STEERGAN_INLINE Terms<W> grad_terms(const Curve<K, W>& curve, W g, W ref, Local<W> at) {
    W slope = FromOutput ? curve.slope_of_output(ref) : curve.slope(ref * at.scale + at.shift);
    W through = g * slope;
    return {W(0), through * at.scale, through * ref, through};
}

// Second order: the derivatives of sum(first-order gradients * v) with respect to g, x, scale, strength and bias;
// vx is v's element for x, `v` its values for scale and for noise * strength + bias.
template <bool FromOutput, Kind K, class W>
STEERGAN_INLINE Terms<W> grad_grad_terms(const Curve<K, W>& curve, W vx, W g, W ref, Local<W> at, Local<W> v) {
    if (FromOutput) return {curve.slope_of_output(ref) * (vx + v.shift), W(0), W(0), W(0)};
    W u = ref * at.scale + at.shift;
    W slope = curve.slope(u);
    W moved = vx * at.scale + v.scale * ref + v.shift;  // how u changes along v
    W bent = g * curve.curvature(u) * moved;
    return {slope * moved, bent * at.scale + g * slope * v.scale, g * slope * vx + bent * ref, bent};
}

// ---- what the launchers of either device take

struct BiasAct {
    Type type;
    Activation act;
    double alpha, gain, clamp;
    bool from_output;
    int64_t samples, channels, pixels;
    bool channels_last;
};

// Pointers to numbers of the type that is computed in, or null. noise has a row of pixels for each sample, or one.
struct Parameters {
    const void* scale;
    const void* noise;
    const void* strength;
    const void* bias;
    bool noise_per_sample;
};

// Where sums over a slice's pixels go, or null: for each channel [N, slices, C], for all together [N, slices, parts].
struct Sums {
    void* scale;
    void* strength;
    void* shift;
};

// How many elements a slice has, about: of all channels, where a thread or block takes them all; else of one.
#if defined(STEERGAN_CUDA) || defined(__CUDACC__)
constexpr int64_t kSliceElements = 16384;
constexpr int64_t kPlaneElements = 4096;
constexpr int64_t kSliceMultiple = 16;      // so that packs do not cross slices
constexpr int64_t kChannelsOfABlock = 256;  // at least, in channels_last images; otherwise a block has one
#else
constexpr int64_t kSliceElements = 65536;
constexpr int64_t kPlaneElements = 0;
constexpr int64_t kSliceMultiple = 1;
#endif

// Pixels whose sums are made together. Does not depend on the number of threads, so that neither do the results.
inline int64_t slice_pixels(const BiasAct& a) {
    int64_t pixels = kSliceElements / (a.channels > 0 ? a.channels : 1);
    pixels = a.channels_last || pixels > kPlaneElements ? pixels : kPlaneElements;
    if (!a.channels_last && pixels > kSliceMultiple) pixels -= pixels % kSliceMultiple;
    pixels = pixels < 1 ? 1 : pixels;
    return pixels < a.pixels ? pixels : (a.pixels > 0 ? a.pixels : 1);
}

inline int64_t slices(const BiasAct& a) { return (a.pixels + slice_pixels(a) - 1) / slice_pixels(a); }

// In how many parts the sum over all channels of a slice is made.
inline int64_t parts(const BiasAct& a) {
#if defined(STEERGAN_CUDA) || defined(__CUDACC__)
    return a.channels_last ? (a.channels + kChannelsOfABlock - 1) / kChannelsOfABlock : a.channels;
#else
    return 1;
#endif
}

void launch_bias_act(const BiasAct& a, const void* x, Parameters p, void* y, void* stream);
void launch_bias_act_grad(
    const BiasAct& a, const void* g, const void* ref, Parameters p, void* gx, Sums sums, void* stream);
void launch_bias_act_grad_grad(
    const BiasAct& a, const void* vx, Parameters v, const void* g, const void* ref, Parameters p, void* dg, void* dx,
    Sums sums, void* stream);

}  // namespace steergan
