"""The synthesis network: styles and heatmaps to images (Karras et al. 2020; EqGAN-SA figure 4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from torch_utils.devices import device_kind
from torch_utils.ops import bias_act, modulated_conv2d, setup_filter, takes_gain_late, upsample2d
from torch_utils.ops.bias_act import ACTIVATIONS
from training.choices import NoiseMode
from training.config import EncodingConfig, SynthesisConfig
from training.layouts.layout import HeatmapSource, registered
from training.networks.conditioning import UNCONDITIONED, Conditioning, LayerConditioning, check_layout, layer_inputs
from training.networks.layers import Conv2d, Equalized, Linear, ToScale, scaled_together, split_gain
from training.networks.precision import MixedPrecision
from training.networks.sel_indoor import modulated_conv2d_by_map, pointwise_by_map, style_map


@dataclass(frozen=True)
class Noise:
    """Where per-pixel noise comes from: a fixed map per layer, random numbers, or nowhere.

    `generator` is one torch.Generator for the whole batch, or one per sample (then a sample's noise does not depend
    on the batch it is in).
    """

    mode: NoiseMode = "const"
    generator: torch.Generator | Sequence[torch.Generator] | None = None

    def draw(self, constant: Tensor, count: int) -> Tensor | None:
        """Noise for a layer whose fixed map is `constant` [r, r]: that map, [count, 1, r, r], or None."""
        if self.mode == "none":
            return None
        if self.mode == "const":
            return constant
        if self.generator is None:
            raise ValueError("random noise needs a torch.Generator: Noise('random', generator)")
        if isinstance(self.generator, torch.Generator):
            return torch.randn([count, 1, *constant.shape], generator=self.generator, device=constant.device)
        each = [torch.randn([1, *constant.shape], generator=g, device=constant.device) for g in self.generator]
        return torch.stack(each)

    def at_once(self, constants: Sequence[Tensor], count: int) -> "Noise | DrawnNoise":
        """The same for all layers in turn, on a GPU drawn in one go where it is random; `constants`: their maps."""
        if self.mode != "random" or not isinstance(self.generator, torch.Generator) or not constants:
            return self
        if device_kind(constants[0]) != "cuda":
            return self
        sizes = [count * constant.numel() for constant in constants]
        numbers = torch.randn([sum(sizes)], generator=self.generator, device=constants[0].device)
        maps = zip(numbers.split(sizes), constants, strict=True)
        return DrawnNoise(iter([part.view(count, 1, *constant.shape) for part, constant in maps]))


@dataclass(frozen=True)
class DrawnNoise:
    """Noise that is there already, for one layer after the other."""

    maps: Iterator[Tensor]

    def draw(self, constant: Tensor, count: int) -> Tensor:
        return next(self.maps)


CONSTANT_NOISE = Noise("const")


class SynthesisLayer(nn.Module):
    """[SEL,] modulated 3x3 convolution, noise, bias and activation; with SEL_indoor, a style for every pixel."""

    noise_const: Tensor  # [resolution, resolution], where noise is used
    resample_filter: Tensor

    def __init__(
        self,
        ci: int,
        co: int,
        w_dim: int,
        resolution: int,
        config: SynthesisConfig,
        up: int = 1,
        conditioning: LayerConditioning = UNCONDITIONED,
    ):
        super().__init__()
        self.up, self.clamp, self.activation = up, config.conv_clamp, config.activation
        self.affine = Linear(w_dim, ci, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(co, ci, 3, 3))
        self.bias = nn.Parameter(torch.zeros(co))
        self.sel, self.objects, self.demodulation = conditioning.sel, conditioning.objects, conditioning.demodulation
        self.use_noise = config.use_noise
        if config.use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("resample_filter", setup_filter(list(config.resample_filter)), persistent=False)

    def forward(
        self, x: Tensor, w: Tensor, features: Tensor | None, noise: Noise | DrawnNoise, gain: float = 1.0
    ) -> Tensor:
        """x [N, ci, h, h], w [N, w_dim], heatmap features or None -> [N, co, h * up, h * up].

        With `objects`: w [N, n + 1, w_dim], and the heatmaps themselves [N, n, h, h].
        """
        if self.sel is not None:
            x = self.sel(x, features)
        before, after = split_gain(self.activation, gain)
        if takes_gain_late(x):
            before, after = 1.0, ACTIVATIONS[self.activation].gain * gain
        per_pixel = noise.draw(self.noise_const, len(x)) if self.use_noise else None
        how: dict[str, Any] = {
            "noise": per_pixel,
            "noise_strength": None if per_pixel is None else _times(self.noise_strength, before),
            "up": self.up,
            "padding": 1,
            "resample_filter": self.resample_filter,
            "flip_weight": self.up == 1,
            "gain": before,
            "bias": _times(self.bias, before),
            "act": self.activation,
            "act_gain": after,
            "clamp": None if self.clamp is None else self.clamp * gain,
        }
        if self.objects is None:
            return modulated_conv2d(x, self.weight, _styles(self.affine, w), **how)
        assert features is not None, "objects come with their heatmaps"
        styles = style_map(self.affine, self.objects, w, features)
        return modulated_conv2d_by_map(x, self.weight, styles, demodulation=self.demodulation, **how)

    def extra_repr(self) -> str:
        return _in_words(self, f"3x3{', up 2' if self.up > 1 else ''}{', noise' if self.use_noise else ''}")


def _times(x: Tensor, factor: float) -> Tensor:
    return x if factor == 1 else x * factor


def _styles(affine: Linear, w: Tensor) -> Tensor:
    """Styles [N, C] of w [N, w_dim]; one row, expanded, where w is that."""
    if len(w) > 1 and w.stride(0) == 0:
        return affine(w[:1]).expand(len(w), -1)
    return affine(w)


class ToRGB(Equalized):
    """[SEL,] modulated 1x1 convolution to image channels, without demodulation."""

    def __init__(
        self,
        ci: int,
        img_channels: int,
        w_dim: int,
        config: SynthesisConfig,
        conditioning: LayerConditioning = UNCONDITIONED,
    ):
        super().__init__()
        self.clamp = config.conv_clamp
        self.affine = Linear(w_dim, ci, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, ci, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.sel, self.objects = conditioning.sel, conditioning.objects
        self.style_gain = ci**-0.5

    def wanted(self, dtype: torch.dtype) -> dict[str, ToScale]:
        """Multiplied by styles in its own type, before it is brought to that of the feature maps."""
        return {} if self.objects is not None else {"weight": ToScale(self.weight, self.style_gain, self.weight.dtype)}

    def forward(self, x: Tensor, w: Tensor, features: Tensor | None) -> Tensor:
        """x [N, ci, h, h], w [N, w_dim], heatmap features or None -> [N, img_channels, h, h]; as in SynthesisLayer."""
        if self.sel is not None:
            x = self.sel(x, features)
        if self.objects is None and self.made is not None:
            weight = self.scaled("weight", self.style_gain, self.weight.dtype)
            x = modulated_conv2d(x, weight, _styles(self.affine, w), demodulate=False)
        elif self.objects is None:
            x = modulated_conv2d(x, self.weight, _styles(self.affine, w), demodulate=False, gain=self.style_gain)
        else:
            assert self.objects is not None
            assert features is not None, "objects come with their heatmaps"
            styles = style_map(self.affine, self.objects, w, features)
            x = pointwise_by_map(x, self.weight, styles.scaled(self.style_gain))
        return bias_act(x, self.bias, clamp=self.clamp)

    def extra_repr(self) -> str:
        return _in_words(self, "1x1")


def _in_words(layer: SynthesisLayer | ToRGB, rest: str) -> str:
    """What print(G) says of a layer: channels, kernel, conditioning."""
    co, ci = layer.weight.shape[:2]
    conditioning = "" if layer.sel is None else f", conditioned by {type(layer.sel).__name__}"
    return f"{ci} -> {co}, {rest}{conditioning or ('' if layer.objects is None else ', a style for each object')}"


class SynthesisBlock(nn.Module):
    """The layers of one resolution. The first block starts from a learnt constant and does not upsample."""

    resample_filter: Tensor

    def __init__(
        self,
        resolution: int,
        w_dim: int,
        img_channels: int,
        is_last: bool,
        config: SynthesisConfig,
        conditioning: Conditioning,
    ):
        super().__init__()
        self.is_first = resolution == 4
        self.architecture = config.architecture
        co = config.channels(resolution)
        if self.is_first:
            self.const = nn.Parameter(torch.randn(co, 4, 4))
        else:
            ci = config.channels(resolution // 2)
            of_conv0 = conditioning.of_layer(resolution, ci)
            self.conv0 = SynthesisLayer(ci, co, w_dim, resolution, config, 2, of_conv0)
            if self.architecture == "resnet":
                self.skip = Conv2d(
                    ci, co, 1, bias=False, up=2, resample_filter=config.resample_filter, gain=0.5**0.5
                )
        self.conv1 = SynthesisLayer(co, co, w_dim, resolution, config, 1, conditioning.of_layer(resolution, co))
        self.to_rgb: ToRGB | None = None
        if is_last or self.architecture == "skip":
            self.to_rgb = ToRGB(co, img_channels, w_dim, config, conditioning.of_layer(resolution, co))
        self.register_buffer("resample_filter", setup_filter(list(config.resample_filter)), persistent=False)

    @property
    def num_convs(self) -> int:
        return 1 if self.is_first else 2

    def styled_layers(self) -> Iterator[SynthesisLayer | ToRGB]:
        """The layers that take a w, in order."""
        yield from (layer for layer in (getattr(self, "conv0", None), self.conv1, self.to_rgb) if layer is not None)

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Sequence[Tensor],
        before: Tensor | None,
        at: Tensor | None,
        noise: Noise | DrawnNoise,
    ) -> tuple[Tensor, Tensor | None]:
        """x [N, C, r/2, r/2], img [N, img_channels, r/2, r/2], convs + 1 ws [N, (codes,) w_dim] -> the same at r.

        `before` and `at`: heatmap features for inputs of size r/2 (conv0) and r (the other layers), or None.
        """
        if self.is_first:
            x = self.conv1(x, ws[0], at, noise)
        elif self.architecture == "resnet":
            shortcut = self.skip(x)
            x = self.conv0(x, ws[0], before, noise)
            x = self.conv1(x, ws[1], at, noise, gain=0.5**0.5) + shortcut
        else:
            x = self.conv0(x, ws[0], before, noise)
            x = self.conv1(x, ws[1], at, noise)
        if img is not None:
            img = upsample2d(img, self.resample_filter)
        if self.to_rgb is not None:
            rgb = self.to_rgb(x, ws[self.num_convs], at)
            rgb = rgb.to(torch.promote_types(rgb.dtype, torch.float32))
            img = rgb if img is None else img + rgb
        return x, img


class SynthesisNetwork(MixedPrecision):
    """ws [N, num_ws, w_dim] and heatmaps -> images [N, img_channels, R, R], roughly in [-1, 1].

    The w of a block's to_rgb is also that of the next block's first convolution. With SEL_indoor, ws are
    [N, num_ws, n + 1, w_dim], the background's last; blocks that are not conditioned use the background's alone.
    """

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        config: SynthesisConfig,
        encoding: EncodingConfig | None = None,
    ):
        super().__init__()
        self.resolutions = [2**k for k in range(2, img_resolution.bit_length())]
        self.memory_format = torch.contiguous_format
        how = Conditioning(encoding, self.resolutions, w_dim)
        self.blocks = nn.ModuleDict(
            {str(r): SynthesisBlock(r, w_dim, img_channels, r == img_resolution, config, how) for r in self.resolutions}
        )
        self.num_ws = sum(self.block(r).num_convs for r in self.resolutions) + 1
        self.set_half(self.resolutions, config.num_fp16_res, config.half_type)
        codes = (encoding.codes,) if encoding is not None and how.has_objects else ()
        self.w_shape: tuple[int, ...] = (self.num_ws, *codes, w_dim)  # of one image
        self.is_layout_conditioned = how.is_layout_conditioned
        self.has_objects, self.encoded = how.has_objects, how.blocks
        self.encoder = how.make_encoder(img_resolution)
        self.registration = "corners" if encoding is None else encoding.registration
        how.draw_weights()

    def forward(
        self,
        ws: Tensor,
        layout: HeatmapSource | None = None,
        noise: Noise = CONSTANT_NOISE,
        block_outputs: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """`block_outputs`, where given, is filled with {r: features [N, C, r, r]} of every resolution r.

        Raises ValueError when ws has another shape, or a layout is missing or given to a network that takes none.
        """
        if ws.shape[1:-1] != self.w_shape[:-1]:
            wanted = ", ".join(map(str, ["N", *self.w_shape[:-1], "w_dim"]))
            raise ValueError(f"ws must be [{wanted}], not {list(ws.shape)}")
        check_layout(layout, self.is_layout_conditioned)
        layout = None if layout is None else registered(layout, self.registration)
        parts = [(self.blocks[str(r)], self.type_at(r, ws)) for r in self.resolutions]
        with scaled_together([(self.encoder, ws.dtype), *parts]):
            return self._run(ws, layout, noise, block_outputs)

    def _run(
        self, ws: Tensor, layout: HeatmapSource | None, noise: Noise, block_outputs: dict[int, Tensor] | None
    ) -> Tensor:
        features = {} if layout is None else layer_inputs(layout, self.encoder, self._encoded_inputs())
        count = ws.shape[0]  # unlike len(ws), not a constant to what traces the network
        x = self.block(4).const.expand(count, -1, -1, -1)  # [N, C, 4, 4]
        x = x.contiguous(memory_format=self.memory_format)
        img, start, drawn = None, 0, noise.at_once(self._noise_maps(), count)
        each = ws.unbind(1)  # one w [N, (codes,) w_dim] a layer, whose gradients come together in one operation
        for r in self.resolutions:
            block = self.block(r)
            window = each[start : start + block.num_convs + 1]
            if self.has_objects and r not in self.encoded:
                window = tuple(w[:, -1] for w in window)
            x, img = block(
                x.to(self.type_at(r, ws)), img, window, features.get((r, r // 2)), features.get((r, r)), drawn
            )  # x [N, C, r, r], img [N, img_channels, r, r]
            start += block.num_convs
            if block_outputs is not None:
                block_outputs[r] = x
        assert img is not None
        return img

    def block(self, resolution: int) -> SynthesisBlock:
        return cast(SynthesisBlock, self.blocks[str(resolution)])

    def _noise_maps(self) -> list[Tensor]:
        """The fixed maps of the layers that take noise, in order."""
        layers = (layer for r in self.resolutions for layer in self.block(r).styled_layers())
        return [layer.noise_const for layer in layers if isinstance(layer, SynthesisLayer) and layer.use_noise]

    def _encoded_inputs(self) -> list[tuple[int, int]]:
        """(block, input size) of every conditioned layer."""
        return [(r, size) for r in self.encoded for size in ((r // 2, r) if r > 4 else (r,))]
