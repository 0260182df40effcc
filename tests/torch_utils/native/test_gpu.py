"""The CUDA kernels against the PyTorch versions in float64, in every type and layout. `make gpu-check` runs these."""

import pytest
import torch
from torch import Tensor

from tests.implementations import check_native
from torch_utils import ops

pytestmark = pytest.mark.gpu

DEVICE = "cuda"  # tests/torch_utils/native/test_emulated_gpu.py sets another
FIR = ops.setup_filter([1, 3, 3, 1])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
each_type = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
each_format = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)

# Sizes that packs of 16 bytes divide and do not divide, and several slices of pixels.
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (3, 8, 16, 16), (2, 24, 17, 16), (1, 64, 33, 35), (1, 512, 8, 8), (2, 16, 96, 96)]
# up, down, padding
GEOMETRIES = [(1, 1, 2), (2, 1, [2, 1, 2, 1]), (1, 2, 1), ([2, 3], [3, 2], [3, -1, 2, 4]), (1, 1, [1, 2, 0, 3])]


@pytest.fixture(autouse=True)
def _native():
    check_native(DEVICE)


def draw(shape, dtype: torch.dtype, seed: int, memory_format=torch.contiguous_format) -> Tensor:
    """Numbers away from 0, where lrelu has its kink."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = (x + 0.2 * x.sign()).to(DEVICE, dtype)
    return x.contiguous(memory_format=memory_format) if x.ndim == 4 else x


def derivatives(function, given: list[Tensor]) -> list[Tensor]:
    """Result, gradients, and the gradients of their weighted sum."""
    given = [t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in given]
    y = function(*given)
    g = torch.linspace(-1, 1, y.numel(), device=DEVICE, dtype=torch.float64).reshape(y.shape).to(y.dtype)
    first = torch.autograd.grad(y, given, g.requires_grad_(), create_graph=True)
    weighted = sum((i + 1) * d.double().square().sum() for i, d in enumerate(first)) * 0.01  # within half's range
    second = torch.autograd.grad(weighted, [g, *given], allow_unused=True, materialize_grads=True)
    return [y, *first, *second]


def check_parity(function, given: list[Tensor], dtype: torch.dtype) -> None:
    """Native in `dtype` against PyTorch in float64."""
    with ops.use("native"):
        ours = derivatives(function, given)
    with ops.use("pytorch"):
        theirs = derivatives(function, [t.double() for t in given])
    for number, (actual, expected) in enumerate(zip(ours, theirs, strict=True)):
        scale = expected.abs().max().item() or 1.0
        error = (actual.double() - expected).abs().max().item()
        assert error <= TOLERANCE[dtype] * scale, f"output {number}: off by {error / scale:.3g}"


@each_format
@each_type
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bias_act_with_everything(shape, dtype, memory_format):
    n, c, *size = shape
    given = [
        draw(shape, dtype, 0, memory_format),
        draw([n, c], dtype, 1).abs() + 0.5,
        draw([], dtype, 2).abs() + 0.5,
        draw([c], dtype, 3) * 0.01,
    ]
    for count in {1, n}:
        noise = draw([count, 1, *size], dtype, 4) * 0.01

        def activated(x, scale, strength, b, noise=noise):
            here = noise.to(x.dtype)
            return ops.bias_act(x, b, act="lrelu", gain=1.5, scale=scale, noise=here, noise_strength=strength)

        check_parity(activated, given, dtype)


@each_type
def test_gradients_stop_at_the_clamp(dtype):
    """Of the type that results are stored in."""
    x = torch.tensor([[-500.0, -100, 100, 128.5, 500]], dtype=dtype, device=DEVICE, requires_grad=True)
    with ops.use("native"):
        y = ops.bias_act(x, act="lrelu", clamp=256 * 0.5**0.5)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    expected = torch.tensor([[0.2 * 2**0.5, 0.2 * 2**0.5, 2**0.5, 0, 0]], device=DEVICE)
    torch.testing.assert_close(gradient.float(), expected, rtol=4e-3, atol=0)


@each_format
@each_type
@pytest.mark.parametrize("act", ["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"])
def test_every_activation(act, dtype, memory_format):
    given = [draw((2, 12, 9, 8), dtype, 0, memory_format), draw([12], dtype, 1) * 0.05]
    check_parity(lambda x, b: ops.bias_act(x, b, act=act), given, dtype)


@each_type
@pytest.mark.parametrize("shape", [(5, 7), (64, 512), (3, 4, 5)], ids=str)
def test_what_is_no_image(shape, dtype):
    given = [draw(shape, dtype, 0), draw([shape[1]], dtype, 1) * 0.05]
    check_parity(lambda x, b: ops.bias_act(x, b, act="lrelu"), given, dtype)


@each_format
@each_type
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("shape", [(1, 3, 6, 9), (2, 40, 21, 30), (2, 64, 32, 32)], ids=str)
def test_upfirdn2d(shape, geometry, dtype, memory_format):
    x = draw(shape, dtype, 0, memory_format)
    check_parity(lambda x: ops.upfirdn2d(x, FIR.to(x.device), *geometry, gain=2), [x], dtype)


@each_format
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("up", [1, 2])
def test_modulated_convolution(up, dtype, memory_format):
    n, ci, co, r = 2, 16, 24, 16
    x = draw((n, ci, r, r), dtype, 0, memory_format)
    weight, styles = draw((co, ci, 3, 3), dtype, 1), draw((n, ci), dtype, 2)
    fir = FIR.to(DEVICE)
    found = []
    for choice, kind in (("native", dtype), ("pytorch", torch.float64)):
        with ops.use(choice), torch.no_grad():
            found.append(
                ops.modulated_conv2d(
                    x.to(kind), weight.to(kind), styles.to(kind), up=up, padding=1, resample_filter=fir, act="lrelu"
                )
            )
    error = (found[0].double() - found[1]).abs().max() / found[1].abs().max()
    assert error <= 3 * max(TOLERANCE[dtype], 2e-3)  # cuDNN may round to TF32


def test_on_another_stream():
    x, b = draw((4, 64, 64, 64), torch.float32, 0), draw([64], torch.float32, 1)
    stream = torch.cuda.Stream()
    with ops.use("native"):
        with torch.cuda.stream(stream):
            y = ops.bias_act(x, b, act="lrelu")
        stream.synchronize()
        torch.testing.assert_close(y, ops.bias_act(x, b, act="lrelu"))
