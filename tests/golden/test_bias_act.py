"""bias_act and its first and second derivatives against golden vectors."""

import pytest
import torch
from torch import Tensor

from tests.golden.cases import MEMORY_FORMATS, Case, assert_close, assert_close_to_case, every_case, words
from tests.implementations import each_implementation
from torch_utils.ops import bias_act

pytestmark = [pytest.mark.numeric, *each_implementation]

REL = 5e-6
OPTIONS = ("alpha", "gain", "clamp")


def name(params: dict) -> str:
    given = (f"{key}={params[key]}" for key in OPTIONS if params[key] is not None)
    return words([params["act"], f"{len(params['x_shape'])}d", *given, *([] if params["has_bias"] else ["no_bias"])])


def inputs(case: Case, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """x, g and, where the case has one, b; all of them leaves."""
    names = ["x", "g", "b"] if case.params["has_bias"] else ["x", "g"]
    return {name: case[name].to(dtype).requires_grad_() for name in names}


def apply(case: Case, x: Tensor, b: Tensor | None) -> Tensor:
    return bias_act(x, b, **{key: case.params[key] for key in ("dim", "act", *OPTIONS)})


def second_order(case: Case, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Derivatives of <dx, v>; zero where dx does not depend on an input."""
    y = apply(case, given["x"], given.get("b"))
    (dx,) = torch.autograd.grad(y, given["x"], given["g"], create_graph=True)
    v = case["v"].to(dx.dtype)
    found = torch.autograd.grad(dx, list(given.values()), v, materialize_grads=True)
    return {f"d2{name}": d for name, d in zip(given, found, strict=True)}


@every_case("bias_act.npz", name)
def test_result_and_gradients(case: Case):
    given = inputs(case)
    y = apply(case, given["x"], given.get("b"))
    assert_close(y, case["y"], REL, "y")
    y.backward(case["g"])
    assert_close(given["x"].grad, case["dx"], REL, "dx")
    if "b" in given:
        assert_close(given["b"].grad, case["db"], REL, "db")


@every_case("bias_act.npz", name)
def test_second_derivatives(case: Case):
    for name, d in second_order(case, inputs(case)).items():
        assert_close_to_case(case, name, d, REL)


@every_case("bias_act.npz", name)
def test_float64(case: Case):
    given = inputs(case, torch.float64)
    assert_close(apply(case, given["x"], given.get("b")), case["y64"], 1e-12, "y64")
    for name, d in second_order(case, given).items():
        if f"{name}64" in case:
            assert_close(d, case[f"{name}64"], 1e-12, f"{name}64")


@every_case("bias_act.npz", name)
@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
def test_images_keep_their_memory_format(case: Case, memory_format: torch.memory_format):
    if case["x"].ndim == 4:
        x = case["x"].contiguous(memory_format=memory_format)
        y = apply(case, x, case.get("b"))
        assert y.is_contiguous(memory_format=memory_format)
        assert_close(y, case["y"], REL, "y")
