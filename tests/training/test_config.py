"""Configuration: what is refused, and the numbers that follow from it."""

import pytest
from pydantic import ValidationError

from tests.training.small import discriminator_config, generator_config, run_config
from training.augment.settings import AugmentConfig, TransformsConfig
from training.config import (
    AlignConfig,
    ConvConfig,
    EmaConfig,
    EncodingConfig,
    LossConfig,
    MappingConfig,
    OptimizerConfig,
    RunConfig,
    SamplerConfig,
    ScheduleConfig,
    Section,
)


def sections(of: type[Section] = RunConfig) -> set[type[Section]]:
    """The section and all that its fields hold."""
    inner = [field.annotation for field in of.model_fields.values()]
    inner = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section)]
    return {of}.union(*(sections(kind) for kind in inner))


@pytest.mark.parametrize("section", sorted(sections() | {EncodingConfig}, key=lambda kind: kind.__name__))
def test_every_section_refuses_unknown_keys(section):
    with pytest.raises(ValidationError, match="gamme\n  Extra inputs are not permitted"):
        section(gamme=1)


def test_unknown_key_deep_inside_is_named_with_its_path():
    with pytest.raises(ValidationError, match=r"generator\.synthesis\.chanel_max"):
        run_config(generator={"img_resolution": 32, "synthesis": {"chanel_max": 3}})


def test_sections_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        run_config().loss.r1_gamma = 1


@pytest.mark.parametrize(
    "section, bad",
    [
        (MappingConfig, {"num_layers": 0}),
        (MappingConfig, {"w_avg_beta": 1.5}),
        (MappingConfig, {"activation": "gelu"}),
        (ConvConfig, {"architecture": "dense"}),
        (ConvConfig, {"architecture": "skip", "conv_clamp": 0}),
        (EncodingConfig, {"mode": "medium"}),
        (EncodingConfig, {"counts": [1, 2]}),
        (EncodingConfig, {"counts": [1, 0, 4]}),
        (EncodingConfig, {"max_resolution": 2}),
        (AlignConfig, {"weight": -1}),
        (AlignConfig, {"tau": -0.1}),
        (LossConfig, {"r1_gamma": float("nan")}),
        (LossConfig, {"style_mixing_prob": 1.1}),
        (LossConfig, {"pl_batch_shrink": 0}),
        (OptimizerConfig, {"reg_interval": 0}),
        (OptimizerConfig, {"reg_interval": 4, "lr": 0}),
        (OptimizerConfig, {"reg_interval": 4, "betas": [0, 2]}),
        (EncodingConfig, {"layer": "two words"}),
        (EncodingConfig, {"counts": []}),
        (EncodingConfig, {"kernel_size": 4}),
        (EncodingConfig, {"dilation": 0}),
        (AlignConfig, {"match": "worst"}),
        (LossConfig, {"adversarial": ""}),
        (LossConfig, {"move_step": 0}),
        (SamplerConfig, {"impulse_share": 1.5}),
        (SamplerConfig, {"kind": "uni/form"}),
        (SamplerConfig, {"spread": [0, 1]}),
        (AugmentConfig, {"mode": "adaptive"}),
        (AugmentConfig, {"p": 1.5}),
        (AugmentConfig, {"p": -0.5}),
        (AugmentConfig, {"interval": 0}),
        (TransformsConfig, {"hue": -1}),
        (TransformsConfig, {"imgfilter_bands": [1, 1, 1]}),
        (ScheduleConfig, {"batch_size": 0}),
        (ScheduleConfig, {"total_kimg": 0}),
    ],
)
def test_impossible_values_are_refused(section, bad):
    with pytest.raises(ValidationError) as caught:
        section(**bad)
    assert {error["loc"][0] for error in caught.value.errors()} == {list(bad)[-1]}


@pytest.mark.parametrize("make", [generator_config, discriminator_config])
@pytest.mark.parametrize("resolution", [48, 100])
def test_resolution_must_be_a_power_of_two(make, resolution):
    with pytest.raises(ValidationError, match=f"power of two, not {resolution}"):
        make(img_resolution=resolution)


@pytest.mark.parametrize("layer, codes, shape", [("norm", 1, (8,)), ("flatten", 1, (8,)), ("indoor", 6, (6, 8))])
def test_latents_of_an_image(layer, codes, shape):
    encoding = EncodingConfig(layer=layer, counts=(5,))
    assert encoding.codes == codes
    assert generator_config(encoding=encoding).latent_shape == shape
    assert generator_config(encoding=None).latent_shape == (8,)


def test_backbones_must_agree():
    with pytest.raises(ValidationError, match=r"generator\.backbone is sndcgan, but discriminator\.backbone"):
        run_config(generator=generator_config(backbone="sndcgan"), loss={"pl_weight": 0})


# ---- batches


def test_minibatch_std_group_must_divide_the_images_of_a_pass():
    message = "mbstd_group_size 4 must divide the number of images in a pass, 6; change --batch or the group size"
    with pytest.raises(ValidationError, match=message):
        run_config(schedule={"batch_size": 6})


def test_group_is_checked_against_each_gpus_share():
    run_config(schedule={"batch_size": 16}, hardware={"gpus": 2})
    with pytest.raises(ValidationError, match="divide the number of images in a pass, 6"):
        run_config(schedule={"batch_size": 12}, hardware={"gpus": 2})
    with pytest.raises(ValidationError, match="divide the number of images in a pass, 6"):
        run_config(schedule={"batch_size": 12, "batch_gpu": 6})


@pytest.mark.parametrize("batch_size, group", [(2, 4), (6, None), (6, 3)])
def test_smaller_batches_and_whole_batch_groups_pass(batch_size, group):
    discriminator = discriminator_config(mbstd_group_size=group)
    config = run_config(schedule={"batch_size": batch_size}, discriminator=discriminator)
    assert (config.schedule.batch_size, config.discriminator.mbstd_group_size) == (batch_size, group)


@pytest.mark.parametrize("schedule, gpus", [({"batch_size": 8, "batch_gpu": 3}, 1), ({"batch_size": 10}, 4)])
def test_batch_must_be_whole_passes(schedule, gpus):
    with pytest.raises(ValidationError, match="must be a multiple of batch_gpu x gpus"):
        run_config(schedule=schedule, hardware={"gpus": gpus})


def test_more_gpus_than_images_are_refused():
    with pytest.raises(ValidationError, match="batch_size 4"):
        run_config(schedule={"batch_size": 4}, hardware={"gpus": 8})


# ---- formulas


def test_channels_halve_with_the_resolution_up_to_a_limit():
    config = ConvConfig(architecture="skip", channel_base=1024, channel_max=64)
    assert [config.channels(r) for r in (4, 16, 32, 128)] == [64, 64, 32, 8]


def test_lazy_regularisation_slows_adam_down():
    lr, betas = OptimizerConfig(lr=0.01, betas=(0.5, 0.9), reg_interval=4).corrected()
    assert lr == pytest.approx(0.008)
    assert betas == pytest.approx((0.5**0.8, 0.9**0.8))


def test_ema_half_life():
    config = EmaConfig(kimg=1, rampup=None)
    assert config.beta(10**6, 1000) == pytest.approx(0.5)
    assert config.beta(10**6, 2000) == pytest.approx(0.25)


def test_ema_ramps_up_with_the_images_shown():
    config = EmaConfig(kimg=10, rampup=0.05)
    assert config.beta(0, 32) == 0
    assert config.beta(1000, 50) == pytest.approx(0.5)
    assert config.beta(10**9, 32) == EmaConfig(kimg=10, rampup=None).beta(0, 32)


def test_configuration_survives_json():
    config = run_config(discriminator=discriminator_config(mbstd_group_size=None, conv_clamp=0.1 + 0.2))
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
