"""Generators in plain operators give the pictures of the originals, whatever they are built of."""

import pytest
import torch

from interop.exportable import Exportable, ExportOptions, eager_images, example_inputs
from interop.plain_networks import Filters, phase_filters, plain
from tests.interop.models import MODELS, make_model
from torch_utils.ops import conv2d_resample, setup_filter
from training.layouts.layout import Layout

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("name", MODELS)
def test_pictures_are_the_same(name: str):
    model = make_model(name)
    exportable = Exportable(model)
    given = example_inputs(exportable, model, 3)
    image, *others = exportable(*given.values())
    expected = eager_images(model, exportable, given)
    assert (image - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert len(others) == len(exportable.output_names) - 1
    assert list(exportable.shapes()) == exportable.input_names == list(given)


def test_final_styles_truncation_cutoff_and_no_noise():
    model = make_model("norm")
    for options in (ExportOptions("ws"), ExportOptions(noise_mode="none"), ExportOptions(truncation_cutoff=2)):
        exportable = Exportable(model, options)
        given = example_inputs(exportable, model, 2)
        assert (exportable(*given.values())[0] - eager_images(model, exportable, given)).abs().max() < 1e-4
    assert not torch.equal(exportable(*given.values())[1][:, 0], exportable(*given.values())[1][:, -1])


@pytest.mark.parametrize("name", ["norm", "cells"])
def test_heatmaps_are_those_of_the_layout(name: str):
    model = make_model(name)
    exportable = Exportable(model)
    given = example_inputs(exportable, model, 2)
    outputs = dict(zip(exportable.output_names, exportable(*given.values()), strict=True))
    levels = (tuple(given[f"{part}_{k}"] for k in range(3)) for part in ("centers", "spreads", "strengths"))
    layout = model.fitted(Layout(*levels))
    for level in range(3):
        assert torch.equal(outputs[f"heatmap_{level}"], layout.heatmaps(level, 16))


def test_the_original_is_left_alone():
    model = make_model("norm")
    before = {name: tensor.clone() for name, tensor in model.G.state_dict().items()}
    made = plain(model.G)
    assert all(torch.equal(value, before[name]) for name, value in model.G.state_dict().items())
    assert type(made.synthesis.blocks["8"].conv0) is not type(model.G.synthesis.blocks["8"].conv0)


TAPS = pytest.mark.parametrize("taps", [[1, 3, 3, 1], [1, 2, 1], [1, 1], [1], [1, 2, 3, 4, 5], [1, 2, 3, 4] * 2])


@TAPS
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_an_enlarging_convolution(taps: list[float], kernel: int):
    x, weight = torch.randn(2, 3, 6, 6).double(), torch.randn(4, 3, kernel, kernel).double()
    taps = setup_filter(taps).double()
    expected = conv2d_resample(x, weight, taps, up=2, padding=kernel // 2, flip_weight=False)
    assert torch.allclose(Filters(weight, 2, taps, kernel // 2)(x), expected, atol=1e-6)


@TAPS
@pytest.mark.parametrize("kernel", [1, 3])
def test_filters_of_the_four_phases(taps: list[float], kernel: int):
    x, weight = torch.randn(2, 3, 6, 6).double(), torch.randn(4, 3, kernel, kernel).double()
    taps = setup_filter(taps).double()
    taps = taps if taps.ndim == 2 else taps.outer(taps)
    expected = conv2d_resample(x, weight, taps, up=2, padding=kernel // 2, flip_weight=False)
    filters = phase_filters(weight, taps, kernel // 2)
    phases = torch.nn.functional.conv2d(x, filters, padding=filters.shape[2] // 2)
    assert torch.allclose(torch.nn.functional.pixel_shuffle(phases, 2), expected, atol=1e-6)
