"""A model as a function of named tensors: what ONNX files and exported programs hold (interop/onnx_export.py).

Latents become styles, centres become heatmaps, both become the image; all inside one module with a fixed order of
inputs, whose batch size is free.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from interop.plain_networks import plain
from training.config import Registration
from training.layouts.layout import Layout
from training.networks.mapping import MappingNetwork
from training.networks.synthesis import Noise
from training.sampling import Model

VERSION = 1  # of what `about` says

Latent = Literal["z", "ws"]
FixedNoise = Literal["const", "none"]


@dataclass(frozen=True)
class ExportOptions:
    """What an exported program takes and does.

    latent: "z" (with psi, and labels where the model has them) or "ws", final styles. noise_mode: the model's own
    per-pixel noise, or none. truncation_cutoff: psi acts in this many first layers; None: in all.
    """

    latent: Latent = "z"
    noise_mode: FixedNoise = "const"
    truncation_cutoff: int | None = None


DEFAULT = ExportOptions()


class Exportable(nn.Module):
    """forward(*inputs), in the order of `input_names` -> tuple, in the order of `output_names`.

    Raises UserError for a model that takes a flattened layout as a part of z, and is to be exported for ws.
    """

    truncated: Tensor  # [num_ws, 1, ...], 1 in the layers that psi acts in

    def __init__(self, model: Model, options: ExportOptions = DEFAULT):
        super().__init__()
        config = model.config.generator
        self.G = plain(model.G)
        self.options, self.counts = options, () if config.encoding is None else tuple(config.encoding.counts)
        self.registration: Registration = "corners" if config.encoding is None else config.encoding.registration
        self.c_dim, self.img_resolution = config.c_dim, config.img_resolution
        self.latent_shape = config.latent_shape if options.latent == "z" else model.G.w_shape
        if options.latent == "ws" and options.truncation_cutoff is not None:
            raise UserError("styles ws are final: a truncation cutoff has no meaning for them")
        first = self.G.num_ws if options.truncation_cutoff is None else options.truncation_cutoff
        mask = (torch.arange(self.G.num_ws) < first).float()
        self.register_buffer("truncated", mask.reshape(-1, *[1] * (len(self.G.w_shape) - 1)), persistent=False)

    @property
    def mean_style(self) -> Tensor | None:
        """[w_dim], towards which psi pulls; None of a model that keeps none."""
        mapping = getattr(self.G, "mapping", None)
        return getattr(mapping, "w_avg", None) if isinstance(mapping, MappingNetwork) else None

    @property
    def truncates(self) -> bool:
        """Whether it takes psi, with latents z."""
        return self.mean_style is not None

    @property
    def input_names(self) -> list[str]:
        """In the order that forward takes them."""
        names: list[str] = [self.options.latent]
        if self.options.latent == "z":
            names += ["c"] * (self.c_dim > 0) + ["psi"] * self.truncates
        parts = ("centers", "spreads", "strengths")
        return names + [f"{part}_{level}" for level in range(len(self.counts)) for part in parts]

    @property
    def output_names(self) -> list[str]:
        """In the order that forward returns them."""
        styles = ["ws"] if self.options.latent == "z" else []
        return ["image", *styles, *(f"heatmap_{level}" for level in range(len(self.counts)))]

    def shapes(self) -> dict[str, list[int | str]]:
        """{input: its shape}, where "N" is the free number of pictures."""
        found: dict[str, list[int | str]] = {self.options.latent: ["N", *self.latent_shape], "c": ["N", self.c_dim]}
        found["psi"] = [1]
        for level, n in enumerate(self.counts):
            found |= {f"centers_{level}": ["N", n, 2], f"spreads_{level}": ["N", n], f"strengths_{level}": ["N", n]}
        return {name: found[name] for name in self.input_names}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.input_names, inputs, strict=True))
        layout = self._layout(given)
        ws = given["ws"] if self.options.latent == "ws" else self._styles(given, layout)
        image = self.G.synthesis(ws, layout, Noise(self.options.noise_mode))
        styles = [ws] if self.options.latent == "z" else []
        levels = range(len(self.counts))
        heatmaps = [] if layout is None else [layout.heatmaps(level, self.img_resolution) for level in levels]
        return (image, *styles, *heatmaps)

    def _styles(self, given: dict[str, Tensor], layout: Layout | None) -> Tensor:
        """[N, *w_shape], truncated by psi where the model has a mean style."""
        ws, mean = self.G.styles(given["z"], given.get("c"), layout=layout), self.mean_style
        if mean is None:
            return ws
        pulled = (given["psi"] - 1) * self.truncated + 1  # psi, or 1 beyond the cutoff
        return mean + pulled * (ws - mean)

    def _layout(self, given: dict[str, Tensor]) -> Layout | None:
        levels = range(len(self.counts))
        if not levels:
            return None
        parts = ("centers", "spreads", "strengths")
        centers, spreads, strengths = (tuple(given[f"{part}_{k}"] for k in levels) for part in parts)
        return Layout(centers, spreads, strengths, registration=self.registration)


def example_inputs(exportable: Exportable, model: Model, count: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of `count` pictures: latents and layouts as the model draws them, strengths and psi other than 1."""
    seeds, stream = list(range(seed, seed + count)), torch.Generator().manual_seed(seed)
    z = model.latents(seeds).cpu()
    labels = torch.nn.functional.one_hot(torch.arange(count) % max(exportable.c_dim, 1), max(exportable.c_dim, 1))
    given = {"z": z, "c": labels.float(), "psi": torch.rand([1], generator=stream) * 0.5 + 0.5}
    layout = model.layout(seeds)
    if layout is not None:
        for level, n in enumerate(exportable.counts):
            given[f"centers_{level}"] = layout.centers[level].cpu()
            given[f"spreads_{level}"] = layout.spreads[level].cpu().contiguous()
            given[f"strengths_{level}"] = torch.rand([count, n], generator=stream)
    if exportable.options.latent == "ws":
        c = given["c"] if exportable.c_dim else None
        with torch.inference_mode():
            at = None if layout is None else layout.to(model.device)
            ws = model.G.styles(z.to(model.device), None if c is None else c.to(model.device), layout=at)
        given["ws"] = ws.cpu()
    return {name: given[name].clone() for name in exportable.input_names}


def eager_images(model: Model, exportable: Exportable, given: dict[str, Tensor]) -> Tensor:
    """What Model.images makes of the same inputs, [N, C, R, R] on the CPU."""
    options = exportable.options
    images = partial(model.images, noise_mode=options.noise_mode, layout=exportable._layout(given))
    if "ws" in given:
        return images(ws=given["ws"]).cpu()
    if exportable.truncates:
        images = partial(images, truncation_psi=given["psi"].item(), truncation_cutoff=options.truncation_cutoff)
    return images(z=given["z"], labels=given.get("c")).cpu()


def about(exportable: Exportable, model: Model) -> dict[str, Any]:
    """What an exported file says of itself."""
    config = model.config.generator
    sampler = {"kind": model.config.sampler.kind, "spread": list(model.config.sampler.spread)}
    sizes = {name: getattr(config, name) for name in ("img_resolution", "img_channels", "c_dim", "z_dim", "w_dim")}
    return {
        "version": VERSION,
        "method": model.config.method,
        "kimg": model.kimg,
        "counts": list(exportable.counts),
        **sizes,
        "num_ws": model.G.num_ws,
        "registration": exportable.registration,
        "latent": exportable.options.latent,
        "noise_mode": exportable.options.noise_mode,
        "sampler": sampler,
        "inputs": exportable.shapes(),
    }
