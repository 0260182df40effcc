"""upfirdn2d against its definition in NumPy, its derivatives against finite differences, and its complaints."""

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.implementations import each_implementation
from torch_utils.ops import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

pytestmark = [pytest.mark.numeric, *each_implementation]

FILTERS = {
    "none": None,
    "separable": setup_filter([1, 2, 4, 1], separable=True),
    "plane": setup_filter([[1, 2, 3], [4, 5, 7]]),
    "binomial": setup_filter([1, 3, 3, 1]),
}

# up, down, padding
GEOMETRIES = [
    (1, 1, 0),
    (2, 1, [2, 1]),
    (1, 2, [1, 0, 2, 3]),
    ([2, 3], [3, 2], [3, -1, 2, 4]),
    ([3, 1], [1, 2], [4, 3, 5, -1]),
    (4, 2, [5, 2, 4, 3]),
]


def defined(x: np.ndarray, taps: np.ndarray, up: tuple, down: tuple, padding: tuple, flip: bool) -> np.ndarray:
    """Zero insertion, padding or cropping, filtering, decimation, of one image [H, W]."""
    sparse = np.zeros((x.shape[0] * up[1], x.shape[1] * up[0]))
    sparse[:: up[1], :: up[0]] = x
    x0, x1, y0, y1 = padding
    sparse = np.pad(sparse, [(max(y0, 0), max(y1, 0)), (max(x0, 0), max(x1, 0))])
    sparse = sparse[max(-y0, 0) : sparse.shape[0] - max(-y1, 0), max(-x0, 0) : sparse.shape[1] - max(-x1, 0)]
    combine = scipy.signal.correlate2d if flip else scipy.signal.convolve2d
    return combine(sparse, taps, mode="valid")[:: down[1], :: down[0]]


def leaves_pixels(length: int, up: int, taps: int, before: int, after: int) -> bool:
    """Whether cropping leaves some of the image, and the filter fits in the padded one."""
    left = any(-before <= i * up < length * up + min(after, 0) for i in range(length))
    return left and length * up + before + after >= taps


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    taps=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    up=pairs,
    down=pairs,
    padding=st.tuples(*[st.integers(-3, 6)] * 4),
    flip=st.booleans(),
    seed=st.integers(0, 999),
)
def test_is_what_its_definition_says(size, taps, up, down, padding, flip, seed):
    assume(leaves_pixels(size[1], up[0], taps[1], *padding[:2]))
    assume(leaves_pixels(size[0], up[1], taps[0], *padding[2:]))
    rng = np.random.default_rng(seed)
    x, f = rng.standard_normal(size), rng.standard_normal(taps).astype(np.float32)
    y = upfirdn2d(torch.from_numpy(x)[None, None], torch.from_numpy(f), up, down, padding, flip_filter=flip, gain=2)
    np.testing.assert_allclose(y[0, 0].numpy(), 2 * defined(x, f, up, down, padding, flip), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("up, down, padding", GEOMETRIES)
@pytest.mark.parametrize("f", FILTERS.values(), ids=FILTERS.keys())
def test_first_and_second_derivatives(up, down, padding, f, generator):
    x = torch.randn([1, 2, 4, 5], generator=generator(), dtype=torch.float64, requires_grad=True)

    def resample(x):
        return upfirdn2d(x, f, up, down, padding, gain=3)

    assert torch.autograd.gradcheck(resample, x)
    assert torch.autograd.gradgradcheck(resample, x, fast_mode=True)


@pytest.mark.parametrize("up, down, padding", GEOMETRIES)
def test_channels_last_gives_the_same(up, down, padding, generator):
    x = torch.randn([2, 3, 6, 5], generator=generator())
    y = upfirdn2d(x, FILTERS["binomial"], up, down, padding)
    last = upfirdn2d(x.contiguous(memory_format=torch.channels_last), FILTERS["binomial"], up, down, padding)
    torch.testing.assert_close(last, y, rtol=1e-5, atol=1e-6)


def test_constant_image_stays_constant():
    x, f = torch.full([1, 1, 12, 12], 0.7), FILTERS["binomial"]
    for y in (filter2d(x, f), upsample2d(x, f), downsample2d(x, f)):
        inside = y[:, :, 3:-3, 3:-3] if y.shape[2] > 6 else y[:, :, 1:-1, 1:-1]
        torch.testing.assert_close(inside, torch.full_like(inside, 0.7))


def test_sizes_of_the_wrappers():
    x, f = torch.zeros([1, 1, 6, 8]), FILTERS["binomial"]
    assert filter2d(x, f).shape == (1, 1, 6, 8)
    assert upsample2d(x, f).shape == (1, 1, 12, 16)
    assert upsample2d(x, f, up=[3, 1]).shape == (1, 1, 6, 24)
    assert downsample2d(x, f).shape == (1, 1, 3, 4)
    assert downsample2d(x, f, down=[4, 2]).shape == (1, 1, 3, 2)


def test_filter_is_not_differentiated():
    f = FILTERS["binomial"].clone().requires_grad_()
    x = torch.ones([1, 1, 4, 4], requires_grad=True)
    upfirdn2d(x, f, padding=2).sum().backward()
    assert f.grad is None
    assert x.grad is not None


def test_separable_filter_is_its_outer_product(generator):
    x = torch.randn([1, 2, 7, 6], generator=generator(), dtype=torch.float64)
    f = FILTERS["separable"]
    options = {"up": [2, 1], "down": [1, 3], "padding": [2, 1, 3, 0], "gain": 4}
    torch.testing.assert_close(upfirdn2d(x, f, **options), upfirdn2d(x, f[:, None] * f[None, :], **options))


@pytest.mark.parametrize("f", [[], torch.ones(1, 1, 1)], ids=["empty", "three dimensions"])
def test_impossible_filters_are_refused(f):
    with pytest.raises(ValueError, match="one or two dimensions and at least one tap"):
        setup_filter(f)


@pytest.mark.parametrize("option", [{"up": 0}, {"down": [1, 0]}, {"up": -2}])
def test_resampling_factors_below_one_are_refused(option):
    with pytest.raises(ValueError, match="at least 1"):
        upfirdn2d(torch.zeros(1, 1, 4, 4), None, **option)


def test_padding_of_three_numbers_is_refused():
    with pytest.raises(ValueError, match=r"a number, \[x, y\] or \[x0, x1, y0, y1\]"):
        upfirdn2d(torch.zeros(1, 1, 4, 4), None, padding=[1, 2, 3])
