// The only file that knows torch's tensors: checks, allocates, and hands pointers to the launchers of one device.
// Schemas and shape functions are registered from Python (torch_utils/native/operators.py), derivatives in
// autograd.cpp. The library is built once for each device, with STEERGAN_CUDA for the one.

#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <limits>
#include <tuple>
#include <vector>

#include "bias_act.h"
#include "upfirdn2d.h"
#ifndef STEERGAN_CUDA
#include "winograd.h"
#include "winograd_filters.h"
#include "winograd_up.h"
#include "winograd_weights.h"
#endif

#ifdef STEERGAN_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#define STEERGAN_DEVICE CUDA
#define STEERGAN_CHECK_LAUNCH C10_CUDA_KERNEL_LAUNCH_CHECK()
#else
#define STEERGAN_DEVICE CPU
#define STEERGAN_CHECK_LAUNCH (void)0
#endif

namespace steergan {
namespace {

using at::Tensor;
using Optional = std::optional<Tensor>;

#ifdef STEERGAN_CUDA
using DeviceGuard = c10::cuda::CUDAGuard;
void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
#else
struct DeviceGuard {
    explicit DeviceGuard(const at::Device&) {}
    ~DeviceGuard() {}
};
void* current_stream() { return nullptr; }
#endif

Type type_of(const Tensor& x) {
    switch (x.scalar_type()) {
        case at::kFloat: return Type::float32;
        case at::kDouble: return Type::float64;
        case at::kBFloat16: return Type::bfloat16;
#ifdef STEERGAN_CUDA
        case at::kHalf: return Type::float16;
#endif
        default: TORCH_CHECK(false, "steergan: no kernel for ", x.scalar_type(), " on ", x.device());
    }
}

at::ScalarType computed(const Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

bool is_channels_last(const Tensor& x) {
    return x.dim() == 4 && !x.is_contiguous() && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

at::MemoryFormat format(bool channels_last) {
    return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

// Without gaps; images whose strides are in the order of channels_last (a crop, a few of the channels) become that.
// operators.py predicts the layout of results by the same rule.
Tensor dense(const Tensor& x) {
    return x.contiguous(x.dim() == 4 ? x.suggest_memory_format() : at::MemoryFormat::Contiguous);
}

// Of the size and layout of `x`, which is dense.
Tensor another(const Tensor& x) { return at::empty(x.sizes(), x.options(), format(is_channels_last(x))); }

constexpr int64_t kTapsAtMost = 1024;  // what the kernels keep in shared memory
constexpr const char* kTooLarge = "steergan: image too large";

// ---- upfirdn2d

int narrow_int(int64_t value) {
    TORCH_CHECK(value >= 0 && value <= std::numeric_limits<int>::max() / 8, kTooLarge);
    return int(value);
}

Axis axis(int64_t up, int64_t down, int64_t before, int64_t after, int64_t taps, int64_t size) {
    int64_t padded = size * up + before + after - taps;
    TORCH_CHECK(up > 0 && down > 0 && padded >= 0, "upfirdn2d: the filter is larger than the padded image");
    return {int(up), int(down), int(before), int(taps), narrow_int(size), narrow_int(padded / down + 1)};
}

Tensor upfirdn2d(
    const Tensor& input, const Tensor& taps, at::IntArrayRef up, at::IntArrayRef down, at::IntArrayRef padding,
    bool flip, double gain) {
    TORCH_CHECK(input.dim() == 4 && taps.dim() == 2, "upfirdn2d: images [N, C, H, W] and taps [height, width]");
    TORCH_CHECK(input.device() == taps.device(), "upfirdn2d: images and taps are on different devices");
    TORCH_CHECK(taps.numel() <= kTapsAtMost, "upfirdn2d: at most ", kTapsAtMost, " taps, not ", taps.numel());
    DeviceGuard guard(input.device());
    Tensor x = dense(input);
    Tensor f = taps.to(computed(x)).contiguous();
    bool last = is_channels_last(x);
    Upfirdn2d a{type_of(x)};
    a.flip = flip;
    a.gain = gain;
    a.x = axis(up[0], down[0], padding[0], padding[1], f.size(1), x.size(3));
    a.y = axis(up[1], down[1], padding[2], padding[3], f.size(0), x.size(2));
    a.inner = last ? x.size(1) : 1;
    a.images = last ? x.size(0) : x.size(0) * x.size(1);
    TORCH_CHECK(int64_t(a.y.size_out) * a.x.size_out * a.inner < std::numeric_limits<int>::max(), kTooLarge);
    Tensor y = at::empty({x.size(0), x.size(1), a.y.size_out, a.x.size_out}, x.options(), format(last));
    if (y.numel() > 0) {
        launch_upfirdn2d(a, x.const_data_ptr(), f.const_data_ptr(), y.data_ptr(), current_stream());
        STEERGAN_CHECK_LAUNCH;
    }
    return y;
}

// ---- bias_act

Activation activation(c10::string_view name) {
    constexpr const char* names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"};
    for (int i = 0; i < 9; i++) {
        if (name == names[i]) return Activation(i);
    }
    TORCH_CHECK(false, "bias_act: unknown activation ", name);
}

// As a result of type `type` has it: a clamped activation is known by being equal to it.
double stored(double clamp, at::ScalarType type) {
    switch (type) {
        case at::kFloat: return float(clamp);
        case at::kHalf: return float(c10::Half(float(clamp)));
        case at::kBFloat16: return float(c10::BFloat16(float(clamp)));
        default: return clamp;
    }
}

// Sizes before, along and after `dim`. Samples of one pixel are the same in both layouts; channels then run inside, and
// rows that are no images (and have no scale or noise of their own) are the pixels of one sample.
BiasAct describe(
    const Tensor& x, int64_t dim, c10::string_view act, double alpha, double gain, double clamp, bool from_output) {
    TORCH_CHECK(dim >= 0 && dim < x.dim(), "bias_act: no dimension ", dim);
    clamp = stored(clamp, x.scalar_type());
    BiasAct a{type_of(x), activation(act), alpha, gain, clamp, from_output, 1, x.size(dim), 1, is_channels_last(x)};
    TORCH_CHECK(!a.channels_last || dim == 1, "bias_act: channels_last images take dim 1");
    for (int64_t i = 0; i < x.dim(); i++) (i < dim ? a.samples : a.pixels) *= i == dim ? 1 : x.size(i);
    if (a.pixels == 1) {
        a.channels_last = true;
        if (x.dim() != 4) std::swap(a.samples, a.pixels);
    }
#ifdef STEERGAN_CUDA
    constexpr int64_t kGrid = 65535;  // blocks along the second and third dimension of a grid
    TORCH_CHECK(a.samples <= kGrid && (a.channels_last || a.channels <= kGrid), "bias_act: more than ", kGrid,
                " samples or channels");
#endif
    return a;
}

const void* pointer(const Tensor& x) { return x.defined() && x.numel() > 0 ? x.const_data_ptr() : nullptr; }

// scale, noise, its strength and bias, of the type that is computed in, kept alive here.
struct Given {
    Tensor scale, noise, strength, bias;
    Parameters pointers;

    Given(const Tensor& x, const BiasAct& a, const Optional& s, const Optional& n, const Optional& k, const Optional& b)
        : scale(take(x, s)), noise(take(x, n)), strength(take(x, k)), bias(take(x, b)) {
        check(scale, a.samples * a.channels, "scale");
        check(strength, 1, "strength");
        check(bias, a.channels, "bias");
        bool shared = noise.defined() && noise.numel() == a.pixels;
        check(noise, shared ? a.pixels : a.samples * a.pixels, "noise");
        pointers = {pointer(scale), pointer(noise), pointer(strength), pointer(bias), !shared};
    }

    static Tensor take(const Tensor& x, const Optional& from) {
        if (!from.has_value() || !from->defined()) return {};
        TORCH_CHECK(from->device() == x.device(), "bias_act: parameters are on another device than x");
        return from->to(computed(x)).contiguous();
    }
    static void check(const Tensor& given, int64_t size, const char* name) {
        TORCH_CHECK(!given.defined() || given.numel() == size, "bias_act: ", name, " has ", given.numel(),
                    " elements, expected ", size);
    }
};

// The sums that were asked for, before slices are added up. Every element is written, unless x has none.
struct SumTensors {
    Tensor scale, strength, shift;

    SumTensors(const Tensor& x, const BiasAct& a, c10::ArrayRef<bool> wanted) {
        auto make = [&](int64_t last) {
            std::vector<int64_t> size{a.samples, slices(a), last};
            auto options = x.options().dtype(computed(x));
            return x.numel() > 0 ? at::empty(size, options) : at::zeros(size, options);
        };
        if (wanted[0]) scale = make(a.channels);
        if (wanted[1]) strength = make(parts(a));
        if (wanted[2]) shift = make(a.channels);
    }
    Sums pointers() const { return {data(scale), data(strength), data(shift)}; }

    static void* data(const Tensor& t) { return t.defined() && t.numel() > 0 ? t.data_ptr() : nullptr; }

    // Gradients of scale, strength and bias in their own shapes; empty where not asked for.
    std::tuple<Tensor, Tensor, Tensor> finish(const Tensor& x, const Given& given) const {
        auto shaped = [&](const Tensor& sum, const Tensor& like) { return sum.view(like.sizes()); };
        Tensor none = at::empty({0}, x.options().dtype(computed(x)));
        return {scale.defined() ? shaped(scale.sum(1), given.scale) : none,
                strength.defined() ? shaped(strength.sum(), given.strength) : none,
                shift.defined() ? shaped(shift.sum(at::IntArrayRef{0, 1}), given.bias) : none};
    }
};

Tensor like(const Tensor& x, const Tensor& other) {
    return x.contiguous(is_channels_last(other) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

Tensor bias_act(
    const Tensor& input, const Optional& scale, const Optional& noise, const Optional& strength, const Optional& bias,
    int64_t dim, c10::string_view act, double alpha, double gain, double clamp) {
    DeviceGuard guard(input.device());
    Tensor x = dense(input);
    BiasAct a = describe(x, dim, act, alpha, gain, clamp, false);
    Given given(x, a, scale, noise, strength, bias);
    Tensor y = another(x);
    if (x.numel() > 0) {
        launch_bias_act(a, x.const_data_ptr(), given.pointers, y.data_ptr(), current_stream());
        STEERGAN_CHECK_LAUNCH;
    }
    return y;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> bias_act_grad(
    const Tensor& g, const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength,
    const Optional& bias, int64_t dim, c10::string_view act, double alpha, double gain, double clamp,
    bool from_output, std::array<bool, 3> wanted) {
    DeviceGuard guard(ref.device());
    Tensor x = dense(ref), dy = like(g, x);
    BiasAct a = describe(x, dim, act, alpha, gain, clamp, from_output);
    Given given(x, a, scale, noise, strength, bias);
    SumTensors sums(x, a, wanted);
    Tensor dx = another(x);
    if (x.numel() > 0) {
        launch_bias_act_grad(
            a, dy.const_data_ptr(), x.const_data_ptr(), given.pointers, dx.data_ptr(), sums.pointers(),
            current_stream());
        STEERGAN_CHECK_LAUNCH;
    }
    auto [for_scale, for_strength, for_bias] = sums.finish(x, given);
    return {dx, for_scale, for_strength, for_bias};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> bias_act_grad_grad(
    const Tensor& v, const Optional& v_scale, const Optional& v_strength, const Optional& v_b, const Tensor& g,
    const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength, const Optional& bias,
    int64_t dim, c10::string_view act, double alpha, double gain, double clamp, bool from_output,
    std::array<bool, 3> wanted) {
    DeviceGuard guard(ref.device());
    Tensor x = dense(ref), dy = like(g, x), vx = like(v, x);
    BiasAct a = describe(x, dim, act, alpha, gain, clamp, from_output);
    Given given(x, a, scale, noise, strength, bias), along(x, a, v_scale, {}, v_strength, v_b);
    SumTensors sums(x, a, wanted);
    Tensor for_g = another(x), for_x = from_output ? at::empty({0}, x.options()) : another(x);
    if (x.numel() > 0) {
        launch_bias_act_grad_grad(
            a, vx.const_data_ptr(), along.pointers, dy.const_data_ptr(), x.const_data_ptr(), given.pointers,
            for_g.data_ptr(), SumTensors::data(for_x), sums.pointers(), current_stream());
        STEERGAN_CHECK_LAUNCH;
    }
    auto [for_scale, for_strength, for_bias] = sums.finish(x, given);
    return {for_g, for_x, for_scale, for_strength, for_bias};
}

// ---- winograd

#ifndef STEERGAN_CUDA
// A parameter of so many elements, as floats without gaps; nothing for none.
Tensor floats(const Optional& from, int64_t size, const char* name) {
    if (!from.has_value() || !from->defined()) return {};
    TORCH_CHECK(from->scalar_type() == at::kFloat && from->numel() == size, "winograd: ", name, " is float32 with ",
                size, " elements");
    return from->contiguous();
}

const float* start(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

constexpr int64_t kChannels = 16;  // they are multiples of this, whatever the length of this build's vectors
static_assert(kChannels % kLanes == 0);

// weight [out, in, 3, 3] -> filters [36, out, in] in the order that the kernels of this build read. The taps may be
// turned by 180 degrees, and the channels swapped.
Tensor winograd_filters(const Tensor& weight, bool turned, bool swapped, bool enlarging) {
    TORCH_CHECK(weight.dim() == 4 && weight.scalar_type() == at::kFloat && weight.size(2) == kFilterTaps &&
                    weight.size(3) == kFilterTaps, "winograd: weights are float32 [out, in, 3, 3]");
    int out = swapped ? 1 : 0, in = 1 - out;
    Taps w{weight.const_data_ptr<float>(), weight.size(out), weight.size(in), weight.stride(out), weight.stride(in),
           weight.stride(2), weight.stride(3)};
    TORCH_CHECK(w.out % kChannels == 0 && w.in % kChannels == 0, "winograd: channels are multiples of ", kChannels);
    if (turned) {
        w.taps += (kFilterTaps - 1) * (w.row_step + w.column_step);
        w.row_step = -w.row_step, w.column_step = -w.column_step;
    }
    Tensor filters = at::empty({kWinogradPoints, w.out, w.in}, weight.options(), at::MemoryFormat::Contiguous);
    launch_winograd_filters(w, enlarging, filters.data_ptr<float>());
    return filters;
}

// Images, and what winograd_filters has made.
void check_filtered(const Tensor& x, const Tensor& filters) {
    TORCH_CHECK(x.dim() == 4 && x.scalar_type() == at::kFloat, "winograd: images [N, C, H, W] of float32");
    TORCH_CHECK(filters.dim() == 3 && filters.scalar_type() == at::kFloat && filters.is_contiguous() &&
                    filters.size(0) == kWinogradPoints && filters.size(1) % kChannels == 0 &&
                    filters.size(2) == x.size(1),
                "winograd: filters are float32 [", kWinogradPoints, ", out, in] without gaps");
    TORCH_CHECK(x.size(1) % kChannels == 0, "winograd: channels are multiples of ", kChannels);
}

// What goes with a convolution, kept alive here; `pixels` are those of the result.
struct Modulators {
    Tensor in_scale, out_scale, noise, bias;
    Modulation pointers;

    Modulators(const Tensor& x, int64_t out, int64_t pixels, const Optional& in_scales, const Optional& out_scales,
               const Optional& noises, const Optional& biases, c10::string_view act, double alpha, double gain,
               double clamp) {
        bool shared = noises.has_value() && noises->defined() && noises->numel() == pixels;
        in_scale = floats(in_scales, x.size(0) * x.size(1), "in_scale");
        out_scale = floats(out_scales, x.size(0) * out, "out_scale");
        noise = floats(noises, shared ? pixels : x.size(0) * pixels, "noise");
        bias = floats(biases, out, "bias");
        pointers = {start(in_scale), start(out_scale), start(noise), start(bias), !shared, activation(act),
                    float(alpha), float(gain), float(clamp)};
    }
};

Tensor winograd(
    const Tensor& input, const Tensor& filters, const Optional& in_scale, const Optional& out_scale,
    const Optional& noise, const Optional& bias, c10::string_view act, double alpha, double gain, double clamp) {
    check_filtered(input, filters);
    Winograd a{input.size(0), input.size(2), input.size(3), input.size(1), filters.size(1)};
    Modulators m(input, a.out, a.height * a.width, in_scale, out_scale, noise, bias, act, alpha, gain, clamp);
    Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
    Tensor y = at::empty({a.images, a.out, a.height, a.width}, x.options(), at::MemoryFormat::ChannelsLast);
    if (y.numel() > 0) launch_winograd(a, m.pointers, start(x), start(filters), y.data_ptr<float>());
    return y;
}

Tensor winograd_up(
    const Tensor& input, const Tensor& filters, const Tensor& taps, const Optional& in_scale,
    const Optional& out_scale, const Optional& noise, const Optional& bias, c10::string_view act, double alpha,
    double gain, double clamp) {
    check_filtered(input, filters);
    TORCH_CHECK(taps.sizes() == at::IntArrayRef({kWinogradUpTaps, kWinogradUpTaps}), "winograd: taps are 4x4");
    WinogradUp a{input.size(0), input.size(2), input.size(3), input.size(1), filters.size(1)};
    Modulators m(input, a.out, 4 * a.height * a.width, in_scale, out_scale, noise, bias, act, alpha, gain, clamp);
    Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast), f = floats(taps, taps.numel(), "taps");
    Tensor y = at::empty({a.images, a.out, 2 * a.height, 2 * a.width}, x.options(), at::MemoryFormat::ChannelsLast);
    if (y.numel() > 0) launch_winograd_up(a, m.pointers, start(x), start(filters), start(f), y.data_ptr<float>());
    return y;
}

// Of a convolution that keeps the size: x [N, in, H, W], its result's gradient g [N, out, H, W] -> [out, in, 3, 3].
Tensor winograd_weights(const Tensor& input, const Tensor& gradient) {
    TORCH_CHECK(input.dim() == 4 && gradient.dim() == 4 && input.scalar_type() == at::kFloat &&
                    gradient.scalar_type() == at::kFloat && input.size(0) == gradient.size(0) &&
                    input.size(2) == gradient.size(2) && input.size(3) == gradient.size(3),
                "winograd: images and gradient [N, C, H, W] of float32, of one size");
    TORCH_CHECK(input.size(1) % kChannels == 0 && gradient.size(1) % kChannels == 0,
                "winograd: channels are multiples of ", kChannels);
    Winograd a{input.size(0), input.size(2), input.size(3), input.size(1), gradient.size(1)};
    const auto layout = at::MemoryFormat::ChannelsLast;
    Tensor x = input.contiguous(layout), g = gradient.contiguous(layout);
    Tensor weights = at::zeros({a.out, a.in, kFilterTaps, kFilterTaps}, x.options());
    if (x.numel() > 0 && g.numel() > 0) launch_winograd_weights(a, start(x), start(g), weights.data_ptr<float>());
    return weights;
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(steergan, STEERGAN_DEVICE, m) {
    m.impl("upfirdn2d", TORCH_FN(upfirdn2d));
    m.impl("bias_act", TORCH_FN(bias_act));
    m.impl("bias_act_grad", TORCH_FN(bias_act_grad));
    m.impl("bias_act_grad_grad", TORCH_FN(bias_act_grad_grad));
#ifndef STEERGAN_CUDA
    m.impl("winograd_filters", TORCH_FN(winograd_filters));
    m.impl("winograd", TORCH_FN(winograd));
    m.impl("winograd_up", TORCH_FN(winograd_up));
    m.impl("winograd_weights", TORCH_FN(winograd_weights));
#endif
}

}  // namespace steergan
