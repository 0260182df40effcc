"""A network file in words: whose it is, what it makes, how it is steered, how large it is."""

import math
from collections.abc import Mapping
from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.words import counted
from interop.exported import ADVICE, exported_at
from interop.pickles.families import PICKLE, SAFETENSORS, file_kind
from interop.pickles.reference_networks import read_reference
from torch_utils.tensor_files import TensorKind
from training.config import GeneratorConfig, RunConfig
from training.runs.snapshot import find_snapshot
from training.runs.sources import address_in
from training.runs.validation import open_stored

_PRIORS = {
    "paper": "level 0 normal around the middle, levels 1 and 2 around it",
    "released": "level 0 normal and clamped, levels 1 and 2 uniform around it",
    "multi-object": "objects anywhere in the image",
}


def describe(source: str) -> list[str]:
    """Lines about a snapshot, run, foreign pickle, address, or what was exported. Raises UserError when it is none."""
    path, exported = Path(source), exported_at(source)
    if exported is not None:
        return [f"{path}: {exported.kind}", *exported.lines, ADVICE]
    if address_in(source) is None and path.is_file() and file_kind(path) == PICKLE:
        found = read_reference(path)
        kinds = {name: TensorKind(tensor.dtype, tuple(tensor.shape)) for name, tensor in found.tensors.items()}
        origin = f"{path}: a network pickle of StyleGAN2-ADA (PyTorch) or EqGAN-SA, readable here"
        return [origin, *about_networks(found.config, found.kimg, kinds), f"SHA-256: {found.sha256}"]
    path = find_snapshot(source)
    if file_kind(path) != SAFETENSORS:
        raise UserError(f"{path}: no network that is known")
    stored, address = open_stored(path), address_in(source)
    fetched = [] if address is None else [f"{address}: fetched, and kept in the cache"]
    about = about_networks(stored.config(), stored.kimg, stored.file.kinds)
    return [*fetched, f"{path}: a snapshot of this program", *about]


def about_networks(config: RunConfig, kimg: float, kinds: Mapping[str, TensorKind]) -> list[str]:
    """What it is called, makes, takes, and weighs."""
    G = config.generator
    sizes = {name: _numbers(kinds, name) for name in ("G_ema", "D")}
    shown = f"{kimg:,g} thousand images" if kimg else "an unknown number of images"
    of = conditions(config) or "no classes"
    return [
        f"name: {config.name}; method {config.method}, backbone {G.backbone}; it has been shown {shown}",
        f"makes: images of {G.img_resolution}x{G.img_resolution}, {counted(G.img_channels, 'channel')}, {of}",
        f"takes: z of {G.z_dim} numbers, {counted(G.mapping.num_layers, 'layer')} to w of {G.w_dim}{_mean(G)}",
        f"layout: {layout_prior(config)}",
        f"numbers: {sizes['G_ema']:,} in the generator, {sizes['D']:,} in the discriminator",
        f"data: {config.data.path}{', mirrored' if config.data.mirror else ''}",
    ]


def layout_prior(config: RunConfig) -> str:
    """How layouts enter, and how they were drawn in training."""
    encoding = config.generator.encoding
    if encoding is None:
        return "none, it is not steered"
    counts = "/".join(map(str, encoding.counts))
    low, high = config.sampler.spread
    where = _PRIORS.get(config.sampler.kind, "see its code")
    levels = "objects" if len(encoding.counts) == 1 else "centres at levels 0/1/2"
    return (
        f"{counts} {levels}, heard by SEL {encoding.layer} ({encoding.mode}); sampler {config.sampler.kind} ({where}), "
        f"spreads {low:g} to {high:g}"
    )


def _numbers(kinds: Mapping[str, TensorKind], network: str) -> int:
    return sum(math.prod(kind.shape) for name, kind in kinds.items() if name.startswith(f"{network}."))


def conditions(config: RunConfig) -> str:
    """What pictures are made of besides a latent and a layout; "" for nothing."""
    G = config.generator
    if G.c_dim == 0:
        return ""
    if config.data.condition == "text":
        return f"captions of up to {counted(G.c_dim, 'word')}, of {G.c_values - 1:,} that are known"
    if config.data.condition == "label-map":
        return f"label maps of {counted(G.c_values, 'class', 'classes')}"
    if config.data.label_examples:
        return f"labels of {counted(G.c_dim, 'number')}"
    return counted(G.c_dim, "class", "classes")


def _mean(G: GeneratorConfig) -> str:
    return "" if G.mapping.w_avg_beta is not None else "; no mean style, so no truncation"
