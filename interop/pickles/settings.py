"""The settings of a reference network, read off its modules: sizes of tensors and attributes of layers."""

import re
from collections.abc import Iterable
from typing import Any

import torch

from dnnlib.pickle_interpreter import NotPlain
from interop.pickles.modules import Tree
from interop.pickles.storages import StoredTensor
from interop.pickles.values import Module
from torch_utils.ops import setup_filter
from training.augment.settings import TransformsConfig

_NUMBER = (int, float)
_OPTIONAL_NUMBER = (int, float, type(None))
_USED_FILTER = re.compile(r"(synthesis\.b\d+\.(conv0\.|skip\.)?|b\d+\.(conv1\.|skip\.)?)resample_filter")
_LEVELS = ("b8", "b16", "b32")  # the released names of levels 0, 1, 2


def generator_settings(tree: Tree) -> dict[str, Any]:
    """For GeneratorConfig. Raises NotPlain when something is missing, or when layers differ where ours cannot."""
    sizes = {name: tree.attribute("", name, int) for name in ("z_dim", "c_dim", "w_dim", "img_resolution")}
    tensors = tree.tensors()
    resolutions = _resolutions(sizes["img_resolution"])
    widths = {r: _shape(tensors, f"synthesis.b{r}.conv1.weight", 4)[0] for r in resolutions}
    layers = [f"synthesis.b{r}.{name}" for r in resolutions for name in ("conv0", "conv1") if (r, name) != (4, "conv0")]
    synthesis = {
        **_convolutions(tree, tensors, widths, layers, [f"synthesis.b{r}" for r in resolutions]),
        "use_noise": _same(tree, layers, "use_noise", bool),
    }
    return {
        **sizes,
        "img_channels": tree.attribute("", "img_channels", int),
        "mapping": _mapping(tree, tensors, sizes["c_dim"]),
        "synthesis": synthesis,
        "encoding": _encoding(tree, tensors, resolutions),
    }


def discriminator_settings(tree: Tree) -> dict[str, Any]:
    """For DiscriminatorConfig; as generator_settings."""
    sizes = {name: tree.attribute("", name, int) for name in ("c_dim", "img_resolution", "img_channels")}
    tensors = tree.tensors()
    resolutions = _resolutions(sizes["img_resolution"])[:0:-1]  # without 4x4
    widths = {r: _shape(tensors, f"b{r}.conv0.weight", 4)[0] for r in resolutions}
    widths[4] = _shape(tensors, "b4.out.weight", 2)[1]
    layers = [f"b{r}.{name}" for r in resolutions for name in ("conv0", "conv1")] + ["b4.conv"]
    has_groups = "b4.mbstd" in tree.modules
    found = {
        **sizes,
        **_convolutions(tree, tensors, widths, layers, [f"b{r}" for r in resolutions]),
        "cmap_dim": tree.attribute("b4", "cmap_dim", int),
        "mbstd_group_size": tree.attribute("b4.mbstd", "group_size", (int, type(None))) if has_groups else None,
        "mbstd_num_channels": tree.attribute("b4.mbstd", "num_channels", int) if has_groups else 0,
    }
    if sizes["c_dim"] > 0:
        found["mapping"] = _mapping(tree, tensors, sizes["c_dim"])
    else:
        found["mapping"] = {"w_avg_beta": None}
    return found


def augment_settings(pipe: Any) -> dict[str, Any]:
    """For AugmentConfig: the strength that training had come to, and the multipliers."""
    if not isinstance(pipe, Module):
        return {}
    names = TransformsConfig.model_fields.keys() & pipe.state.keys()
    values = {name: pipe.state[name] for name in sorted(names)}
    strength = Tree(pipe).tensors().get("p")
    if strength is None or strength.shape != () or not strength.dtype.is_floating_point:
        raise NotPlain("the augmentation has no strength p")
    return {"mode": "fixed", "p": strength.tensor().item(), "transforms": values}


def _resolutions(largest: int) -> list[int]:
    if not 4 <= largest <= 1 << 14 or largest & (largest - 1):
        raise NotPlain("the size of its images is no power of two")
    return [2**k for k in range(2, largest.bit_length())]


def _convolutions(
    tree: Tree, tensors: dict[str, StoredTensor], widths: dict[int, int], layers: list[str], blocks: list[str]
) -> dict[str, Any]:
    """For ConvConfig. widths: {resolution: channels}."""
    half = sum(tree.attribute(block, "use_fp16", bool) for block in blocks)
    return {
        "architecture": _same(tree, blocks, "architecture", str),
        "channel_base": max(r * width for r, width in widths.items()),
        "channel_max": max(widths.values()),
        "num_fp16_res": half,
        "conv_clamp": _same(tree, layers, "conv_clamp", _OPTIONAL_NUMBER),
        "activation": _same(tree, layers, "activation", str),
        "resample_filter": _taps(tensors),
    }


def _mapping(tree: Tree, tensors: dict[str, StoredTensor], c_dim: int) -> dict[str, Any]:
    """For MappingConfig."""
    count = tree.attribute("mapping", "num_layers", int)
    if not 1 <= count <= 256:
        raise NotPlain("its mapping network has an impossible number of layers")
    layers = [f"mapping.fc{i}" for i in range(count)]
    return {
        "num_layers": count,
        "embed_features": _shape(tensors, "mapping.embed.weight", 2)[0] if c_dim > 0 else None,
        "layer_features": _shape(tensors, "mapping.fc0.weight", 2)[0] if count > 1 else None,
        "activation": _same(tree, layers, "activation", str),
        "lr_multiplier": _same(tree, layers, "bias_gain", _NUMBER),
        "w_avg_beta": tree.attribute("mapping", "w_avg_beta", _OPTIONAL_NUMBER),
    }


def _encoding(tree: Tree, tensors: dict[str, StoredTensor], resolutions: list[int]) -> dict[str, Any] | None:
    """For EncodingConfig, as released: heatmaps at image size, heard by every block that has such layers."""
    encoded = [r for r in resolutions if f"synthesis.b{r}.conv1.sel" in tree.modules]
    if not encoded:
        return None
    if encoded != resolutions[: len(encoded)]:
        raise NotPlain("its spatial encoding layers are not those of the lowest resolutions")
    return {
        "layer": "norm",
        "mode": "fine",
        "registration": "corners",
        "max_resolution": None if encoded == resolutions else encoded[-1],
        "counts": tuple(_shape(tensors, f"synthesis.hm_conv0_{level}.weight", 4)[1] for level in _LEVELS),
        "hidden_channels": _shape(tensors, "synthesis.b4.conv1.sel.shared.0.weight", 4)[0],
    }


def _taps(tensors: dict[str, StoredTensor]) -> list[float]:
    """The filter that enlarges and reduces, which has to be the same everywhere; that of other layers is not used."""
    found = [stored.tensor() for name, stored in tensors.items() if _USED_FILTER.fullmatch(name)]
    if not found:
        return [1, 3, 3, 1]
    taps = found[0].double() if found[0].ndim == 1 else found[0].double().sum(0)
    if taps.ndim != 1 or not 1 <= len(taps) <= 32 or not taps.isfinite().all() or taps[0] == 0:
        raise NotPlain("its filter for enlarging is not understood")
    whole = taps / taps[0]
    taps = whole.round() if torch.allclose(whole, whole.round(), rtol=0, atol=1e-4) else taps
    expected = setup_filter(taps.tolist())
    if any(each.shape != expected.shape or not torch.allclose(each.float(), expected, atol=1e-6) for each in found):
        raise NotPlain("its filters for enlarging and reducing differ, or are no product of two")
    return taps.tolist()


def _same(tree: Tree, paths: Iterable[str], name: str, kinds: type | tuple[type, ...]) -> Any:
    """An attribute that has to be the same in all of these modules."""
    values = [tree.attribute(path, name, kinds) for path in paths]
    if any(value != values[0] for value in values):
        raise NotPlain(f"its layers differ in {name}")
    return values[0]


def _shape(tensors: dict[str, StoredTensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors or len(tensors[name].shape) != dimensions:
        raise NotPlain(f"the tensor {name} is missing, or of an unexpected shape")
    return tensors[name].shape
