"""What a base configuration changes of a method is known, and said."""

import pytest

from training.choices import known_names
from training.config import RunConfig
from training.presets.changes import changes_of_method
from training.presets.resolve import DataFacts, Options, assumed_condition, condition_of, resolve

FACTS = DataFacts("animals", 32, 3, 5000)


def resolved(**given) -> RunConfig:
    options = Options(data="a.zip", **given)
    return resolve(options, assumed_condition(FACTS, condition_of(options)))


def changes(cfg: str, method: str, **options) -> list[str]:
    return changes_of_method(resolved(cfg=cfg, method=method, **options), cfg)


def values(cfg: str, method: str, keys: list[str]) -> list[object]:
    """Of a configuration, by dotted key."""
    config = resolved(cfg=cfg, method=method)
    found = []
    for key in keys:
        value: object = config
        for name in key.split("."):
            value = getattr(value, name)
        found.append(value)
    return found


@pytest.mark.parametrize("method", known_names("methods"))
def test_what_demo_changes_is_what_its_configuration_has(method):
    """Each line names the value that is in force, and another one that the method has elsewhere."""
    lines = changes("demo", method)
    keys = [line.split(" ", 1)[0] for line in lines]
    here, elsewhere = values("demo", method, keys), values("paper256", method, keys)
    for line, key, value, other in zip(lines, keys, here, elsewhere, strict=True):
        assert line.startswith(f"{key} {_as_written(value)} (otherwise ")
        assert value != other


def _as_written(value: object) -> object:
    """In YAML a list, or 1 rather than 1.0."""
    if isinstance(value, tuple):
        return list(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_a_line_says_both_values():
    assert "sampler.kind released (otherwise paper)" in changes("demo", "spatialgan")
    assert "generator.encoding.residual_scale 1 (otherwise 0.1)" in changes("demo", "spatialgan")


@pytest.mark.parametrize("cfg", ["paper256", "auto", "stylegan2", "sndcgan"])
def test_other_configurations_change_nothing(cfg):
    assert changes(cfg, "spatialgan") == []


def test_what_an_option_sets_is_the_options():
    lines = changes("demo", "spatialgan", sampler="paper")
    assert not any(line.startswith("sampler.kind") for line in lines)
    assert changes("demo", "spatialgan", sel="none", align=0) == [
        line for line in changes("demo", "spatialgan") if not line.startswith("generator.encoding")
    ]
