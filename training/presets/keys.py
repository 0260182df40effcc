"""Settings by dotted name, such as loss.r1_gamma: which there are, how layers of them merge, what is wrong with them.

A layer is a nested dictionary in the shape of RunConfig. Two sections beside RunConfig's own stand for a pair of it:
`networks` for generator.synthesis and discriminator, `optimizers` for both optimizers.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from training.config import ConvConfig, OptimizerConfig, RunConfig, Section

Layer = dict[str, Any]

SHARED: dict[str, tuple[type[Section], tuple[str, str]]] = {
    "networks": (ConvConfig, ("generator.synthesis", "discriminator")),
    "optimizers": (OptimizerConfig, ("generator_optimizer", "discriminator_optimizer")),
}


@functools.cache
def known_keys() -> dict[str, bool]:
    """Every dotted key of a layer, and whether it is a section."""
    keys = dict(_walk(RunConfig, ""))
    for name, (section, _) in SHARED.items():
        keys |= {name: True, **dict(_walk(section, name + "."))}
    return keys


def check_keys(layer: Mapping[str, Any], where: str) -> None:
    """Raises UserError, naming `where` and the nearest known key, when `layer` has an unknown one."""
    for key in leaves(layer):
        if key not in known_keys():
            raise UserError(f"{where}: unknown key '{key}'{_hint(key)}")


def leaves(layer: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of the values in `layer`."""
    for name, value in layer.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def nested(key: str, value: Any) -> Layer:
    """{"loss": {"r1_gamma": value}} for the key loss.r1_gamma."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def merge(*layers: Mapping[str, Any]) -> Layer:
    """Later layers win; sections are merged, everything else is replaced (a section by null, too)."""
    merged: Layer = {}
    for layer in layers:
        for name, value in _without_shared(layer).items():
            old = merged.get(name)
            merged[name] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def build(layer: Layer, said: Mapping[str, str] | None = None) -> RunConfig:
    """The RunConfig that `layer` describes; what it leaves open is as in training/config.py.

    Raises UserError in one line when a value is of the wrong kind or out of range, or two contradict each other.
    `said` maps keys to the command-line options that set them, for that line.
    """
    from training.presets.choices import check_choices  # which knows the networks, and so needs torch

    try:
        config = RunConfig.model_validate(merge(_section_defaults(RunConfig), layer))
    except ValidationError as error:
        raise UserError(_complaint(error, said or {})) from error
    return check_choices(config, said)


def _walk(model: type[Section], prefix: str) -> Iterator[tuple[str, bool]]:
    for name, field in model.model_fields.items():
        section = _section_of(field.annotation)
        yield prefix + name, section is not None
        if section is not None:
            yield from _walk(section, f"{prefix}{name}.")


def _section_defaults(model: type[Section]) -> Layer:
    """Defaults that belong to a place rather than to a kind of section: R1's interval is 16, path length's 4."""
    defaults: Layer = {}
    for name, field in model.model_fields.items():
        if isinstance(field.default, Section):
            defaults[name] = field.default.model_dump()
        elif field.is_required() and (section := _section_of(field.annotation)) is not None:
            defaults[name] = _section_defaults(section)
    return defaults


def _section_of(annotation: Any) -> type[Section] | None:
    """The section in an annotation such as `EncodingConfig | None`; None for plain values."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def _hint(key: str) -> str:
    """The nearest value's key or, when none is near, what the section of `key` holds."""
    values = [known for known, is_section in known_keys().items() if not is_section]
    hint = nearest(key, values)
    if not hint.startswith("; known"):
        return hint
    parent = key.rpartition(".")[0]
    siblings = [known for known in known_keys() if known.rpartition(".")[0] == parent]
    return nearest(key, siblings or [known for known in known_keys() if "." not in known])


def _without_shared(layer: Mapping[str, Any]) -> Layer:
    """`layer` with its shared sections written out; what it says of one member itself goes before."""
    own = {name: value for name, value in layer.items() if name not in SHARED}
    spread = [nested(member, layer[name]) for name in SHARED if name in layer for member in SHARED[name][1]]
    return merge(*spread, own) if spread else own


def _complaint(error: ValidationError, said: Mapping[str, str]) -> str:
    first = error.errors()[0]
    key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    name = f"{said[key]} ({key})" if key in said else key
    return f"{name} is {shown(repr(first['input']))}: {message}"
