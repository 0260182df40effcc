"""Minimal filtering against a direct convolution, in float64; and what is kept of the filters, and when."""

import pytest
import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from tests.implementations import check_native
from torch_utils import ops
from torch_utils.ops import fastest, inference_cache, modulated_conv2d, reference, selection, setup_filter, winograd
from torch_utils.ops.bias_act import ACTIVATIONS

pytestmark = pytest.mark.numeric

FIR = setup_filter([1, 3, 3, 1])
SIZES = [(8, 8), (4, 4), (7, 10), (1, 1), (3, 17)]
UPS = [1, 2]
TOLERANCE = 2e-5  # of the largest number of the result; seen: up to 1e-5, and 3e-7 of a plain float32 sum

needs_native = pytest.mark.usefixtures("native_cpu")


@pytest.fixture
def native_cpu():
    check_native()


def inputs(generator, size=(8, 8), ci: int = 32, co: int = 48, count: int = 2) -> tuple[Tensor, ...]:
    """x [N, Ci, H, W], weight, in_scale, out_scale, bias."""
    draw = {"generator": generator}
    x = torch.randn([count, ci, *size], **draw).contiguous(memory_format=torch.channels_last)
    weight = torch.randn([co, ci, 3, 3], **draw)
    return x, weight, torch.randn([count, ci], **draw), torch.rand([count, co], **draw), torch.randn([co], **draw)


def direct(x, weight, flip_weight=True, in_scale=None, out_scale=None, noise=None, bias=None, up=1, f=None) -> Tensor:
    """In float64, by the definition; without an activation."""
    x = x.double() if in_scale is None else x.double() * in_scale.double()[:, :, None, None]
    with ops.use("reference"):
        y = ops.conv2d_resample(x, weight.double(), f, up=up, padding=1, flip_weight=flip_weight)
    y = y if out_scale is None else y * out_scale.double()[:, :, None, None]
    y = y if noise is None else y + noise.double()
    return y if bias is None else y + bias.double()[:, None, None]


def assert_near(actual: Tensor, expected: Tensor, largest: Tensor | None = None) -> None:
    """`largest`: what was rounded, where a clamp has made it smaller since."""
    assert actual.shape == expected.shape
    assert actual.is_contiguous(memory_format=torch.channels_last)
    assert (actual - expected).abs().max() <= TOLERANCE * (expected if largest is None else largest).abs().max()


@needs_native
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("noises", [[], [2, 1]])
@pytest.mark.parametrize("flip_weight", [True, False])
@pytest.mark.parametrize("up", UPS)
def test_equals_a_direct_convolution(size, noises, flip_weight, up, generator):
    x, weight, in_scale, out_scale, bias = inputs(generator(), size)
    noise = torch.randn([*noises, *(up * side for side in size)], generator=generator(1))
    given = {"flip_weight": flip_weight, "in_scale": in_scale, "out_scale": out_scale, "noise": noise, "bias": bias}
    given |= {"up": up, "f": FIR if up > 1 else None}
    assert_near(winograd.convolve(x, weight, **given), direct(x, weight, **given))


@needs_native
def test_enlarges_with_any_filter_of_4x4_taps(generator):
    x, weight, *_ = inputs(generator())
    f = torch.randn([4, 4], generator=generator(1))
    assert_near(winograd.convolve(x, weight, up=2, f=f), direct(x, weight, up=2, f=f))


@needs_native
@pytest.mark.parametrize("size", [(64, 64), (5, 260), (300, 4)])  # some in several blocks, side by side or not
def test_enlarges_large_images(size, generator):
    x, weight, *_ = inputs(generator(), size, 16, 16)
    assert_near(winograd.convolve(x, weight, up=2, f=FIR), direct(x, weight, up=2, f=FIR))


@needs_native
@pytest.mark.parametrize("ci, co", [(16, 16), (64, 80), (112, 16)])
@pytest.mark.parametrize("up", UPS)
def test_any_multiples_of_16_channels(ci, co, up, generator):
    x, weight, *_ = inputs(generator(), (12, 9), ci, co, count=5)
    how = {"up": up, "f": FIR if up > 1 else None}
    assert_near(winograd.convolve(x, weight, **how), direct(x, weight, **how))


@needs_native
@pytest.mark.parametrize("act", list(ACTIVATIONS))
@pytest.mark.parametrize("clamp", [None, 1.5])
@pytest.mark.parametrize("up", UPS)
def test_then_does_what_bias_act_does(act, clamp, up, generator):
    x, weight, _, out_scale, bias = inputs(generator())
    how = {"up": up, "f": FIR if up > 1 else None, "out_scale": out_scale}
    y = winograd.convolve(x, weight, bias=bias, act=act, gain=1.3, clamp=clamp, **how)
    plain = direct(x, weight, **how)
    expected = reference.bias_act(plain, bias, 1, lambda u: ops.bias_act(u, act=act, gain=1.0), 1.3, clamp)
    assert_near(y, expected, largest=plain)


@needs_native
@pytest.mark.parametrize("up", UPS)
def test_a_result_does_not_depend_on_the_rest_of_the_batch(up, generator):
    x, weight, *_ = inputs(generator(), (24, 24), count=7)
    how = {"up": up, "f": FIR if up > 1 else None}
    together = winograd.convolve(x, weight, **how)
    for n in range(7):
        assert torch.equal(winograd.convolve(x[n : n + 1], weight, **how), together[n : n + 1])


@needs_native
@pytest.mark.parametrize("up", UPS)
def test_a_result_does_not_depend_on_the_number_of_threads(up, generator):
    x, weight, *_ = inputs(generator(), (21, 24), count=3)
    how, before, results = {"up": up, "f": FIR if up > 1 else None}, torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(winograd.convolve(x, weight, **how))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@needs_native
@pytest.mark.parametrize(
    "wrong",
    [
        {"x": torch.zeros(1, 24, 8, 8)},
        {"x": torch.zeros(1, 32, 8, 8, dtype=torch.float64)},
        {"in_scale": torch.zeros(3, 32)},
        {"bias": torch.zeros(31)},
        {"up": 2, "f": setup_filter([1, 2, 1])},
        {"up": 2, "f": FIR, "noise": torch.zeros(8, 8)},
    ],
)
def test_refuses_what_it_cannot_do(wrong, generator):
    x, weight, *_ = inputs(generator())
    with pytest.raises(RuntimeError, match="winograd"):
        winograd.convolve(**{"x": x, "weight": weight[:, : 24 if wrong.get("x", x).shape[1] == 24 else 32]} | wrong)


@needs_native
def test_has_no_derivative(generator):
    x, weight, *_ = inputs(generator())
    y = winograd.convolve(x.requires_grad_(), weight)
    with pytest.raises(NotImplementedError, match="inference"):
        y.sum().backward()


# ---- when it is used


@pytest.fixture
def always():
    """The native operators, wherever there is one."""
    with ops.use("native"):
        yield


@needs_native
@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("up", UPS)
def test_modulated_conv2d_keeps_filters_in_inference_mode_only(
    demodulate, is_shared, up, always, generator, monkeypatch
):
    x, weight, styles, _, bias = inputs(generator())
    styles = styles[:1].expand(2, -1) if is_shared else styles
    calls = []
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *a, **k: calls.append(1) or convolve(*a, **k))
    how = {"padding": 1, "demodulate": demodulate, "up": up, "resample_filter": FIR, "flip_weight": up == 1}
    how |= {"bias": bias, "act": "lrelu", "act_gain": 1.2, "clamp": 2.0, "gain": 0.7}
    with torch.no_grad():
        given = x.double(), weight.double(), styles.double()
        expected, plain = modulated_conv2d(*given, **how), modulated_conv2d(*given, **how | {"clamp": None})
        assert not calls
        modulated_conv2d(x, weight, styles, **how)
        assert not calls
    with torch.inference_mode():
        y = modulated_conv2d(x, weight, styles, **how)
    assert calls
    assert_near(y, expected, largest=plain)


@needs_native
@pytest.mark.parametrize(
    "other",
    [
        {"up": 4},
        {"up": 2, "f": setup_filter([1, 2, 1])},
        {"up": 2, "f": setup_filter([1, 3, 3, 1], separable=True)},
        {"up": 2, "f": None},
        {"down": 2},
        {"padding": 0},
    ],
)
def test_leaves_other_ways_of_resampling_to_conv2d_resample(other, always, generator):
    x, weight, *_ = inputs(generator())
    usual = {"padding": 1, "f": FIR}
    with torch.inference_mode():
        assert winograd.takes(x, weight, **usual)
        assert winograd.takes(x, weight, up=2, **usual)
        assert not winograd.takes(x, weight, **usual | other)


@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("kernel, up", [(3, 1), (3, 2), (1, 1)])
def test_a_style_of_all_samples_is_that_of_each(kernel, up, is_last, folds, generator, monkeypatch):
    monkeypatch.setitem(modulated_conv2d.__globals__, "folding_wins", lambda x: folds)
    x = torch.randn([3, 5, 4, 4], generator=generator()).double()
    x = x.contiguous(memory_format=torch.channels_last) if is_last else x
    weight = torch.randn([4, 5, kernel, kernel], generator=generator(1)).double()
    style = torch.randn([1, 5], generator=generator(2)).double()
    how = {"up": up, "padding": kernel // 2, "resample_filter": FIR, "gain": 0.7, "act": "lrelu"}
    shared = modulated_conv2d(x, weight, style.expand(3, -1), **how)
    torch.testing.assert_close(shared, modulated_conv2d(x, weight, style.repeat(3, 1), **how))


# ---- what is kept


def test_filters_are_made_again_when_the_weights_change(generator):
    weight, made = nn.Parameter(torch.ones(2)), []

    def make() -> Tensor:
        made.append(1)
        return weight.detach() * 2

    with torch.inference_mode():
        assert inference_cache.cached(weight, "twice", make) is inference_cache.cached(weight, "twice", make)
        assert len(made) == 1
    with torch.no_grad():
        weight += 1
    with torch.inference_mode():
        assert inference_cache.cached(weight, "twice", make).tolist() == [4, 4]
        assert len(made) == 2
        weight.data = torch.zeros(2)
        assert inference_cache.cached(weight, "twice", make).tolist() == [0, 0]


def test_nothing_is_kept_outside_inference_mode():
    weight = nn.Parameter(torch.ones(2))
    results = [inference_cache.cached(weight, "copy", lambda: weight.detach().clone()) for _ in range(2)]
    assert results[0] is not results[1]


@pytest.mark.parametrize("size, is_faster, wins", [(64, True, True), (2, True, False), (64, False, False)])
@pytest.mark.parametrize("up, name", [(1, "plain"), (2, "enlarging")])
def test_wins_where_it_was_faster_but_for_the_smallest_images(size, is_faster, wins, up, name, monkeypatch):
    monkeypatch.setattr(fastest, "wins", lambda asked, ways: asked == name and is_faster)
    assert winograd.wins(torch.empty([1, 512, size, size], device="meta"), up) == wins


@needs_native
@pytest.mark.parametrize(
    "choice, said, is_faster, expected",
    [
        ("auto", None, True, True),
        ("auto", None, False, False),
        ("auto", "on", False, True),
        ("auto", "off", True, False),
        ("native", None, False, True),
        ("native", "off", True, False),
        ("direct", "on", True, False),
        ("pytorch", "on", True, False),
        ("reference", "on", True, False),
    ],
)
def test_the_environment_and_the_operators_say_whether_it_runs(choice, said, is_faster, expected, monkeypatch):
    monkeypatch.delenv("STEERGAN_WINOGRAD", raising=False)
    if said is not None:
        monkeypatch.setenv("STEERGAN_WINOGRAD", said)
    with ops.use(choice):
        assert selection.takes_winograd(torch.ones([1, 16, 8, 8]), lambda: is_faster) == expected


def test_another_word_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("STEERGAN_WINOGRAD", "yes")
    with pytest.raises(UserError, match=r"STEERGAN_WINOGRAD=yes: .*auto, on or off"):
        selection.takes_winograd(torch.ones([1, 16, 8, 8]), lambda: True)


@needs_native
@pytest.mark.parametrize("ways", [winograd._plain, winograd._enlarging])
def test_what_is_compared_is_the_same_convolution(ways):
    first, second = (way() for way in ways())
    assert_near(first, second.double())
