"""conv2d_resample against its definition, and its derivatives against finite differences."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.implementations import each_implementation
from torch_utils.ops import conv2d_resample, setup_filter, upfirdn2d
from torch_utils.ops.upfirdn2d import down_padding, up_padding

pytestmark = [pytest.mark.numeric, *each_implementation]

FIR = setup_filter([1, 3, 3, 1])


def defined(x: Tensor, w: Tensor, f, up: int, down: int, padding, groups: int, flip_weight: bool) -> Tensor:
    """Pad once on the upsampled grid, upsample, convolve, reduce."""
    pads = list(padding)
    for factor, more in ((up, up_padding), (down, down_padding)):
        if factor > 1:
            pads = [a + b for a, b in zip(pads, more(f, (factor, factor)), strict=True)]
    x = upfirdn2d(x, f if up > 1 else None, up=up, padding=pads, gain=up**2)
    x = F.conv2d(x, w if flip_weight else w.flip((2, 3)), groups=groups)
    return upfirdn2d(x, f, down=down) if down > 1 else x


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from([1, 2, 3]),
    up=st.integers(1, 3),
    down=st.integers(1, 3),
    padding=st.tuples(*[st.integers(-1, 3)] * 4),
    groups=st.sampled_from([1, 2]),
    flip_weight=st.booleans(),
    filtered=st.booleans(),
)
def test_is_what_its_definition_says(kernel, up, down, padding, groups, flip_weight, filtered):
    generator = torch.Generator().manual_seed(kernel)
    x = torch.randn([2, 4, 6, 5], generator=generator, dtype=torch.float64)
    w = torch.randn([6, 4 // groups, kernel, kernel], generator=generator, dtype=torch.float64)
    f = FIR if filtered else None
    assume(5 * up + min(padding[0] + padding[1], padding[2] + padding[3]) > kernel + 4)
    y = conv2d_resample(x, w, f, up, down, padding, groups, flip_weight)
    torch.testing.assert_close(y, defined(x, w, f, up, down, padding, groups, flip_weight))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("up, down", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("padding", [1, [2, 0, 1, 3]], ids=["even", "uneven"])
def test_first_and_second_derivatives(kernel, up, down, padding, generator):
    draw = {"generator": generator(), "dtype": torch.float64, "requires_grad": True}
    x, w = torch.randn([1, 2, 4, 4], **draw), torch.randn([2, 2, kernel, kernel], **draw)

    def convolve(x, w):
        return conv2d_resample(x, w, FIR, up, down, padding, flip_weight=False)

    assert torch.autograd.gradcheck(convolve, (x, w))
    assert torch.autograd.gradgradcheck(convolve, (x, w), fast_mode=True)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("up, down", [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_bias_is_added_to_the_result(kernel, up, down, generator):
    draw = {"generator": generator(), "dtype": torch.float64}
    x, w, bias = torch.randn([2, 3, 6, 6], **draw), torch.randn([4, 3, kernel, kernel], **draw), torch.randn(4, **draw)
    options = {"f": FIR, "up": up, "down": down, "padding": kernel // 2}
    expected = conv2d_resample(x, w, **options) + bias[:, None, None]
    torch.testing.assert_close(conv2d_resample(x, w, **options, bias=bias), expected)


@pytest.mark.parametrize("up, down", [(1, 1), (2, 1), (1, 2)])
def test_same_padding_keeps_the_size_times_the_factor(up, down):
    x, w = torch.zeros(1, 2, 8, 6), torch.zeros(3, 2, 3, 3)
    assert conv2d_resample(x, w, FIR, up, down, padding=1).shape == (1, 3, 8 * up // down, 6 * up // down)
