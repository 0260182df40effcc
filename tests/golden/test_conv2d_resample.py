"""Resampling convolution against golden vectors."""

import pytest
import torch

from tests.golden.cases import MEMORY_FORMATS, Case, assert_close, every_case, words
from tests.implementations import each_implementation
from torch_utils.ops import conv2d_resample

pytestmark = [pytest.mark.numeric, *each_implementation]

REL = 5e-6
ARGUMENTS = ("up", "down", "padding", "groups", "flip_weight", "flip_filter")


def name(params: dict) -> str:
    kernel = "x".join(map(str, params["w_shape"][2:]))
    return words([f"k{kernel}", f"f{params['f_name']}", *(f"{key}={params[key]}" for key in ARGUMENTS)])


def convolve(case: Case, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return conv2d_resample(x, w, case.get("f"), **{key: case.params[key] for key in ARGUMENTS})


@every_case("conv2d_resample.npz", name)
@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
def test_result_and_gradients(case: Case, memory_format: torch.memory_format):
    x, w = (case[key].contiguous(memory_format=memory_format).requires_grad_() for key in ("x", "w"))
    y = convolve(case, x, w)
    assert_close(y, case["y"], REL, "y")
    y.backward(case["g"])
    assert_close(x.grad, case["dx"], REL, "dx")
    assert_close(w.grad, case["dw"], REL, "dw")


@every_case("conv2d_resample.npz", name)
def test_result_in_float64(case: Case):
    if "y64" in case:
        up = case.params["up"]
        exact = up & (up - 1) == 0
        y = convolve(case, case["x"].double(), case["w"].double())
        assert_close(y, case["y64"], 1e-12 if exact else 5e-7, "y64")
