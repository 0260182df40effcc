"""Modulated convolution against golden vectors."""

import pytest
import torch
from torch import Tensor

from tests.golden.cases import MEMORY_FORMATS, Case, assert_close, every_case, words
from tests.implementations import each_implementation
from torch_utils.ops import modulated_conv2d

pytestmark = [pytest.mark.numeric, *each_implementation]

REL = 5e-6
ARGUMENTS = ("up", "down", "padding", "demodulate", "flip_weight")


def name(params: dict) -> str:
    given = (f"{key}={params[key]}" for key in ARGUMENTS if key in params)
    return words([f"k{params['kernel']}", *given, f"noise={params['noise']}"])


def inputs(case: Case, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    names = ["x", "weight", "styles", *(["noise"] if case.params["noise"] else [])]
    return {name: case[name].to(dtype).requires_grad_() for name in names}


def convolve(case: Case, given: dict[str, Tensor], x: Tensor) -> Tensor:
    arguments = {key: case.params[key] for key in ARGUMENTS if key in case.params}
    others = {key: tensor for key, tensor in given.items() if key != "x"}
    return modulated_conv2d(x, **others, resample_filter=case.common("resample_filter"), **arguments)


def check(case: Case, given: dict[str, Tensor], x: Tensor) -> None:
    y = convolve(case, given, x)
    assert_close(y, case["y"], REL, "y")
    y.backward(case["g"])
    for name, tensor in given.items():
        assert_close(tensor.grad, case[f"d{name}"], REL, f"d{name}")


@every_case("modulated_conv2d.npz", name)
@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
def test_result_and_gradients(case: Case, memory_format: torch.memory_format):
    given = inputs(case)
    check(case, given, given["x"].contiguous(memory_format=memory_format))


@every_case("modulated_conv2d.npz", name)
def test_float64(case: Case):
    given = inputs(case, torch.float64)
    y = convolve(case, given, given["x"])
    y.backward(case["g"].double())
    if "y64" in case:
        assert_close(y, case["y64"], 1e-12, "y64")
    for name, tensor in given.items():
        if f"d{name}64" in case:
            assert_close(tensor.grad, case[f"d{name}64"], 1e-12, f"d{name}64")
