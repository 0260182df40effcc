"""Linear and convolutional layers with equalised learning rate (Karras et al. 2018, section 4.1).

Weights are stored with unit variance and scaled when used, so that all of them learn at the same speed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_utils import ops
from torch_utils.devices import device_kind
from torch_utils.ops import winograd
from torch_utils.ops.bias_act import ACTIVATIONS


class ToScale(NamedTuple):
    """A parameter that a layer uses times a factor, in a type of its own."""

    parameter: Tensor
    factor: float
    dtype: torch.dtype


class Equalized(nn.Module):
    """A layer that scales parameters whenever they are used, unless `scaled_together` did it before."""

    weight: nn.Parameter
    made: dict[str, tuple[ToScale, Tensor]] | None = None

    def wanted(self, dtype: torch.dtype) -> dict[str, ToScale]:
        """What to scale for an input of a type, by the parameter's name."""
        raise NotImplementedError

    def scaled(self, name: str, factor: float, dtype: torch.dtype) -> Tensor:
        """The parameter of that name times a factor, in a type."""
        want = ToScale(getattr(self, name), factor, dtype)
        if self.made is not None and name in self.made and self.made[name][0][1:] == want[1:]:
            return self.made[name][1]
        return (want.parameter if factor == 1 else want.parameter * factor).to(dtype)


@contextmanager
def scaled_together(parts: Sequence[tuple[nn.Module | None, torch.dtype]]) -> Iterator[None]:
    """Within it, the layers of modules find their parameters scaled: by one operation in place of one for each.

    That is on GPUs, where each would be a launch. `parts`: modules, with the type of their feature maps. torch.compile
    needs no such help.
    """
    layers = [(layer, dtype) for module, dtype in parts if module is not None for layer in _equalized(module)]
    if not layers or not _pays(layers[0][0].weight):
        yield
        return
    wishes = [(layer, name, wish) for layer, dtype in layers for name, wish in layer.wanted(dtype).items()]
    found = _Scaled.apply([wish[1:] for _, _, wish in wishes], *(wish.parameter for _, _, wish in wishes))
    made: dict[Equalized, dict[str, tuple[ToScale, Tensor]]] = {layer: {} for layer, _ in layers}
    for (layer, name, wish), tensor in zip(wishes, found, strict=True):
        made[layer][name] = wish, tensor
    for layer, _ in layers:
        layer.made = made[layer]
    try:
        yield
    finally:
        for layer, _ in layers:
            layer.made = None


def _pays(weight: Tensor) -> bool:
    return device_kind(weight) == "cuda" and ops.chosen() != "reference" and not torch.compiler.is_compiling()


def _equalized(module: nn.Module) -> tuple[Equalized, ...]:
    """The layers below a module, looked for once: modules do not change after their first call.

    Not those whose weight is computed anew each time they are used, as with a spectral normalization.
    """
    known = vars(module)
    if "_equalized_layers" not in known:
        known["_equalized_layers"] = tuple(
            m for m in module.modules() if isinstance(m, Equalized) and not hasattr(m, "parametrizations")
        )
    return known["_equalized_layers"]


class _Scaled(torch.autograd.Function):
    """Parameters times factors, in types; a few operations over all of them, forward and backward."""

    @staticmethod
    def forward(ctx, to: list[tuple[float, torch.dtype]], *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.factors, ctx.dtypes = [factor for factor, _ in to], [p.dtype for p in parameters]
        ctx.set_materialize_grads(False)
        scaled = torch._foreach_mul(parameters, ctx.factors)
        return tuple(_cast_together(scaled, [dtype for _, dtype in to]))

    @staticmethod
    def backward(ctx, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # to be differentiated again
            pairs = zip(gradients, ctx.factors, ctx.dtypes, strict=True)
            return None, *(None if g is None else g.to(dtype) * factor for g, factor, dtype in pairs)
        there = {i: g for i, g in enumerate(gradients) if g is not None}
        found: list[Tensor | None] = [None] * len(gradients)
        if there:
            wide = _cast_together(list(there.values()), [ctx.dtypes[i] for i in there])
            for i, g in zip(there, torch._foreach_mul(wide, [ctx.factors[i] for i in there]), strict=True):
                found[i] = g
        return None, *found


def _cast_together(tensors: Sequence[Tensor], dtypes: Sequence[torch.dtype]) -> list[Tensor]:
    """Each tensor in its type."""
    found = list(tensors)
    others = [i for i, (tensor, dtype) in enumerate(zip(tensors, dtypes, strict=True)) if tensor.dtype != dtype]
    if others:
        cast = [torch.empty_like(tensors[i], dtype=dtypes[i]) for i in others]
        torch._foreach_copy_(cast, [tensors[i] for i in others])
        for i, tensor in zip(others, cast, strict=True):
            found[i] = tensor
    return found


class Linear(Equalized):
    """y = act(x W^T + b), [N, in_features] to [N, out_features].

    `lr_multiplier` m: weights are kept 1/m times larger and used m times smaller, so they learn m times slower.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ):
        super().__init__()
        self.activation, self.lr_multiplier, self.bias_init = activation, lr_multiplier, bias_init
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()
        self.weight_gain = lr_multiplier / in_features**0.5
        self.bias_gain = lr_multiplier

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew, from the global stream."""
        self.weight.normal_().div_(self.lr_multiplier)
        self.bias.fill_(self.bias_init / self.lr_multiplier)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features} -> {out_features}, {self.activation}"

    def wanted(self, dtype: torch.dtype) -> dict[str, ToScale]:
        """In the parameters' own type, which styles and what follows the feature maps have, too."""
        found = {"weight": ToScale(self.weight, self.weight_gain, self.weight.dtype)}
        if self.bias_gain != 1:
            found["bias"] = ToScale(self.bias, self.bias_gain, self.bias.dtype)
        return found

    def forward(self, x: Tensor) -> Tensor:
        weight = self.scaled("weight", self.weight_gain, x.dtype)
        bias = self.scaled("bias", self.bias_gain, x.dtype)
        return ops.bias_act(torch.addmm(bias, x, weight.T), act=self.activation)


class Conv2d(Equalized):
    """Convolution with optional bias, activation, clamp, and up- or downsampling; [N, Ci, H, W] to [N, Co, H', W'].

    Padding keeps the size (times up / down). `clamp` limits the result to +-clamp; `gain` multiplies both. `dilation`
    above 1 goes with neither up- nor downsampling.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_filter: Sequence[float] = (1, 3, 3, 1),
        clamp: float | None = None,
        dilation: int = 1,
        gain: float = 1.0,
    ):
        super().__init__()
        if dilation > 1 and (up, down) != (1, 1):
            raise ValueError("a dilated convolution neither enlarges nor reduces")
        self.up, self.down, self.padding, self.dilation = up, down, dilation * (kernel_size // 2), dilation
        self.activation, self.clamp, self.gain = activation, clamp, gain
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()
        self.weight_gain = (in_channels * kernel_size**2) ** -0.5
        self.register_buffer("resample_filter", ops.setup_filter(list(resample_filter)), persistent=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew, from the global stream; biases become 0."""
        self.weight.normal_()
        if self.bias is not None:
            self.bias.zero_()

    def extra_repr(self) -> str:
        co, ci, kernel, _ = self.weight.shape
        factors = "".join(f", {name} {value}" for name, value in (("up", self.up), ("down", self.down)) if value > 1)
        return f"{ci} -> {co}, {kernel}x{kernel}{factors}, {self.activation}"

    @property
    def is_bare(self) -> bool:
        """Whether nothing follows the convolution that could multiply by a gain."""
        return self.bias is None and self.activation == "linear" and self.clamp is None

    def wanted(self, dtype: torch.dtype) -> dict[str, ToScale]:
        """As takes_gain_late has it."""
        return {"weight": ToScale(self.weight, self.weight_gain * (self.gain if self.is_bare else 1.0), dtype)}

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`gain` multiplies the result, and its clamp, once more."""
        gain = self.gain * gain
        clamp = None if self.clamp is None else self.clamp * gain
        if ops.takes_gain_late(x) and not self.is_bare:
            before, after = 1.0, ACTIVATIONS[self.activation].gain * gain
        else:
            before, after = split_gain(self.activation, gain)
        if self.dilation == 1 and winograd.takes(x, self.weight, self.up, self.down, self.padding):
            scale = x.new_tensor(self.weight_gain * before).expand(len(x), len(self.weight))
            then: dict[str, Any] = {"act": self.activation, "gain": after, "clamp": clamp}
            return winograd.convolve(x, self.weight, out_scale=scale, bias=self._bias(before, x.dtype), **then)
        weight = self.scaled("weight", self.weight_gain * before, x.dtype)
        late = ops.adds_bias_late(x)  # where bias_act adds it for nothing, and sums up its gradient
        bias = self._bias(before, torch.promote_types(x.dtype, torch.float32) if late else x.dtype)
        x = self._convolve(x, weight, None if late else bias)
        return ops.bias_act(x, bias if late else None, act=self.activation, gain=after, clamp=clamp)

    def _bias(self, factor: float, dtype: torch.dtype) -> Tensor | None:
        return None if self.bias is None else self.scaled("bias", factor, dtype)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.dilation > 1:
            return F.conv2d(x, weight, bias, padding=self.padding, dilation=self.dilation)
        return ops.conv2d_resample(
            x,
            weight,
            self.resample_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            flip_weight=self.up == 1,
            bias=bias,
        )


def split_gain(activation: str, gain: float) -> tuple[float, float]:
    """The gain of an activation times `gain`, as (factor before it, factor after it).

    Before costs nothing, where it can join the weights; it is right for homogeneous activations only.
    """
    kind = ACTIVATIONS[activation]
    total = kind.gain * gain
    return (total, 1.0) if kind.homogeneous else (1.0, total)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of [N, D] to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps)
