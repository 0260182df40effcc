"""The formulas of training/config.py against the numbers that each base configuration resolves to."""

import pytest

from tests.golden.cases import every_entry
from training.config import EmaConfig, OptimizerConfig, SynthesisConfig

FILE = "ema_and_schedule.json"
every_configuration = every_entry(FILE, "base_configs", "overrides")


@every_configuration
@pytest.mark.parametrize("which", ["G_opt", "D_opt"])
def test_lazy_regularisation_corrects_adam(case: dict, which: str):
    given = case[which]
    config = OptimizerConfig(
        lr=given["base_lr"], betas=given["base_betas"], eps=given["eps"], reg_interval=given["reg_interval"]
    )
    lr, betas = config.corrected()
    assert lr == pytest.approx(given["lr"], rel=1e-12)
    assert betas == pytest.approx(tuple(given["betas"]), rel=1e-12)


@every_configuration
def test_moving_average_of_weights(case: dict):
    config = EmaConfig(kimg=case["ema_kimg"], rampup=case["ema_rampup"])
    for example in case["ema_beta_examples"]:
        beta = config.beta(example["cur_nimg"], case["batch_size"])
        assert beta == pytest.approx(example["beta"], rel=1e-12), example


@every_configuration
def test_channels_per_resolution(case: dict):
    config = SynthesisConfig(channel_base=case["channel_base"], channel_max=case["channel_max"])
    assert {r: config.channels(int(r)) for r in case["channels"]} == case["channels"]
