"""Whether what a configuration names is there: backbone, encoding layer, sampler, adversarial loss."""

from collections.abc import Iterator, Mapping

from dnnlib.errors import UserError
from dnnlib.registry import Registry
from training.config import RunConfig
from training.layouts.samplers import SAMPLERS
from training.losses.adversarial import ADVERSARIAL_LOSSES
from training.networks.backbones import BACKBONES, Backbone
from training.networks.spatial_encoding import ENCODINGS

WITHOUT_LAYER = ("indoor", "flatten")  # encodings that are no layer in front of a convolution


def check_choices(config: RunConfig, said: Mapping[str, str] | None = None) -> RunConfig:
    """Returns `config`. Raises UserError when a name in it is not registered, or its backbone cannot serve it.

    `said` maps keys to the command-line options that set them, for that line.
    """
    for key, registry, name in _choices(config):
        try:
            registry[name]
        except UserError as error:
            where = f"{said[key]} ({key})" if said and key in said else key
            raise UserError(f"{where}: {error}") from error
    backbone = BACKBONES[config.generator.backbone]
    try:
        backbone.check(config)
    except ValueError as error:
        raise UserError(str(error)) from error
    if config.growth is not None and not backbone.grows:
        raise UserError(f"growth must be null with backbone {config.generator.backbone}, which does not grow")
    _check_condition(config, backbone)
    _check_frozen(config, backbone)
    return config


def _check_condition(config: RunConfig, backbone: type[Backbone]) -> None:
    name, wanted = config.generator.backbone, " or ".join(backbone.conditions)
    if config.data.conditional and config.data.condition not in backbone.conditions:
        raise UserError(f"data.condition is {config.data.condition}, but backbone {name} understands {wanted} only")
    if not config.data.conditional and backbone.needs_condition:
        raise UserError(f"backbone {name} makes images of a condition ({wanted}); leave out --cond=0")
    if config.loss.kl_weight > 0 and not backbone.augments_condition:
        raise UserError(f"loss.kl_weight must be 0 with backbone {name}, which does not augment conditions")


def _check_frozen(config: RunConfig, backbone: type[Backbone]) -> None:
    frozen, most = config.discriminator.freeze_layers, backbone.freezable_layers(config.discriminator)
    if most is not None and frozen > most:
        raise UserError(f"--freezed={frozen}: D has {most} layers before its last ones at this resolution; give fewer")


def _choices(config: RunConfig) -> Iterator[tuple[str, Registry, str]]:
    yield "generator.backbone", BACKBONES, config.generator.backbone
    encoding = config.generator.encoding
    if encoding is not None and encoding.layer not in WITHOUT_LAYER:
        yield "generator.encoding.layer", ENCODINGS, encoding.layer
    yield "sampler.kind", SAMPLERS, config.sampler.kind
    yield "loss.adversarial", ADVERSARIAL_LOSSES, config.loss.adversarial
