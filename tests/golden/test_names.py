"""Every parameter and buffer of the released networks has its counterpart in ours, of the same shape, and back."""

import functools

import pytest
import torch
from torch import nn

from tests.golden.cases import read
from training.config import DiscriminatorConfig, EncodingConfig, GeneratorConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.networks.reference_names import translate

NAMES, SEL_NAMES = "stylegan2_names.json", "eqgan_sel_names.json"
RELEASED = EncodingConfig(mode="fine", max_resolution=None)


def settings(config: str) -> dict:
    """Numbers of the named base configuration."""
    entries = read("ema_and_schedule.json")["base_configs"]
    return next(entry for entry in entries if entry["args"]["cfg"] == config)


@functools.cache
def networks(config: str, encoding: EncodingConfig | None = None) -> dict[str, nn.Module]:
    """Our generator and discriminator, on the meta device: shapes without numbers."""
    given = settings(config)
    channels = {key: given[key] for key in ("channel_base", "channel_max", "num_fp16_res", "conv_clamp")}
    sizes = {key: given[key] for key in ("z_dim", "w_dim")}
    resolution = given["args"]["resolution"]
    mapping = {"num_layers": given["mapping_layers"]}
    G = GeneratorConfig(**sizes, img_resolution=resolution, mapping=mapping, synthesis=channels, encoding=encoding)
    with torch.device("meta"):
        D = Discriminator(DiscriminatorConfig(img_resolution=resolution, **channels))
        return {"generator": Generator(G), "discriminator": D}


CASES = [
    pytest.param(NAMES, None, "generator", id="stylegan2-generator"),
    pytest.param(NAMES, None, "discriminator", id="stylegan2-discriminator"),
    pytest.param(SEL_NAMES, RELEASED, "generator", id="eqgan_sel-generator"),
]
each_network = pytest.mark.parametrize("file, encoding, which", CASES)


@each_network
@pytest.mark.parametrize("kind", ["parameter", "buffer"])
def test_names_and_shapes_are_those_of_the_release(file: str, encoding: EncodingConfig | None, which: str, kind: str):
    document = read(file)
    net = networks(document["config"], encoding)[which]
    ours = dict(net.named_parameters() if kind == "parameter" else net.named_buffers())
    kept = {name for name in net.state_dict() if name in ours}
    entries = [entry for entry in document[which] if entry["kind"] == kind]
    theirs = {translate(entry["name"]): entry["shape"] for entry in entries if translate(entry["name"]) is not None}
    assert {name: list(ours[name].shape) for name in kept} == theirs


@each_network
def test_no_two_names_become_one(file: str, encoding: EncodingConfig | None, which: str):
    translated = [translate(entry["name"]) for entry in read(file)[which]]
    kept = [name for name in translated if name is not None]
    assert len(kept) == len(set(kept))


def test_parameter_counts():
    plain, steerable = read(NAMES), read(SEL_NAMES)
    found = networks(plain["config"])
    assert count(found["generator"]) == plain["G_parameters"]
    assert count(found["discriminator"]) == plain["D_parameters"]
    assert count(networks(steerable["config"], RELEASED)["generator"]) == steerable["parameters"]


@pytest.mark.parametrize("file, encoding", [(NAMES, None), (SEL_NAMES, RELEASED)])
def test_number_of_styles(file: str, encoding: EncodingConfig | None):
    document = read(file)
    assert networks(document["config"], encoding)["generator"].num_ws == document["num_ws"]


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
