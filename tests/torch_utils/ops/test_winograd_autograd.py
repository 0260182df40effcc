"""Minimal filtering in training, against convolutions in float64; its derivatives; and which of them are computed."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.implementations import check_native
from torch_utils import ops
from torch_utils.ops import conv2d_resample, fastest, setup_filter, upfirdn2d, winograd_autograd

TOLERANCE = 2e-5  # of the largest number of a result
TAPS = torch.tensor([[1.0, 3, 2, -1], [0, 4, 3, 1], [2, 1, 1, 0], [1, -2, 0, 5]]) / 4
FIR = setup_filter([1, 3, 3, 1])


@pytest.fixture(autouse=True)
def native_cpu():
    check_native()
    with ops.use("native"):
        yield


def same_size(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=1)


def enlarge(x: Tensor, weight: Tensor) -> Tensor:
    with ops.use("pytorch"):
        t = F.conv_transpose2d(x, weight, stride=2)
        return upfirdn2d(t, TAPS.to(x.dtype), padding=1, flip_filter=True)


def reduce(x: Tensor, weight: Tensor) -> Tensor:
    with ops.use("pytorch"):
        return F.conv2d(upfirdn2d(x, TAPS.to(x.dtype), padding=2), weight, stride=2)


CASES = {
    "same_size": (winograd_autograd.same_size, same_size, (48, 32)),
    "enlarge": (lambda x, weight: winograd_autograd.enlarge(x, weight, TAPS), enlarge, (32, 48)),
    "reduce": (lambda x, weight: winograd_autograd.reduce(x, weight, TAPS), reduce, (48, 32)),
}
SIZES = [(4, 4), (8, 6), (18, 20), (2, 34)]


def inputs(channels: tuple[int, int], generator, size=(8, 8), count: int = 2) -> tuple[Tensor, Tensor]:
    """x [N, 32, H, W] and a weight."""
    x = torch.randn([count, 32, *size], generator=generator()).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), torch.randn([*channels, 3, 3], generator=generator(1)).requires_grad_()


def derivatives(convolve, x: Tensor, weight: Tensor, draw) -> list[Tensor]:
    """The result, its gradients, and gradients of a random product with these, all with the same random numbers."""
    y = convolve(x, weight)
    first = torch.autograd.grad((y * _like(y, draw(2))).sum() / 2 + (y * y).sum() / 2, [x, weight], create_graph=True)
    total = sum((g * _like(g, draw(3 + i))).sum() for i, g in enumerate(first))
    return [y, *first, *torch.autograd.grad(total, [x, weight])]


def _like(y: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(y.shape, generator=generator).to(y.dtype)


def assert_near(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", SIZES)
def test_result_and_two_derivatives_are_those_of_a_direct_convolution(name, size, generator):
    filtered, direct, channels = CASES[name]
    x, weight = inputs(channels, generator, size)
    expected = derivatives(direct, *(each.detach().double().requires_grad_() for each in (x, weight)), generator)
    for mine, theirs in zip(derivatives(filtered, x, weight, generator), expected, strict=True):
        assert_near(mine, theirs)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1, 130)])
def test_odd_sizes_and_several_blocks(size, generator):
    x, weight = inputs((48, 32), generator, size, count=9)
    expected = derivatives(same_size, *(each.detach().double().requires_grad_() for each in (x, weight)), generator)
    for mine, theirs in zip(derivatives(winograd_autograd.same_size, x, weight, generator), expected, strict=True):
        assert_near(mine, theirs)


@pytest.mark.parametrize("flip_weight", [True, False])
@pytest.mark.parametrize("flip_filter", [True, False])
@pytest.mark.parametrize("up, down, size", [(1, 1, (7, 9)), (2, 1, (7, 9)), (1, 2, (8, 10))])
def test_conv2d_resample_turns_filters_the_right_way(flip_weight, flip_filter, up, down, size, generator, monkeypatch):
    x, weight = inputs((48, 32), generator, size)
    bias, calls = torch.randn([48], generator=generator(2)), []
    can_take = winograd_autograd._can_take
    monkeypatch.setattr(winograd_autograd, "_can_take", lambda *a: calls.append(can_take(*a)) or calls[-1])
    how = {"up": up, "down": down, "padding": 1, "flip_weight": flip_weight, "flip_filter": flip_filter}
    taps = TAPS if up * down > 1 else None
    y = conv2d_resample(x, weight, taps, bias=bias, **how)
    assert calls == [True]
    with ops.use("reference"):
        wide = None if taps is None else taps.double()
        expected = conv2d_resample(x.double(), weight.double(), wide, bias=bias.double(), **how)
    assert_near(y, expected)


@pytest.mark.parametrize("name", CASES)
def test_only_the_gradients_that_are_asked_for_are_computed(name, generator, monkeypatch):
    """GradCAM, R1 and path lengths ask for the image's only."""
    computed = []
    for part in ("_Weights", "_StridedWeights"):
        function = getattr(winograd_autograd, part)
        monkeypatch.setattr(function, "apply", lambda *a, f=function.apply: computed.append("weight") or f(*a))
    filtered, _, channels = CASES[name]
    x, weight = inputs(channels, generator)
    for create_graph in (False, True):
        y = filtered(x, weight).sum()
        torch.autograd.grad(y, [x], create_graph=create_graph)
        assert computed == []
    torch.autograd.grad(filtered(x, weight).sum(), [weight])
    assert computed == ["weight"]
    filtered(x, weight.detach()).sum().backward()
    assert computed == ["weight"]
    filtered(x, weight).sum().backward()
    assert computed == ["weight"] * 2
    assert x.grad is not None
    assert weight.grad is not None


@pytest.mark.parametrize("name", CASES)
def test_gradients_do_not_depend_on_the_number_of_threads(name, generator):
    filtered, _, channels = CASES[name]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            x, weight = inputs(channels, generator, (22, 24))
            results.append(torch.autograd.grad(filtered(x, weight).sum(), [x, weight] if name == "same_size" else [x]))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert torch.equal(first, second)


def test_weights_in_any_memory_format(generator):
    x, weight = inputs((48, 32), generator)
    other = weight.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    for each in (other, weight.detach().transpose(2, 3).contiguous().transpose(2, 3).requires_grad_()):
        for mine, theirs in zip(
            derivatives(winograd_autograd.same_size, x, each, generator),
            derivatives(winograd_autograd.same_size, x, weight, generator),
            strict=True,
        ):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"x": torch.ones(1, 32, 8, 8, dtype=torch.float64)},
        {"x": torch.ones(1, 32, 8, 8, dtype=torch.bfloat16)},
        {"weight": torch.ones(20, 32, 3, 3)},
        {"weight": torch.ones(32, 32, 1, 1)},
        {"weight": torch.ones(32, 16, 3, 3), "groups": 2},
        {"pads": [0, 0, 0, 0]},
        {"f": setup_filter([1, 2, 1])},
        {"f": setup_filter([1, 3, 3, 1], separable=True)},
        {"f": None},
    ],
)
def test_leaves_other_convolutions_alone(change):
    given = {"x": torch.ones(1, 32, 8, 8), "weight": torch.ones(32, 32, 3, 3), "up": 2, "pads": [1] * 4, "groups": 1}
    given |= {"f": FIR}
    assert winograd_autograd.takes_resampling(**given)
    assert not winograd_autograd.takes_resampling(**given | change)
    if "f" not in change:
        del given["f"], given["up"]
        assert winograd_autograd.takes(**given)
        assert not winograd_autograd.takes(**given | change)


def test_a_reduced_image_has_even_sides():
    given = {"weight": torch.ones(32, 32, 3, 3), "f": FIR, "pads": [1] * 4, "groups": 1}
    assert winograd_autograd.takes_resampling(torch.ones(1, 32, 7, 8), up=2, **given)
    assert not winograd_autograd.takes_resampling(torch.ones(1, 32, 7, 8), up=1, **given)


@pytest.mark.parametrize("choice", ["direct", "pytorch", "reference"])
def test_other_operators_do_without(choice):
    with ops.use(choice):
        assert not winograd_autograd.takes(torch.ones(1, 32, 64, 64), torch.ones(32, 32, 3, 3), [1] * 4, 1)


def test_neither_in_inference_mode_nor_compiled():
    x, weight = torch.ones(1, 32, 64, 64), torch.ones(32, 32, 3, 3)
    with torch.inference_mode():
        assert not winograd_autograd.takes(x, weight, [1] * 4, 1)
    with torch.no_grad():
        assert winograd_autograd.takes(x, weight, [1] * 4, 1)


@pytest.mark.parametrize("size, is_faster", [(16, True), (15, True), (16, False)])
def test_small_images_do_not_pay_for_their_filters(size, is_faster, monkeypatch):
    asked = []
    monkeypatch.setattr(fastest, "wins", lambda name, ways: asked.append(name) or is_faster)
    x, weight, wins = torch.ones(1, 32, size, 16), torch.ones(32, 32, 3, 3), size == 16 and is_faster
    with ops.use("auto"):
        assert winograd_autograd.takes(x, weight, [1] * 4, 1) == wins
        assert winograd_autograd.takes_resampling(x, weight, FIR, 2, [1] * 4, 1) == wins
    assert asked == (["with gradients", "enlarging"] if size == 16 else [])


def test_what_is_compared_are_the_same_gradients():
    first, second = (way() for way in winograd_autograd._compared())
    for mine, theirs in zip(first, second, strict=True):
        assert_near(mine, theirs.double())
