"""The native operators as torch knows them: schemas, shapes without data, derivatives.

Kernels come with the libraries that torch_utils.native.loader loads; until then the operators can be traced, not run.
The derivatives here are for that: a library brings its own, of the same results (csrc/autograd.cpp).

`upfirdn2d` is linear, and its adjoint is an upfirdn2d; `gain` multiplies its taps. `bias_act` computes
clip(gain * act(x * scale + noise * strength + b)), with scale [N, C], noise [N or 1, 1, H, W], strength [] and b [C],
each of them optional, in one pass over memory; so do its first and second derivatives. Noise is not differentiated.
Gradients of parameters are of the type that is computed in: float64 for float64, else float32.
"""

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format  # the rule of C++'s Tensor.suggest_memory_format

from torch_utils.native.geometry import adjoint_padding, result_size

# Their derivative can be told from their result, which the next layer keeps in memory anyway.
PIECEWISE_LINEAR = ("linear", "relu", "lrelu")

_PARAMETERS = (
    "Tensor? scale, Tensor? noise, Tensor? strength, Tensor? b, int dim, str act, float alpha, float gain, float clamp"
)
_MODULATION = (
    "Tensor? in_scale, Tensor? out_scale, Tensor? noise, Tensor? b, str act, float alpha, float gain, float clamp"
)
_SCHEMAS = (
    "upfirdn2d(Tensor x, Tensor taps, int[] up, int[] down, SymInt[] padding, bool flip, float gain) -> Tensor",
    f"bias_act(Tensor x, {_PARAMETERS}) -> Tensor",
    f"bias_act_grad(Tensor g, Tensor ref, {_PARAMETERS}, bool from_output, bool[3] wanted)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
    "bias_act_grad_grad(Tensor v, Tensor? v_scale, Tensor? v_strength, Tensor? v_b, Tensor g, Tensor ref,"
    f" {_PARAMETERS}, bool from_output, bool[3] wanted) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "winograd_filters(Tensor weight, bool turned, bool swapped, bool enlarging) -> Tensor",
    f"winograd(Tensor x, Tensor filters, {_MODULATION}) -> Tensor",
    f"winograd_up(Tensor x, Tensor filters, Tensor taps, {_MODULATION}) -> Tensor",
    "winograd_weights(Tensor x, Tensor g) -> Tensor",
)

_library = torch.library.Library("steergan", "DEF")
for _schema in _SCHEMAS:
    _library.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))

native = torch.ops.steergan


# ---- upfirdn2d


def _upfirdn2d_fake(x: Tensor, taps: Tensor, up, down, padding, flip, gain) -> Tensor:
    count, channels, height, width = x.shape
    x0, x1, y0, y1 = padding
    size = [
        result_size(up[1], down[1], y0, y1, taps.shape[0], height),
        result_size(up[0], down[0], x0, x1, taps.shape[1], width),
    ]
    return x.new_empty([count, channels, *size]).contiguous(memory_format=_format(_dense(x)))


def _upfirdn2d_setup(ctx, inputs, output) -> None:
    x, taps, ctx.up, ctx.down, ctx.padding, ctx.flip, ctx.gain = inputs
    ctx.save_for_backward(taps)
    ctx.sizes = [taps.shape[1], taps.shape[0]], [x.shape[3], x.shape[2]], [output.shape[3], output.shape[2]]


def _upfirdn2d_backward(ctx, g: Tensor):
    (taps,) = ctx.saved_tensors
    padding = adjoint_padding(ctx.up, ctx.down, ctx.padding, *ctx.sizes)
    return native.upfirdn2d(g, taps, ctx.down, ctx.up, padding, not ctx.flip, ctx.gain), *[None] * 6


# ---- bias_act; its parameters are scale, noise, strength, b


def _bias_act_fake(x: Tensor, *_) -> Tensor:
    return torch.empty_like(_dense(x))


def _bias_act_setup(ctx, inputs, output) -> None:
    x, scale, noise, strength, b, dim, act, alpha, gain, clamp = inputs
    ctx.from_output = scale is None and act in PIECEWISE_LINEAR and gain > 0 and (act != "lrelu" or alpha > 0)
    ctx.save_for_backward(output if ctx.from_output else x, scale, noise, strength, b)
    ctx.options = dim, act, alpha, gain, clamp


def _bias_act_backward(ctx, g: Tensor):
    ref, *parameters = ctx.saved_tensors
    wanted = _wanted(parameters, ctx.needs_input_grad[1:5])
    gx, *sums = native.bias_act_grad(g, ref, *parameters, *ctx.options, ctx.from_output, wanted)
    return gx, *_beside_noise(_those(sums, wanted)), *[None] * 5


def _bias_act_grad_fake(g: Tensor, ref: Tensor, scale, noise, strength, b, *rest):
    return torch.empty_like(_dense(ref)), *_sums_like(ref, (scale, strength, b), rest[-1])


def _bias_act_grad_setup(ctx, inputs, output) -> None:
    g, ref, scale, noise, strength, b, *ctx.options, ctx.from_output, ctx.wanted = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(g, ref, scale, noise, strength, b)


def _bias_act_grad_backward(ctx, v: Tensor | None, *v_sums: Tensor | None):
    g, ref, *parameters = ctx.saved_tensors
    v = torch.zeros_like(ref) if v is None else v
    bends = ctx.options[1] not in PIECEWISE_LINEAR  # otherwise strength and b do not change the first derivatives
    scale, _, strength, b = ctx.needs_input_grad[2:6]
    wanted = _wanted(parameters, [scale, False, bends and strength, bends and b])
    dg, dx, *sums = native.bias_act_grad_grad(
        v, *v_sums, g, ref, *parameters, *ctx.options, ctx.from_output, wanted
    )
    return dg, None if ctx.from_output else dx, *_beside_noise(_those(sums, wanted)), *[None] * 7


def _bias_act_grad_grad_fake(v: Tensor, v_scale, v_strength, v_b, g: Tensor, ref: Tensor, *rest):
    scale, _, strength, b, *_, from_output, wanted = rest
    dx = ref.new_empty([0]) if from_output else torch.empty_like(_dense(ref))
    return torch.empty_like(_dense(ref)), dx, *_sums_like(ref, (scale, strength, b), wanted)


def _no_third_derivative(ctx, *grads):
    raise NotImplementedError("bias_act has no native third derivative; choose the operators 'pytorch' for it")


# ---- winograd


def _winograd_filters_fake(weight: Tensor, turned: bool, swapped: bool, enlarging: bool) -> Tensor:
    out, channels = weight.shape[:2]
    return weight.new_empty([36, channels, out] if swapped else [36, out, channels])


def _winograd_fake(x: Tensor, filters: Tensor, *_) -> Tensor:
    size = [len(x), filters.shape[1], *x.shape[2:]]
    return x.new_empty(size).contiguous(memory_format=torch.channels_last)


def _winograd_up_fake(x: Tensor, filters: Tensor, *_) -> Tensor:
    size = [len(x), filters.shape[1], 2 * x.shape[2], 2 * x.shape[3]]
    return x.new_empty(size).contiguous(memory_format=torch.channels_last)


def _winograd_weights_fake(x: Tensor, g: Tensor) -> Tensor:
    return x.new_empty([g.shape[1], x.shape[1], 3, 3])


def _no_derivative(ctx, *grads):
    raise NotImplementedError("winograd is for inference; where gradients are needed, use conv2d_resample")


# ---- helpers


def _wanted(parameters, needed) -> list[bool]:
    """Of scale, strength and b. Raises NotImplementedError where the gradient of noise is asked for."""
    found = [given is not None and bool(need) for given, need in zip(parameters, needed, strict=True)]
    if found.pop(1):
        raise NotImplementedError("bias_act: noise is not differentiated, its strength is")
    return found


def _those(tensors, wanted) -> list[Tensor | None]:
    return [tensor if want else None for tensor, want in zip(tensors, wanted, strict=True)]


def _beside_noise(sums) -> tuple[Tensor | None, ...]:
    scale, strength, b = sums
    return scale, None, strength, b


def _dense(x: Tensor) -> Tensor:
    """`x` as the kernels take it: without gaps, in the memory layout that bindings.cpp chooses."""
    return x.contiguous(memory_format=suggest_memory_format(x) if x.ndim == 4 else torch.contiguous_format)


def _format(x: Tensor) -> torch.memory_format:
    last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _sums_like(x: Tensor, parameters, wanted) -> list[Tensor]:
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return [x.new_empty(p.shape if w else [0], dtype=dtype) for p, w in zip(parameters, wanted, strict=True)]


def _register(name: str, fake, setup, backward) -> None:
    torch.library.register_fake(f"steergan::{name}", fake, lib=_library)
    torch.library.register_autograd(f"steergan::{name}", backward, setup_context=setup, lib=_library)


_register("upfirdn2d", _upfirdn2d_fake, _upfirdn2d_setup, _upfirdn2d_backward)
_register("bias_act", _bias_act_fake, _bias_act_setup, _bias_act_backward)
_register("bias_act_grad", _bias_act_grad_fake, _bias_act_grad_setup, _bias_act_grad_backward)
_register("bias_act_grad_grad", _bias_act_grad_grad_fake, lambda ctx, inputs, output: None, _no_third_derivative)
_register("winograd_filters", _winograd_filters_fake, lambda ctx, inputs, output: None, _no_derivative)
_register("winograd", _winograd_fake, lambda ctx, inputs, output: None, _no_derivative)
_register("winograd_up", _winograd_up_fake, lambda ctx, inputs, output: None, _no_derivative)
_register("winograd_weights", _winograd_weights_fake, lambda ctx, inputs, output: None, _no_derivative)
