"""Base configurations and options against ema_and_schedule.json, entry by entry.

Two networks are built for each entry on torch's meta device, so channels, ws and half-precision blocks are those of
the real thing. Where the arguments leave --aug open the reference augments adaptively; we do not augment, as the papers
of our methods do not, so it is asked for here. `fmaps` is a factor on channel_base, which is compared;
fp16_min_resolution is the least of fp16_resolutions, likewise.
"""

import pytest
import torch

from tests.golden.cases import every_entry, read
from training.augment.pipeline import make_pipe
from training.augment.pipes import PIPES, TRANSFORMS, multipliers
from training.augment.settings import TransformsConfig
from training.config import OptimizerConfig, RunConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.presets.resolve import DataFacts, Options, resolve

FILE = "ema_and_schedule.json"
entries = every_entry(FILE, "base_configs", "overrides")


def resolved(case: dict, method: str = "stylegan2") -> RunConfig:
    arguments = {"aug": "ada", **case["args"]}
    facts = DataFacts("golden", arguments.pop("resolution"), num_channels=3, size=1000)
    return resolve(Options(data="golden.zip", method=method, **arguments), facts)


def networks(config: RunConfig) -> tuple[Generator, Discriminator]:
    with torch.device("meta"):
        return Generator(config.generator), Discriminator(config.discriminator)


def near(value: float | list) -> object:
    return pytest.approx(value, rel=1e-12)


@entries
def test_batches(case: dict):
    config = resolved(case)
    schedule, gpus = config.schedule, config.hardware.gpus
    assert gpus == case["args"]["gpus"]
    assert schedule.batch_size == case["batch_size"]
    # A pass is never larger than a GPU's share, which the reference leaves to its loop.
    assert schedule.batch_gpu == min(case["batch_gpu"], schedule.batch_size // gpus)
    assert schedule.batch_size // (schedule.batch_gpu * gpus) == case["accumulation_rounds_per_gpu"]
    assert config.discriminator.mbstd_group_size == case["mbstd_group_size"]
    assert config.discriminator.mbstd_num_channels == case["mbstd_num_channels"]


@entries
def test_schedule(case: dict):
    config = resolved(case)
    assert config.schedule.total_kimg == case["total_kimg"]
    assert config.schedule.kimg_per_tick == case["kimg_per_tick"]
    assert config.schedule.snapshot_ticks == case["snapshot_ticks"]
    assert config.discriminator.freeze_layers == case["freeze_layers"]


@entries
def test_augmentation(case: dict):
    config = resolved(case)
    augment, batch = config.augment, config.schedule.batch_size
    assert augment.mode == case["args"].get("aug", "ada")
    assert (augment.target if augment.mode == "ada" else None) == case["ada_target"]
    assert (augment.interval, augment.kimg) == (case["ada_interval"], case["ada_kimg"])
    assert augment.step(batch) == near(case["ada_adjust_per_update"])
    assert augment.p == case["augment_p_initial"]
    assert augment.transforms == TransformsConfig(**multipliers(read(FILE)["default_preset"]))
    pipe = make_pipe(augment, batch)
    assert (pipe is None) == (augment.mode == "noaug")
    if pipe is not None:
        assert (pipe.strength.target, pipe.strength.step) == (case["ada_target"], augment.step(batch))
        assert pipe.strength.p.item() == pytest.approx(case["augment_p_initial"])


@pytest.mark.parametrize("pipe", PIPES)
def test_augpipe(pipe: str):
    options = Options(data="golden.zip", aug="ada", augpipe=pipe)
    transforms = resolve(options, DataFacts("golden", 32, num_channels=3, size=1000)).augment.transforms
    expected = dict.fromkeys(TRANSFORMS, 0) | read(FILE)["presets"][pipe]
    assert {name: getattr(transforms, name) for name in TRANSFORMS} == expected


def test_without_aug_there_is_none():
    facts = DataFacts("golden", 32, num_channels=3, size=1000)
    assert resolve(Options(data="golden.zip", method="stylegan2"), facts).augment.mode == "noaug"


@entries
def test_settings_of_networks(case: dict):
    config = resolved(case)
    generator, discriminator = config.generator, config.discriminator
    assert (generator.z_dim, generator.w_dim) == (case["z_dim"], case["w_dim"])
    assert generator.mapping.num_layers == case["mapping_layers"]
    assert generator.mapping.lr_multiplier == case["mapping_lr_multiplier"]
    assert generator.mapping.w_avg_beta == case["w_avg_beta"]
    assert generator.synthesis.architecture == case["G_architecture"]
    assert discriminator.architecture == case["D_architecture"]
    for network in (generator.synthesis, discriminator):
        assert network.channel_base == case["channel_base"]
        assert network.channel_max == case["channel_max"]
        assert network.num_fp16_res == case["num_fp16_res"]
        assert network.conv_clamp == case["conv_clamp"]


@entries
def test_networks_as_built(case: dict):
    config = resolved(case)
    G, D = networks(config)
    channels = {int(resolution): count for resolution, count in case["channels"].items()}
    assert G.num_ws == case["num_ws"]
    assert sorted(G.synthesis.half_resolutions) == case["fp16_resolutions"]
    assert sorted(D.half_resolutions) == case["fp16_resolutions"]
    assert G.mapping.w_avg.shape == (case["w_dim"],)
    assert {r: len(G.synthesis.blocks[str(r)].conv1.bias) for r in G.synthesis.resolutions} == channels
    assert {r: len(D.blocks[str(r)].conv0.bias) for r in D.resolutions} | {4: len(D.epilogue.conv.bias)} == channels


@entries
@pytest.mark.parametrize("player, key", [("generator", "G_opt"), ("discriminator", "D_opt")])
def test_optimizers(case: dict, player: str, key: str):
    optimizer: OptimizerConfig = getattr(resolved(case), f"{player}_optimizer")
    expected = case[key]
    lr, betas = optimizer.corrected()
    assert optimizer.lr == expected["base_lr"]
    assert list(optimizer.betas) == expected["base_betas"]
    assert optimizer.eps == expected["eps"]
    assert optimizer.reg_interval == expected["reg_interval"]
    assert lr / optimizer.lr == near(expected["mb_ratio"])
    assert lr == near(expected["lr"])
    assert list(betas) == near(expected["betas"])


@entries
def test_losses(case: dict):
    loss = resolved(case).loss
    assert loss.r1_gamma == near(case["r1_gamma"])
    assert loss.pl_weight == case["pl_weight"]
    assert loss.pl_batch_shrink == case["pl_batch_shrink"]
    assert loss.pl_decay == case["pl_decay"]
    assert loss.style_mixing_prob == case["style_mixing_prob"]


@entries
def test_moving_average(case: dict):
    config = resolved(case)
    assert config.ema.kimg == near(case["ema_kimg"])
    assert config.ema.rampup == case["ema_rampup"]
    for example in case["ema_beta_examples"]:
        beta = config.ema.beta(example["cur_nimg"], config.schedule.batch_size)
        assert beta == near(example["beta"]), example


@entries
def test_the_default_method_changes_only_what_steers(case: dict):
    plain, steered = resolved(case), resolved(case, "spatialgan")
    own = {"name": "", "method": "", "sampler": plain.sampler, "align": plain.align, "generator": plain.generator}
    assert steered.model_copy(update=own) == plain.model_copy(update=own)
    assert steered.generator.model_copy(update={"encoding": None}) == plain.generator
