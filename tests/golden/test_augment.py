"""The augmentation pipeline against golden vectors: results, gradients, geometry, filters; and its default ranges."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.golden.cases import Case, assert_close, assert_close_to_case, every_case, read, words
from tests.golden.percentiles import PercentileDraws
from training.augment import geometry
from training.augment.image_filter import POWER
from training.augment.pipeline import Augmented, AugmentPipe
from training.augment.pipes import PIPES, TRANSFORMS
from training.augment.resample import Extent, sample_positions
from training.augment.settings import TransformsConfig
from training.augment.strength import Strength
from training.augment.wavelets import octave_bank, symlet

pytestmark = pytest.mark.numeric

REL = 5e-5
FILE = "augment.npz"
SCHEDULE = "ema_and_schedule.json"


def name(params: dict) -> str:
    ranges = [f"{key}={value}" for key, value in params["kwargs"].items() if key not in TRANSFORMS]
    return words([params["name"], params["percentile"], *ranges, "x".join(map(str, params["shape"]))])


every = every_case(FILE, name)


def transforms(case: Case) -> TransformsConfig:
    return TransformsConfig(**(dict.fromkeys(TRANSFORMS, 0) | case.params["kwargs"]))


def draws(case: Case, dtype: torch.dtype) -> PercentileDraws:
    noise = case.get("noise")
    return PercentileDraws(
        case.params["percentile"], case.params["shape"][0], dtype, None if noise is None else noise.to(dtype)
    )


def augment(case: Case, images: Tensor) -> Augmented:
    pipe = AugmentPipe(transforms(case), Strength(case.params["p"]))
    return pipe.transform(images, draws(case, images.dtype))


@every
def test_result_and_gradient(case: Case):
    images = case.common(case.params["image"]).requires_grad_()
    y = augment(case, images).images
    assert_close_to_case(case, "y", y, REL)
    if "dx" in case:
        (dx,) = torch.autograd.grad(y, images, case.common(case.params["cotangent"]))
        assert_close_to_case(case, "dx", dx, REL)


@every
def test_result_in_float64(case: Case):
    y = augment(case, case.common(case.params["image"]).double()).images
    assert_close(y, case["y"], REL)


@every
def test_geometry(case: Case):
    """Where the pixels of the doubled image come from, as the affine grid of the file says."""
    if "theta" not in case:
        assert augment(case, case.common(case.params["image"])).geometry is None
        return
    images = case.common(case.params["image"]).double()
    found = geometry.draw_geometry(transforms(case), torch.tensor(case.params["p"]), draws(case, torch.float64), images)
    extent = Extent(*case.params["reflect_pad_left_right_top_bottom"])
    positions = sample_positions(found, extent, images.shape[3], images.shape[2])
    theta = case["theta"].expand(len(images), 2, 3)
    expected = F.affine_grid(theta, case.params["affine_grid_size"], align_corners=False)
    assert_close(positions, expected, 1e-6)


@pytest.mark.parametrize("key", ["Hz_geom", "Hz_fbank", "expected_power", "wavelet_sym6", "wavelet_sym2"])
def test_filters(key: str):
    pipe = AugmentPipe(TransformsConfig(), Strength())
    ours = {
        "Hz_geom": pipe.taps,
        "Hz_fbank": pipe.bank,
        "expected_power": torch.tensor(POWER, dtype=torch.float64),
        "wavelet_sym6": torch.tensor(symlet(6), dtype=torch.float64),
        "wavelet_sym2": torch.tensor(symlet(2)[::-1], dtype=torch.float64),
    }
    assert_close(ours[key], Case(FILE, 0, {}).common(key), 1e-7 if key.startswith("Hz") else 1e-10, key)


def test_filters_of_the_bank_add_up_to_a_single_tap():
    total = octave_bank().sum(0)
    assert np.abs(total - np.eye(43)[21]).max() < 1e-12


def test_named_pipes():
    expected = read(SCHEDULE)["presets"]
    assert {pipe: sorted(transforms) for pipe, transforms in PIPES.items()} == {
        pipe: sorted(transforms) for pipe, transforms in expected.items()
    }
    assert all(set(multipliers.values()) == {1} for multipliers in expected.values())


def test_defaults_are_the_default_pipe_and_ranges():
    schedule = read(SCHEDULE)
    defaults = TransformsConfig().model_dump(mode="json")
    assert {name for name in TRANSFORMS if defaults[name]} == set(PIPES[schedule["default_preset"]])
    ranges = {key: value for key, value in defaults.items() if key not in TRANSFORMS}
    assert ranges == schedule["augment_default_ranges"]
