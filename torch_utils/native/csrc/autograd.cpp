// Derivatives of the operators, where autograd calls them: in C++, because a step of training calls hundreds.
//
// Built into the library of either device. Where neither is loaded (shapes without data), those of operators.py serve.

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>
#include <string>
#include <tuple>
#include <vector>

#ifdef STEERGAN_CUDA
#define STEERGAN_AUTOGRAD AutogradCUDA
#else
#define STEERGAN_AUTOGRAD AutogradCPU
#endif

namespace steergan {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Optional = std::optional<Tensor>;

Optional given(const Tensor& x) { return x.defined() ? Optional(x) : Optional(); }

Tensor value(const Optional& x) { return x.has_value() ? *x : Tensor(); }

bool is_needed(const Optional& x) { return x.has_value() && x->defined() && x->requires_grad(); }

template <class Signature>
auto find(const char* name) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// ---- upfirdn2d: linear, its adjoint is another one

Tensor call_upfirdn2d(
    const Tensor& x, const Tensor& taps, at::IntArrayRef up, at::IntArrayRef down, c10::SymIntArrayRef padding,
    bool flip, double gain) {
    static auto op = find<decltype(call_upfirdn2d)>("steergan::upfirdn2d");
    return op.call(x, taps, up, down, padding, flip, gain);
}

// What torch_utils/native/geometry.py says: padding (x0, x1, y0, y1) of the resampling that carries gradients back.
std::vector<c10::SymInt> adjoint_padding(
    at::IntArrayRef up, at::IntArrayRef down, c10::SymIntArrayRef padding, const Tensor& taps, const Tensor& x,
    const Tensor& y) {
    std::vector<c10::SymInt> ends;
    for (int axis : {0, 1}) {
        int dim = 1 - axis;  // x comes first here, last in a shape
        const c10::SymInt& before = padding[2 * axis];
        ends.push_back(taps.sym_size(dim) - 1 - before);
        ends.push_back((x.sym_size(dim + 2) - 1) * up[axis] + before + 1 - y.sym_size(dim + 2) * down[axis]);
    }
    return ends;
}

struct Upfirdn2d : Function<Upfirdn2d> {
    static Tensor forward(
        AutogradContext* ctx, const Tensor& x, const Tensor& taps, at::IntArrayRef up, at::IntArrayRef down,
        c10::SymIntArrayRef padding, bool flip, double gain) {
        at::AutoDispatchBelowADInplaceOrView below;
        Tensor y = call_upfirdn2d(x, taps, up, down, padding, flip, gain);
        ctx->save_for_backward({taps});
        ctx->saved_data["up"] = up.vec();
        ctx->saved_data["down"] = down.vec();
        ctx->saved_data["padding"] = c10::SymIntArrayRef(adjoint_padding(up, down, padding, taps, x, y));
        ctx->saved_data["flip"] = flip;
        ctx->saved_data["gain"] = gain;
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list none(7);
        if (!grads[0].defined()) return none;
        auto up = ctx->saved_data["up"].toIntVector(), down = ctx->saved_data["down"].toIntVector();
        auto padding = ctx->saved_data["padding"].toSymIntVector();
        bool flip = ctx->saved_data["flip"].toBool();
        double gain = ctx->saved_data["gain"].toDouble();
        none[0] = call_upfirdn2d(grads[0], ctx->get_saved_variables()[0], down, up, padding, !flip, gain);
        return none;
    }
};

Tensor upfirdn2d(
    const Tensor& x, const Tensor& taps, at::IntArrayRef up, at::IntArrayRef down, c10::SymIntArrayRef padding,
    bool flip, double gain) {
    TORCH_CHECK(!taps.requires_grad(), "upfirdn2d: taps are not differentiated");
    return Upfirdn2d::apply(x, taps, up, down, padding, flip, gain);
}

// ---- bias_act

using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;
using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;
using Wanted = std::array<bool, 3>;

// What all three operators take beside tensors.
struct Options {
    int64_t dim;
    std::string act;
    double alpha, gain, clamp;

    bool is_piecewise_linear() const { return act == "linear" || act == "relu" || act == "lrelu"; }

    void save(AutogradContext* ctx) const {
        ctx->saved_data["dim"] = dim;
        ctx->saved_data["act"] = act;
        ctx->saved_data["numbers"] = std::vector<double>{alpha, gain, clamp};
    }
    static Options of(AutogradContext* ctx) {
        auto numbers = ctx->saved_data["numbers"].toDoubleVector();
        const auto& act = ctx->saved_data["act"].toStringRef();
        return {ctx->saved_data["dim"].toInt(), act, numbers[0], numbers[1], numbers[2]};
    }
};

void refuse_gradient_of(const Optional& noise) {
    TORCH_CHECK(!is_needed(noise), "bias_act: noise is not differentiated, its strength is");
}

Tensor call_bias_act(
    const Tensor& x, const Optional& scale, const Optional& noise, const Optional& strength, const Optional& b,
    int64_t dim, c10::string_view act, double alpha, double gain, double clamp) {
    static auto op = find<decltype(call_bias_act)>("steergan::bias_act");
    return op.call(x, scale, noise, strength, b, dim, act, alpha, gain, clamp);
}

Four call_grad(
    const Tensor& g, const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength,
    const Optional& b, int64_t dim, c10::string_view act, double alpha, double gain, double clamp, bool from_output,
    Wanted wanted) {
    static auto op = find<decltype(call_grad)>("steergan::bias_act_grad");
    return op.call(g, ref, scale, noise, strength, b, dim, act, alpha, gain, clamp, from_output, wanted);
}

Five call_grad_grad(
    const Tensor& v, const Optional& v_scale, const Optional& v_strength, const Optional& v_b, const Tensor& g,
    const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength, const Optional& b,
    int64_t dim, c10::string_view act, double alpha, double gain, double clamp, bool from_output, Wanted wanted) {
    static auto op = find<decltype(call_grad_grad)>("steergan::bias_act_grad_grad");
    return op.call(v, v_scale, v_strength, v_b, g, ref, scale, noise, strength, b, dim, act, alpha, gain, clamp,
                   from_output, wanted);
}

// The derivative can be told from the result, which the next layer keeps in memory anyway.
bool is_told_by_result(const Optional& scale, const Options& o) {
    return !scale.has_value() && o.is_piecewise_linear() && o.gain > 0 && (o.act != "lrelu" || o.alpha > 0);
}

struct BiasAct : Function<BiasAct> {
    static Tensor forward(
        AutogradContext* ctx, const Tensor& x, const Optional& scale, const Optional& noise, const Optional& strength,
        const Optional& b, const Options& o) {
        at::AutoDispatchBelowADInplaceOrView below;
        Tensor y = call_bias_act(x, scale, noise, strength, b, o.dim, o.act, o.alpha, o.gain, o.clamp);
        bool from_output = is_told_by_result(scale, o);
        ctx->saved_data["from_output"] = from_output;
        ctx->saved_data["wanted"] =
            c10::List<bool>({is_needed(scale), is_needed(strength), is_needed(b)});
        o.save(ctx);
        ctx->save_for_backward({from_output ? y : x, value(scale), value(noise), value(strength), value(b)});
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list found(6);
        if (!grads[0].defined()) return found;
        auto kept = ctx->get_saved_variables();
        auto o = Options::of(ctx);
        auto list = ctx->saved_data["wanted"].toBoolList();
        Wanted wanted{list[0], list[1], list[2]};
        auto [dx, for_scale, for_strength, for_b] = call_grad(
            grads[0], kept[0], given(kept[1]), given(kept[2]), given(kept[3]), given(kept[4]), o.dim, o.act, o.alpha,
            o.gain, o.clamp, ctx->saved_data["from_output"].toBool(), wanted);
        found[0] = dx;
        if (wanted[0]) found[1] = for_scale;
        if (wanted[1]) found[3] = for_strength;
        if (wanted[2]) found[4] = for_b;
        return found;
    }
};

struct BiasActGrad : Function<BiasActGrad> {
    static variable_list forward(
        AutogradContext* ctx, const Tensor& g, const Tensor& ref, const Optional& scale, const Optional& noise,
        const Optional& strength, const Optional& b, const Options& o, bool from_output, const Wanted& wanted) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto [dx, for_scale, for_strength, for_b] = call_grad(
            g, ref, scale, noise, strength, b, o.dim, o.act, o.alpha, o.gain, o.clamp, from_output, wanted);
        bool bends = !o.is_piecewise_linear();  // otherwise strength and b do not change the first derivatives
        ctx->saved_data["from_output"] = from_output;
        ctx->saved_data["wanted"] =
            c10::List<bool>({is_needed(scale), bends && is_needed(strength), bends && is_needed(b)});
        o.save(ctx);
        ctx->set_materialize_grads(false);
        ctx->save_for_backward({g, ref, value(scale), value(noise), value(strength), value(b)});
        return {dx, for_scale, for_strength, for_b};
    }

    static variable_list backward(AutogradContext* ctx, variable_list v) {
        variable_list found(9);
        auto kept = ctx->get_saved_variables();
        auto o = Options::of(ctx);
        auto list = ctx->saved_data["wanted"].toBoolList();
        Wanted wanted{list[0], list[1], list[2]};
        bool from_output = ctx->saved_data["from_output"].toBool();
        Tensor along = v[0].defined() ? v[0] : at::zeros_like(kept[1]);
        auto [dg, dx, for_scale, for_strength, for_b] = call_grad_grad(
            along, given(v[1]), given(v[2]), given(v[3]), kept[0], kept[1], given(kept[2]), given(kept[3]),
            given(kept[4]), given(kept[5]), o.dim, o.act, o.alpha, o.gain, o.clamp, from_output, wanted);
        found[0] = dg;
        if (!from_output) found[1] = dx;
        if (wanted[0]) found[2] = for_scale;
        if (wanted[1]) found[4] = for_strength;
        if (wanted[2]) found[5] = for_b;
        return found;
    }
};

// Its own derivative is refused.
struct BiasActGradGrad : Function<BiasActGradGrad> {
    static variable_list forward(
        AutogradContext* ctx, const Tensor& v, const Optional& v_scale, const Optional& v_strength, const Optional& v_b,
        const Tensor& g, const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength,
        const Optional& b, const Options& o, bool from_output, const Wanted& wanted) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto [dg, dx, for_scale, for_strength, for_b] = call_grad_grad(
            v, v_scale, v_strength, v_b, g, ref, scale, noise, strength, b, o.dim, o.act, o.alpha, o.gain, o.clamp,
            from_output, wanted);
        return {dg, dx, for_scale, for_strength, for_b};
    }

    static variable_list backward(AutogradContext*, variable_list) {
        TORCH_CHECK_NOT_IMPLEMENTED(
            false, "bias_act has no native third derivative; choose the operators 'pytorch' for it");
    }
};

Tensor bias_act(
    const Tensor& x, const Optional& scale, const Optional& noise, const Optional& strength, const Optional& b,
    int64_t dim, c10::string_view act, double alpha, double gain, double clamp) {
    refuse_gradient_of(noise);
    return BiasAct::apply(x, scale, noise, strength, b, Options{dim, std::string(act), alpha, gain, clamp});
}

Four bias_act_grad(
    const Tensor& g, const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength,
    const Optional& b, int64_t dim, c10::string_view act, double alpha, double gain, double clamp, bool from_output,
    Wanted wanted) {
    Options o{dim, std::string(act), alpha, gain, clamp};
    auto found = BiasActGrad::apply(g, ref, scale, noise, strength, b, o, from_output, wanted);
    return {found[0], found[1], found[2], found[3]};
}

Five bias_act_grad_grad(
    const Tensor& v, const Optional& v_scale, const Optional& v_strength, const Optional& v_b, const Tensor& g,
    const Tensor& ref, const Optional& scale, const Optional& noise, const Optional& strength, const Optional& b,
    int64_t dim, c10::string_view act, double alpha, double gain, double clamp, bool from_output, Wanted wanted) {
    Options o{dim, std::string(act), alpha, gain, clamp};
    auto found = BiasActGradGrad::apply(
        v, v_scale, v_strength, v_b, g, ref, scale, noise, strength, b, o, from_output, wanted);
    return {found[0], found[1], found[2], found[3], found[4]};
}

}  // namespace

TORCH_LIBRARY_IMPL(steergan, STEERGAN_AUTOGRAD, m) {
    m.impl("upfirdn2d", TORCH_FN(upfirdn2d));
    m.impl("bias_act", TORCH_FN(bias_act));
    m.impl("bias_act_grad", TORCH_FN(bias_act_grad));
    m.impl("bias_act_grad_grad", TORCH_FN(bias_act_grad_grad));
}

}  // namespace steergan
