"""A generator in plain operators, for programs that trace it: the same numbers, in float32, up to rounding.

The layers of this project choose among operators by device, size and measurement. Nothing of that belongs into an
exported program. Here every layer is replaced by a twin whose filters are constants: a modulated convolution scales its
input by the styles and its output by the demodulation coefficients (StyleGAN2, section 2), and an enlarging one is a
transposed convolution and a filter for each channel. Pictures are enlarged by a convolution that makes the four phases
of the larger one, which are then sorted into place (Shi et al. 2016, "Efficient sub-pixel convolution").
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_utils.ops.bias_act import ACTIVATIONS
from torch_utils.ops.modulated_conv2d import filter_energy
from training.networks.backbones import GeneratorNetwork, Module
from training.networks.generator import set_memory_format
from training.networks.layers import Conv2d, Linear, split_gain
from training.networks.sel_indoor import style_map
from training.networks.synthesis import Noise, SynthesisBlock, SynthesisLayer, ToRGB


def plain(generator: GeneratorNetwork) -> GeneratorNetwork:
    """A copy on the CPU, in evaluation mode, whose layers are twins in plain operators; the original is left alone."""
    made = copy.deepcopy(generator).to("cpu", torch.float32).eval().requires_grad_(False)
    set_memory_format(made, channels_last=False)
    for module in list(made.modules()):
        vars(module).pop("_equalized_layers", None)  # what `scaled_together` found before
        if hasattr(module, "half_resolutions"):
            vars(module)["half_resolutions"] = set()
    _replace_children(made)
    return made


def _replace_children(module: Module) -> None:
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))


def _replaced(module: nn.Module) -> nn.Module:
    """The twin of a module, or the module itself with its children replaced."""
    _replace_children(module)
    twin = _TWINS.get(type(module))
    return module if twin is None else twin(module)


class _Linear(nn.Module):
    """Linear with its weights scaled beforehand."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: Linear):
        super().__init__()
        self.activation = layer.activation
        self.register_buffer("weight", layer.weight.detach() * layer.weight_gain)
        self.register_buffer("bias", layer.bias.detach() * layer.bias_gain)

    def forward(self, x: Tensor) -> Tensor:
        return _activated(F.linear(x, self.weight, self.bias), self.activation)


class _Convolution(nn.Module):
    """Conv2d with its weights scaled beforehand; enlarging or keeping the size."""

    bias: Tensor | None

    def __init__(self, layer: Conv2d):
        super().__init__()
        if layer.down != 1:
            raise ValueError("a generator does not reduce")
        self.activation, self.clamp, self.gain = layer.activation, layer.clamp, layer.gain
        weight = layer.weight.detach() * layer.weight_gain
        self.convolve = Filters(weight, layer.up, layer.resample_filter, layer.padding, layer.dilation)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        before, after = split_gain(self.activation, self.gain * gain)
        x = self.convolve(x, self.bias)
        x = _activated(x, self.activation, 1.0 if before != 1 and after == 1 else after)
        x = x if before == 1 else x * before
        return x if self.clamp is None else _clamped(x, self.clamp * self.gain * gain)


class Filters(nn.Module):
    """A convolution with constant filters that keeps the size, or doubles it and smooths.

    weight [Co, Ci, k, k]: correlated where the size stays, convolved where it doubles. padding: k // 2 for "same".
    """

    weight: Tensor
    smooth: Tensor | None

    def __init__(self, weight: Tensor, up: int, resample_filter: Tensor, padding: int, dilation: int = 1):
        super().__init__()
        if up not in (1, 2):
            raise ValueError(f"a generator enlarges by 2, not by {up}")
        self.up, self.padding, self.dilation = up, padding, dilation
        self.register_buffer("smooth", None)
        self.margins = (0, 0)
        if up == 2 and weight.shape[2] == 1:
            weight = phase_filters(weight, resample_filter, padding)
            self.padding = weight.shape[2] // 2
        elif up == 2:
            taps = resample_filter if resample_filter.ndim == 2 else resample_filter.outer(resample_filter)
            self.margins = _margins(weight.shape[2], len(taps), padding)
            self.smooth = taps.flip((0, 1)).mul(4).expand(len(weight), 1, -1, -1).contiguous()
            weight = weight.transpose(0, 1)
        self.register_buffer("weight", weight.contiguous())

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.up == 1:
            return F.conv2d(x, self.weight, bias, padding=self.padding, dilation=self.dilation)
        if self.smooth is None:  # in phases
            x = F.pixel_shuffle(F.conv2d(x, self.weight, padding=self.padding), 2)
        else:
            x = self._filtered(F.conv_transpose2d(x, self.weight, stride=2), self.smooth)
        return x if bias is None else x + bias[:, None, None]

    def _filtered(self, x: Tensor, taps: Tensor) -> Tensor:
        """The filter over every channel by itself; what it needs beyond the border is 0."""
        before, after = self.margins
        if before == after >= 0:
            return F.conv2d(x, taps, padding=before, groups=x.shape[1])
        return F.conv2d(F.pad(x, [before, after, before, after]), taps, groups=x.shape[1])


def _margins(kernel: int, taps: int, padding: int) -> tuple[int, int]:
    """Rows of zeros before and after what a transposed convolution gives, for a filter that makes it twice the size.

    Negative: rows too many. The first row is that in which both filters, as one, are centred on the first pixel.
    """
    first = kernel + taps - 2 - padding - (taps + 1) // 2
    return taps - 1 - first, first + 2 - kernel


def phase_filters(weight: Tensor, resample_filter: Tensor, padding: int) -> Tensor:
    """Filters [4 Co, Ci, 2 r + 1, 2 r + 1] for the four phases of a convolution that doubles the size.

    weight [Co, Ci, k, k] (turned by 180 degrees, as enlarging layers use it); resample_filter [n, n] or [n];
    padding: on the enlarged picture, k // 2. Output channel 4 c + 2 a + b is that of the pixels (2 i + a, 2 j + b).
    """
    taps = resample_filter if resample_filter.ndim == 2 else resample_filter.outer(resample_filter)
    whole = _convolved(weight, taps * 4)  # both filters as one; the zeros between pixels take a gain of 4
    before = padding + (len(taps) + 1) // 2
    size, radius = whole.shape[2], (max(before, whole.shape[2] - before) + 1) // 2
    filters = whole.new_zeros([len(weight), 2, 2, weight.shape[1], 2 * radius + 1, 2 * radius + 1])
    places = [_taps_of_phase(phase, before, size, radius) for phase in (0, 1)]
    for a, (rows, from_rows) in enumerate(places):
        for b, (columns, from_columns) in enumerate(places):
            if rows and columns:  # a filter of one tap leaves phases empty
                part = whole[:, :, from_rows][:, :, :, from_columns]
                filters[:, a, b, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = part
    return filters.flatten(0, 2)


def _taps_of_phase(phase: int, before: int, size: int, radius: int) -> tuple[list[int], list[int]]:
    """Where the taps of a phase come from: positions in its filter, and in the whole one of `size` taps."""
    pairs = [(d + radius, 2 * d - phase + before) for d in range(-radius, radius + 1)]
    inside = [(to, source) for to, source in pairs if 0 <= source < size]
    return [to for to, _ in inside], [source for _, source in inside]


def _convolved(weight: Tensor, taps: Tensor) -> Tensor:
    """weight [Co, Ci, k, k] convolved with taps [n, n], as filters that are correlated: [Co, Ci, k + n - 1, ...]."""
    each = F.conv2d(weight.flatten(0, 1)[:, None], taps.flip((0, 1))[None, None], padding=len(taps) - 1)
    return each.unflatten(0, weight.shape[:2])[:, :, 0].flip((2, 3))


class _StyledLayer(nn.Module):
    """SynthesisLayer: modulation on feature maps, with filters that never change."""

    energy: Tensor
    bias: Tensor
    noise_const: Tensor  # where noise is used

    def __init__(self, layer: SynthesisLayer):
        super().__init__()
        self.activation, self.clamp = layer.activation, layer.clamp
        self.affine, self.sel, self.objects = layer.affine, layer.sel, layer.objects
        weight = layer.weight.detach()
        self.convolve = Filters(weight, layer.up, layer.resample_filter, 1)
        self.register_buffer("energy", filter_energy(weight).T.contiguous())  # [Ci, Co]
        self.register_buffer("bias", layer.bias.detach()[:, None, None].clone())
        self.use_noise = layer.use_noise
        if layer.use_noise:
            self.register_buffer("noise_const", layer.noise_const * layer.noise_strength.detach())

    def forward(self, x: Tensor, w: Tensor, features: Tensor | None, noise: Noise, gain: float = 1.0) -> Tensor:
        """As SynthesisLayer; the noise is that of the layer, or none."""
        x = x if self.sel is None else self.sel(x, features)
        if self.objects is None:
            styles = self.affine(w)
            scale, styles = styles, styles[:, :, None, None]
        else:
            assert features is not None, "objects come with their heatmaps"
            by_pixel = style_map(self.affine, self.objects, w, features)
            scale, styles = by_pixel.mean(), by_pixel.pixels(x)
        before, after = split_gain(self.activation, gain)
        coefficients = torch.rsqrt(scale.square() @ self.energy + 1e-8) * before
        added = self.bias if not self.use_noise or noise.mode == "none" else self.bias + self.noise_const
        y = self.convolve(x * styles) * coefficients[:, :, None, None] + added * before
        y = _activated(y, self.activation, after)
        return y if self.clamp is None else _clamped(y, self.clamp * gain)


class _ToRGB(nn.Module):
    """ToRGB: modulation on feature maps, no demodulation."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: ToRGB):
        super().__init__()
        self.clamp, self.affine, self.sel, self.objects = layer.clamp, layer.affine, layer.sel, layer.objects
        self.register_buffer("weight", layer.weight.detach() * layer.style_gain)
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor, w: Tensor, features: Tensor | None) -> Tensor:
        x = x if self.sel is None else self.sel(x, features)
        if self.objects is None:
            styles = self.affine(w)[:, :, None, None]
        else:
            assert features is not None, "objects come with their heatmaps"
            styles = style_map(self.affine, self.objects, w, features).pixels(x)
        y = F.conv2d(x * styles, self.weight, self.bias)
        return y if self.clamp is None else _clamped(y, self.clamp)


class _Block(nn.Module):
    """SynthesisBlock, whose pictures are enlarged by a convolution with constant filters."""

    conv0: nn.Module  # but in the first block
    conv1: nn.Module
    skip: nn.Module  # where the architecture has one
    to_rgb: _ToRGB  # the same

    def __init__(self, block: SynthesisBlock):
        super().__init__()
        self.is_first, self.architecture, self.num_convs = block.is_first, block.architecture, block.num_convs
        for name in ("conv0", "conv1", "skip", "to_rgb", "const"):
            if getattr(block, name, None) is not None:
                setattr(self, name, getattr(block, name))
        if not self.is_first and self.architecture == "skip":
            pictures = self.to_rgb.bias.numel()
            each = torch.eye(pictures)[:, :, None, None]  # every channel by itself
            self.enlarge = Filters(each, 2, block.resample_filter, 0)

    def forward(
        self,
        x: Tensor,
        img: Tensor | None,
        ws: Sequence[Tensor],
        before: Tensor | None,
        at: Tensor | None,
        noise: Noise,
    ) -> tuple[Tensor, Tensor | None]:
        """As SynthesisBlock."""
        shortcut = self.skip(x) if hasattr(self, "skip") else None
        if not self.is_first:
            x = self.conv0(x, ws[0], before, noise)
        x = self.conv1(x, ws[self.num_convs - 1], at, noise, gain=1.0 if shortcut is None else 0.5**0.5)
        x = x if shortcut is None else x + shortcut
        if hasattr(self, "to_rgb"):
            rgb = self.to_rgb(x, ws[self.num_convs], at)
            img = rgb if img is None else self.enlarge(img) + rgb
        return x, img

    def styled_layers(self) -> list[nn.Module]:
        return []


def _activated(x: Tensor, activation: str, gain: float | None = None) -> Tensor:
    """Activation and gain (None: the activation's own)."""
    kind = ACTIVATIONS[activation]
    y = kind.function(x, kind.alpha)
    gain = kind.gain if gain is None else gain
    return y if gain == 1 else y * gain


def _clamped(x: Tensor, limit: float) -> Tensor:
    return x.clamp(-limit, limit)


_TWINS: dict[type, Callable[[Any], nn.Module]] = {  # of a layer of that type
    Linear: _Linear,
    Conv2d: _Convolution,
    SynthesisLayer: _StyledLayer,
    ToRGB: _ToRGB,
    SynthesisBlock: _Block,
}
