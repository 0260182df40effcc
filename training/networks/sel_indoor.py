"""SEL_indoor: one style for each object and one for the background, joined to a map of styles."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torch_utils.ops import bias_act, conv2d_resample, winograd
from torch_utils.ops.modulated_conv2d import bounded_filters, filter_energy, pointwise
from training.networks.layers import Linear


@dataclass(frozen=True)
class StyleMap:
    """S(p) = sum_i objects_i heatmaps_i(p) + background (SpatialGAN, equation 3).

    objects [N, n, C], heatmaps [N, n, h, w], background [N, C].
    """

    objects: Tensor
    heatmaps: Tensor
    background: Tensor

    def mean(self) -> Tensor:
        """The mean of S over the pixels, [N, C]; S itself is not made."""
        weights = self.heatmaps.mean((2, 3))
        return torch.baddbmm(self.background[:, None], weights[:, None], self.objects)[:, 0]

    def scaled(self, factor: Tensor | float) -> "StyleMap":
        """factor * S, for numbers [N, 1] or one number."""
        per_object = factor[:, None] if isinstance(factor, Tensor) else factor
        return StyleMap(self.objects * per_object, self.heatmaps, self.background * factor)

    def bound(self) -> Tensor:
        """Numbers [N, 1] that |S| nowhere exceeds, as heatmaps are within [0, 1]; positive unless S is 0."""
        return (self.objects.abs().sum(1) + self.background.abs()).amax(1, keepdim=True)

    def evening(self) -> Tensor:
        """Factors [N, 1, h, w] that bring S at each pixel to the size of its mean (root mean square over channels).

        Sizes come from the products of the n + 1 styles with each other, so that S itself is not made.
        """
        styles = torch.cat([self.objects, self.background[:, None]], 1)
        weights = torch.cat([self.heatmaps.flatten(2), torch.ones_like(self.heatmaps[:, :1]).flatten(2)], 1)
        products = styles @ styles.transpose(1, 2)  # [N, n + 1, n + 1]
        sizes = ((products @ weights) * weights).sum(1, keepdim=True)  # [N, 1, hw]
        mean = self.mean().square().sum(1)[:, None, None]
        return ((mean + 1e-8) / (sizes.clamp_min(0) + 1e-8)).sqrt().unflatten(2, self.heatmaps.shape[2:])

    def pixels(self, like: Tensor) -> Tensor:
        """S as [N, C, h, w] in the type and memory format of `like` [N, C, h, w]."""
        objects, background = self.objects.to(like.dtype), self.background.to(like.dtype)
        heatmaps = self.heatmaps.to(like.dtype).flatten(2)
        if like.is_contiguous(memory_format=torch.channels_last):
            rows = torch.baddbmm(background[:, None], heatmaps.transpose(1, 2), objects)  # [N, hw, C]
            return rows.unflatten(1, like.shape[2:]).permute(0, 3, 1, 2)  # [N, C, h, w]
        return torch.baddbmm(background[:, :, None], objects.transpose(1, 2), heatmaps).unflatten(2, like.shape[2:])


class ObjectAffine(nn.Module):
    """Styles of the objects from their w: bias 0, so that an object begins as a deviation from the background.

    One affine map serves all objects, so their order does not matter.
    """

    def __init__(self, w_dim: int, channels: int):
        super().__init__()
        self.affine = Linear(w_dim, channels)

    def forward(self, ws: Tensor) -> Tensor:
        """w [N, n, w_dim] -> [N, n, channels]."""
        return self.affine(ws.flatten(0, 1)).unflatten(0, ws.shape[:2])  # [N, n, channels]


def style_map(background: Linear, objects: ObjectAffine, ws: Tensor, heatmaps: Tensor) -> StyleMap:
    """The styles of a layer from its w [N, n + 1, w_dim], the background's last, and heatmaps [N, n, h, w]."""
    return StyleMap(objects(ws[:, :-1]), heatmaps, background(ws[:, -1]))


def modulated_conv2d_by_map(
    x: Tensor,
    weight: Tensor,
    styles: StyleMap,
    noise: Tensor | None = None,
    up: int = 1,
    padding: int = 0,
    resample_filter: Tensor | None = None,
    flip_weight: bool = True,
    gain: float = 1.0,
    bias: Tensor | None = None,
    act: str = "linear",
    act_gain: float = 1.0,
    clamp: float | None = None,
    noise_strength: Tensor | None = None,
    demodulation: str = "mean",
) -> Tensor:
    """modulated_conv2d with a style for every pixel: x S(p), convolved, times gain over the norms of the filters.

    The filters' norms are those of the weights scaled by the spatial mean of S. Where heatmaps are high, S is larger,
    so activations inside objects are, and more so from layer to layer; demodulation "pixel" brings S(p) to the size of
    that mean first (ours). Arguments as in modulated_conv2d.
    """
    if x.dtype == torch.float16:  # keep products in range; demodulation cancels both factors
        weight = bounded_filters(weight)
        styles = styles.scaled(1 / styles.bound())
    coefficients = torch.rsqrt(styles.mean().square() @ filter_energy(weight).T + 1e-8) * gain
    y = x * styles.pixels(x)
    if demodulation == "pixel":
        y = y * styles.evening().to(y.dtype)
    if winograd.takes(y, weight, up, 1, padding, resample_filter):
        noise = noise if noise is None or noise_strength is None else noise * noise_strength
        scales, f = (None, coefficients), resample_filter
        return winograd.convolve(y, weight, flip_weight, *scales, noise, bias, act, act_gain, clamp, up, f)
    y = conv2d_resample(y, weight.to(x.dtype), resample_filter, up, padding=padding, flip_weight=flip_weight)
    then: dict[str, Any] = {"act": act, "gain": act_gain, "clamp": clamp}
    then |= {"noise": noise, "noise_strength": noise_strength}
    return bias_act(y, bias, scale=coefficients, **then)


def pointwise_by_map(x: Tensor, weight: Tensor, styles: StyleMap) -> Tensor:
    """A 1x1 convolution of x S(p), without demodulation: x [N, C, h, w], weight [Co, C, 1, 1] -> [N, Co, h, w].

    With few output channels it is cheaper to convolve once for each code, and to weigh the results by the heatmaps. The
    background is convolved by itself, so that heatmaps of 0 leave what a modulated convolution with its code gives.
    """
    y = pointwise(x, weight, styles.background)
    scaled = (styles.objects[:, :, None] * weight[:, :, 0, 0]).flatten(1, 2).to(x.dtype)  # [N, n Co, C]
    heatmaps = styles.heatmaps.to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last):
        rows = x.permute(0, 2, 3, 1).flatten(1, 2) @ scaled.transpose(1, 2)  # [N, hw, n Co]
        each = rows.unflatten(2, (-1, len(weight))).unflatten(1, x.shape[2:])  # [N, h, w, n, Co]
        return y + (each * heatmaps.permute(0, 2, 3, 1)[..., None]).sum(3).permute(0, 3, 1, 2)
    each = (scaled @ x.flatten(2)).unflatten(1, (-1, len(weight))).unflatten(3, x.shape[2:])  # [N, n, Co, h, w]
    return y + (each * heatmaps[:, :, None]).sum(1)
