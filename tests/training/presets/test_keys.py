"""Dotted keys: all are known, the nearest is named, layers merge as told, complaints are one line."""

import pytest

from dnnlib.errors import UserError
from training.config import RunConfig
from training.presets.keys import build, check_keys, known_keys, leaves, merge, nested

PLUGIN = " (--plugin=MODULE adds others)"

MINIMAL = {
    "name": "test",
    "method": "stylegan2",
    "data": {"path": "images.zip"},
    "generator": {"img_resolution": 32},
    "discriminator": {"img_resolution": 32},
}


def complaint(call, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_key_of_a_full_configuration_is_known():
    config = build(merge(MINIMAL, nested("generator.encoding.layer", "norm")))
    keys = set(leaves(config.model_dump()))
    assert len(keys) > 60
    known = {key for key, is_section in known_keys().items() if not is_section}
    assert keys - {"growth"} <= known  # a section that is null unless the backbone grows
    assert "growth.start_resolution" in known
    check_keys(config.model_dump(), "a full configuration")


def test_sections_are_known_and_told_apart():
    assert known_keys()["generator.encoding"]
    assert known_keys()["networks"]
    assert not known_keys()["networks.conv_clamp"]
    assert not known_keys()["ema.rampup"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("loss.r1_gama", "; did you mean 'loss.r1_gamma'?"),
        ("r1_gamma", "; did you mean 'loss.r1_gamma'?"),
        ("generator.encodng.mode", "; did you mean 'generator.encoding.mode'?"),
        ("optimizer.lr", "; did you mean 'optimizers.lr'?"),
        ("sede", "; did you mean 'seed'?"),
        ("ema.zzzzzzzzzz", "; known: ema.kimg, ema.rampup"),
    ],
)
def test_unknown_keys_name_the_nearest(key: str, hint: str):
    assert complaint(check_keys, nested(key, 1), "--set") == f"--set: unknown key '{key}'{hint}"


def test_an_outlandish_key_lists_the_sections():
    hint = complaint(check_keys, {"qqqq": 1}, "--set")
    assert "; known: align, augment, data," in hint
    assert "." not in hint.partition("known:")[2]


def test_merge_joins_sections_and_replaces_values():
    first = {"loss": {"r1_gamma": 1, "pl_weight": 2}, "seed": 1}
    second = {"loss": {"pl_weight": 0}, "ema": {"rampup": None}}
    assert merge(first, second) == {"loss": {"r1_gamma": 1, "pl_weight": 0}, "seed": 1, "ema": {"rampup": None}}
    assert first == {"loss": {"r1_gamma": 1, "pl_weight": 2}, "seed": 1}


def test_merge_with_null_drops_a_section_and_a_value_brings_it_back():
    with_section = nested("generator.encoding.mode", "fine")
    without = nested("generator.encoding", None)
    assert merge(with_section, without) == without
    assert merge(with_section, without, with_section) == with_section


def test_shared_sections_go_to_both_and_lose_to_what_is_said_of_one():
    merged = merge({"networks": {"channel_max": 64}, "discriminator": {"channel_max": 32}})
    assert merged == {"generator": {"synthesis": {"channel_max": 64}}, "discriminator": {"channel_max": 32}}
    later = merge(merged, {"networks": {"channel_max": 16}})
    assert later == {"generator": {"synthesis": {"channel_max": 16}}, "discriminator": {"channel_max": 16}}


def test_build_keeps_the_defaults_of_a_place():
    layer = merge(MINIMAL, {"optimizers": {"lr": 0.001}, "discriminator": {"mapping": {"num_layers": 2}}})
    config = build(layer)
    assert (config.generator_optimizer.reg_interval, config.discriminator_optimizer.reg_interval) == (4, 16)
    assert config.generator_optimizer.lr == config.discriminator_optimizer.lr == 0.001
    assert config.discriminator.mapping.w_avg_beta is None
    assert config.generator.mapping.w_avg_beta == 0.995


def test_build_of_nothing_special_equals_the_model():
    assert build(MINIMAL) == RunConfig.model_validate(MINIMAL)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("loss.r1_gamma", -1, "loss.r1_gamma is -1: Input should be greater than or equal to 0"),
        ("sampler.kind", "papr", "sampler.kind: no sampler 'papr'; did you mean 'paper'?" + PLUGIN),
        ("seed", "x", "seed is 'x': Input should be a valid integer, unable to parse string as an integer"),
        ("generator.img_resolution", 48, "generator: img_resolution must be a power of two, not 48"),
        ("schedule.batch_gpu", 7, "schedule.batch_size 64 must be a multiple of batch_gpu x gpus = 7 x 1"),
    ],
)
def test_build_complains_in_one_line(key: str, value, line: str):
    assert complaint(build, merge(MINIMAL, nested(key, value))) == line


def test_build_names_the_option_that_set_the_key():
    layer = merge(MINIMAL, nested("loss.r1_gamma", -1))
    assert complaint(build, layer, {"loss.r1_gamma": "--gamma"}).startswith("--gamma (loss.r1_gamma) is -1: ")
