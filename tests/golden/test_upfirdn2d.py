"""upfirdn2d, its wrappers and setup_filter against golden vectors."""

import numpy as np
import pytest
import torch

from tests.golden.cases import MEMORY_FORMATS, Case, assert_close, every_case, rounded_gain, words
from tests.implementations import each_implementation
from torch_utils import ops

pytestmark = [pytest.mark.numeric, *each_implementation]

REL = 2e-6
ARGUMENTS = ("up", "down", "padding", "flip_filter", "gain")


def name(params: dict) -> str:
    shown = params.get("kwargs") or {key: params[key] for key in ARGUMENTS if key in params}
    return words([params["op"], *(f"{key}={value}" for key, value in shown.items() if value not in (0, 1, False))])


def arguments(case: Case) -> dict:
    if case.params["op"] == "upfirdn2d":
        return {key: case.params[key] for key in ARGUMENTS if key in case.params}
    return case.params["kwargs"]


def resample(case: Case, x: torch.Tensor) -> torch.Tensor:
    return getattr(ops, case.params["op"])(x, case.get("f"), **arguments(case))


def inexact(case: Case) -> bool:
    """Whether the gain (the wrapper's own included) is rounded when it joins the float32 filter."""
    up = arguments(case).get("up", 2) if case.params["op"] == "upsample2d" else 1
    gain = arguments(case).get("gain", 1) * np.prod([up, up] if isinstance(up, int) else up)
    return rounded_gain(gain**0.5 if "f" not in case or case["f"].ndim == 1 else gain)


@every_case("upfirdn2d.npz", name)
@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
def test_result_and_gradient(case: Case, memory_format: torch.memory_format):
    if case.params["op"] == "setup_filter":
        return check_filter(case)
    x = case["x"].contiguous(memory_format=memory_format).requires_grad_()
    y = resample(case, x)
    assert_close(y, case["y"], REL, "y")
    assert_close(torch.autograd.grad(y, x, case["g"])[0], case["dx"], REL, "dx")


@every_case("upfirdn2d.npz", name)
def test_result_in_float64(case: Case):
    if "y64" in case:
        y = resample(case, case["x"].double())
        assert y.dtype == torch.float64
        assert_close(y, case["y64"], 5e-7 if inexact(case) else 1e-12, "y64")


def check_filter(case: Case) -> None:
    f = ops.setup_filter(case.params["f"], **case.params["kwargs"])
    assert f.dtype == torch.float32
    assert_close(f, case["y"], REL, "filter")
