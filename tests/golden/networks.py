"""Builds our networks from the constructor values in the golden files."""

from torch import Tensor

from tests.golden.cases import load
from training.config import DiscriminatorConfig, GeneratorConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator, set_memory_format

SIZES = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")


def generator_config(params: dict, **more) -> GeneratorConfig:
    sections = {"mapping": params["mapping_kwargs"], "synthesis": params["synthesis_kwargs"]}
    return GeneratorConfig(**{key: params[key] for key in SIZES if key in params}, **sections, **more)


def discriminator_config(params: dict) -> DiscriminatorConfig:
    """The label mapping of a discriminator keeps no mean of w."""
    given = {key: value for key, value in params.items() if key in DiscriminatorConfig.model_fields}
    blocks = {**params.get("block_kwargs", {}), **params.get("epilogue_kwargs", {})}
    return DiscriminatorConfig(**given, **blocks, mapping={"w_avg_beta": None, **params.get("mapping_kwargs", {})})


def make_generator(params: dict, state: dict[str, Tensor], channels_last: bool = False, **more) -> Generator:
    """`more`: further fields of GeneratorConfig."""
    net = load(Generator(generator_config(params, **more)), state)
    set_memory_format(net, channels_last)
    return net


def make_discriminator(params: dict, state: dict[str, Tensor], channels_last: bool = False) -> Discriminator:
    net = load(Discriminator(discriminator_config(params)), state)
    set_memory_format(net, channels_last)
    return net
