"""What a base configuration changes of a method: never in silence."""

import yaml

from training.choices import CONFIGS
from training.config import RunConfig
from training.presets.keys import Layer, leaves, merge
from training.presets.resolve import method_chain
from training.settings import Section


def changes_of_method(config: RunConfig, cfg: str) -> list[str]:
    """Such as "sampler.kind released (otherwise paper)": what configs/CFG.yaml says of config.method otherwise than the
    method itself, as far as no option has set it to something else again.
    """
    base = yaml.safe_load((CONFIGS / f"{cfg}.yaml").read_text(encoding="utf-8"))
    chain = method_chain(config.method)
    theirs = merge(*(base.get("methods", {}).get(name, {}) for name, _ in chain))
    own, found = merge(*(layer for _, layer in chain)), config.model_dump(mode="json")
    lines = []
    for key in leaves(theirs):
        value, otherwise = _get(theirs, key), _get(own, key)
        if _get(found, key) != value:
            continue
        otherwise = _default(config, key) if otherwise is None else otherwise
        if value != otherwise:
            lines.append(f"{key} {value} (otherwise {otherwise})")
    return lines


def _get(layer: Layer, key: str) -> object:
    """The value of a dotted key; None where there is none."""
    value: object = layer
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _default(config: RunConfig, key: str) -> object:
    """What a key is when nobody says anything of it."""
    *sections, name = key.split(".")
    section: Section = config
    for each in sections:
        section = getattr(section, each)
    value = type(section).model_fields[name].default
    return list(value) if isinstance(value, tuple) else value
