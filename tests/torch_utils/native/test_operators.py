"""The native operators themselves: registered as torch wants it, equal to the PyTorch versions, in every layout."""

import itertools

import pytest
import torch
from torch import Tensor

from tests.implementations import check_native
from torch_utils import ops
from torch_utils.native.operators import native
from torch_utils.ops.bias_act import ACTIVATIONS

FIR = ops.setup_filter([1, 3, 3, 1])
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
each_format = pytest.mark.parametrize("memory_format", FORMATS.values(), ids=FORMATS)
each_activation = pytest.mark.parametrize("act", ACTIVATIONS)
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2}

# up, down, padding
GEOMETRIES = [(1, 1, 2), (2, 1, [2, 1, 2, 1]), (1, 2, 1), ([2, 3], [3, 2], [3, -1, 2, 4]), (1, 1, [-1, 2, 0, -2])]


@pytest.fixture(autouse=True)
def _native():
    check_native()
    with ops.use("native"):
        yield


def images(generator: torch.Generator, shape, memory_format=torch.contiguous_format, dtype=torch.float64) -> Tensor:
    """Numbers at least 0.05 away from 0, where activations have their kinks."""
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (x + 0.05 * x.sign()).to(dtype).contiguous(memory_format=memory_format).requires_grad_()


def parameters(generator: torch.Generator, shape, per_sample: bool, dtype=torch.float64) -> list[Tensor]:
    """scale [N, C], noise [N or 1, 1, H, W], strength [], b [C]: small ones, so that no sum comes near a kink."""
    count, channels, *size = shape
    draw = {"generator": generator, "dtype": dtype}
    scale = torch.rand([count, channels], **draw) + 0.5
    noise = torch.rand([count if per_sample else 1, 1, *size], **draw) * 0.01
    strength = torch.rand([], **draw) + 0.5
    b = torch.rand([channels], **draw) * 0.01
    return [scale.requires_grad_(), noise, strength.requires_grad_(), b.requires_grad_()]


def options(act: str, clamp: float = float("inf")) -> tuple:
    return 1, act, 0.2, 1.3, clamp


# ---- registration


@pytest.mark.parametrize("up, down, padding", [([2, 1], [1, 2], [2, 1, 0, 3]), ([1, 1], [2, 2], [1, 1, 1, 1])])
@each_format
def test_upfirdn2d_is_registered_properly(up, down, padding, memory_format, generator):
    x = images(generator(), [2, 3, 5, 6], memory_format)
    torch.library.opcheck(native.upfirdn2d.default, (x, FIR, up, down, padding, True, 4.0))


@each_format
@pytest.mark.parametrize("present", [(1, 1, 1, 1), (0, 1, 1, 1), (0, 0, 0, 1), (1, 0, 0, 0), (0, 0, 0, 0)])
def test_bias_act_is_registered_properly(present, memory_format, generator):
    x = images(generator(), [2, 3, 4, 5], memory_format)
    given = [p if here else None for p, here in zip(parameters(generator(1), x.shape, False), present, strict=True)]
    torch.library.opcheck(native.bias_act.default, (x, *given, *options("lrelu")))


def test_derivatives_are_registered_properly(generator):
    x = images(generator(), [2, 3, 4, 5])
    given = parameters(generator(1), x.shape, False)
    v, v_given = images(generator(2), x.shape).detach(), parameters(generator(3), x.shape, False)
    first = (v, x, *given, *options("swish"), False, [True, True, True])
    torch.library.opcheck(native.bias_act_grad.default, first)
    with torch.no_grad():
        v_scale, _, v_strength, v_b = v_given
        second = (v, v_scale, v_strength, v_b, *first)
        torch.library.opcheck(native.bias_act_grad_grad.default, second, test_utils=("test_schema", "test_faketensor"))


def test_compiled_and_exported_without_a_break(generator):
    x, (scale, noise, _, b) = images(generator(), [2, 3, 4, 4]), parameters(generator(1), [2, 3, 4, 4], True)
    scale = scale.detach()

    class Layer(torch.nn.Module):
        def forward(self, x, b):
            x = ops.upfirdn2d(x, FIR, padding=[2, 1, 2, 1])
            return ops.bias_act(x, b, act="lrelu", scale=scale, noise=noise)

    expected = Layer()(x, b)
    compiled = torch.compile(Layer(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, b), expected)
    program = torch.export.export(Layer(), (x.detach(), b.detach()))
    assert "steergan.bias_act" in str(program.graph)
    torch.testing.assert_close(program.module()(x.detach(), b.detach()), expected)


def test_third_derivatives_are_refused(generator):
    x = images(generator(), [2, 3])
    y = native.bias_act(x, None, None, None, None, *options("tanh"))
    for _ in range(2):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="choose the operators 'pytorch'"):
        torch.autograd.grad(y.sum(), x)


# ---- derivatives


@each_format
@each_activation
@pytest.mark.parametrize("per_sample", [False, True], ids=["one noise", "noise each"])
def test_derivatives_with_scale_noise_and_bias(act, memory_format, per_sample, generator):
    x = images(generator(), [2, 3, 2, 3], memory_format)
    given = parameters(generator(1), x.shape, per_sample)

    def activated(*tensors):
        return native.bias_act(*tensors, *options(act, clamp=1.9)).square()

    assert torch.autograd.gradcheck(activated, (x, *given))
    assert torch.autograd.gradgradcheck(activated, (x, *given))


@each_format
@pytest.mark.parametrize("act", ["linear", "relu", "lrelu"])
def test_derivatives_from_the_result(act, memory_format, generator):
    x = images(generator(), [2, 3, 2, 3], memory_format)
    _, noise, strength, b = parameters(generator(1), x.shape, False)

    def activated(x, noise, strength, b):
        return native.bias_act(x, None, noise, strength, b, *options(act, clamp=1.9)).square()

    assert torch.autograd.gradcheck(activated, (x, noise, strength, b))
    assert torch.autograd.gradgradcheck(activated, (x, noise, strength, b))


def test_noise_that_is_to_be_differentiated_goes_to_pytorch(generator):
    """Its gradient would take a pass of its own; the operator itself refuses."""
    x = images(generator(), [2, 3, 4, 4])
    _, noise, strength, b = parameters(generator(1), x.shape, True)
    noise.requires_grad_()
    y = ops.bias_act(x, b, act="lrelu", noise=noise, noise_strength=strength)
    (gradient,) = torch.autograd.grad(y.sum(), noise)
    assert gradient.abs().min() > 0
    with pytest.raises(RuntimeError, match="noise is not differentiated"):
        native.bias_act(x, None, noise, strength, b, *options("lrelu"))


@each_format
@pytest.mark.parametrize("up, down, padding", GEOMETRIES)
def test_derivatives_of_upfirdn2d(up, down, padding, memory_format, generator):
    x = images(generator(), [1, 2, 6, 5], memory_format)

    def resample(x):
        return ops.upfirdn2d(x, FIR, up, down, padding)

    assert torch.autograd.gradcheck(resample, x)
    assert torch.autograd.gradgradcheck(resample, x)


# ---- equality with the PyTorch versions


def both(function, *tensors: Tensor) -> list[list[Tensor]]:
    """Results and gradients, native and PyTorch's (computed in float64)."""
    found = []
    for choice in ("native", "pytorch"):
        given = [t.detach().to(t.dtype if choice == "native" else torch.float64).requires_grad_() for t in tensors]
        with ops.use(choice):
            y = function(*given)
            g = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
            found.append([y, *torch.autograd.grad(y, given, g)])
    return found


def check_both(function, *tensors: Tensor, dtype: torch.dtype, sums: int = 1, terms: float = 0) -> None:
    """`terms`: what the terms of a single number (a sum of all) add up to without their signs."""
    ours, theirs = both(function, *tensors)
    for actual, expected in zip(ours, theirs, strict=True):
        error, scale = (actual.double() - expected).abs().max().item(), expected.abs().max().item()
        scale = max(scale, terms) if expected.ndim == 0 else scale
        assert error <= TOLERANCE[dtype] * sums * scale, f"off by {error}"


WIDE = list(itertools.product([(1, 3, 6, 9), (2, 40, 21, 300)], GEOMETRIES))
# Sizes around what kernels take at a time: vectors, lanes, stretches, slices.
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (2, 17, 9, 4), (1, 64, 33, 35), (3, 48, 1, 1), (1, 2, 130, 600)]


@each_format
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bias_act_of_many_sizes(shape, dtype, memory_format, generator):
    x = images(generator(), shape, memory_format, dtype)
    given = [p.detach().to(dtype) for p in parameters(generator(1), shape, True)]
    scale, noise, strength, b = given

    def activated(x, scale, strength, b):
        here = noise.to(x.dtype)
        return ops.bias_act(x, b, act="lrelu", gain=1.4, clamp=2.5, scale=scale, noise=here, noise_strength=strength)

    sums, terms = 4 if dtype == torch.float32 else 1, 0.5 * shape[1] * noise.abs().sum().item()
    check_both(activated, x, scale, strength, b, dtype=dtype, sums=sums, terms=terms)


@each_format
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape, geometry", WIDE, ids=str)
def test_upfirdn2d_of_many_sizes(shape, geometry, dtype, memory_format, generator):
    x = images(generator(), shape, memory_format, dtype)
    check_both(lambda x: ops.upfirdn2d(x, FIR, *geometry, gain=2), x, dtype=dtype)


@pytest.mark.parametrize("taps", [[[1.0, 2, 3], [4, 5, 7]], [[0.0]], [[1.0]], [[0.0, 0], [0, 2]], [[1.0], [2], [4]]])
def test_filters_that_are_outer_products_and_others(taps, generator):
    x, f = images(generator(), [1, 5, 6, 7], torch.channels_last, torch.float32), torch.tensor(taps)
    for flip in (False, True):
        check_both(lambda x, flip=flip: ops.upfirdn2d(x, f, padding=3, flip_filter=flip), x, dtype=torch.float32)


def test_layout_is_kept(generator):
    x = images(generator(), [2, 3, 4, 4], torch.channels_last)
    for y in (ops.upfirdn2d(x, FIR, padding=2), ops.bias_act(x, torch.ones(3), act="lrelu")):
        assert y.is_contiguous(memory_format=torch.channels_last)
        (gx,) = torch.autograd.grad(y, x, torch.ones_like(y))
        assert gx.is_contiguous(memory_format=torch.channels_last)


def test_gradients_stop_where_the_clamp_of_the_stored_type_was_met():
    """256 sqrt(1/2) = 181.019 is 181 in bfloat16: what was clamped is not below 181.019 for that."""
    clamp = 256 * 0.5**0.5
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.tensor([[-500.0, -100, 100, 129, 500]], dtype=dtype, requires_grad=True)
        y = native.bias_act(x, None, None, None, None, 1, "lrelu", 0.2, 2**0.5, clamp)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        expected = torch.tensor([[0.2 * 2**0.5, 0.2 * 2**0.5, 2**0.5, 0, 0]])
        torch.testing.assert_close(gradient.float(), expected, rtol=4e-3, atol=0)


def odd_layouts() -> dict[str, Tensor]:
    """Images that are no whole tensor in either memory layout."""
    last = torch.randn(2, 8, 10, 12).contiguous(memory_format=torch.channels_last)
    plain = torch.randn(2, 8, 10, 12)
    return {
        "cropped, channels last": last[:, :, 1:7, 2:9],
        "some channels, channels last": last[:, 2:5],
        "one channel, channels last": last[:, 3:4],
        "one pixel, channels last": last[:, :, :1, :1],
        "every other sample, channels last": last[::2],
        "cropped": plain[:, :, 1:7, 2:9],
        "some channels": plain[:, 2:5],
        "turned": plain.transpose(2, 3),
        "expanded": torch.randn(1, 8, 1, 1).expand(2, 8, 6, 6),
        "expanded samples, channels last": last[:1].expand(2, -1, -1, -1),
        "a row": torch.randn(2, 8, 1, 12).contiguous(memory_format=torch.channels_last),
    }


def as_meta(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")


@pytest.mark.parametrize("name", odd_layouts())
def test_strides_of_results_are_those_that_shapes_alone_give(name):
    """What torch.compile plans with is what the kernels then give."""
    x = odd_layouts()[name]
    channels = x.shape[1]
    scale, b = torch.rand(len(x), channels), torch.rand(channels)
    calls = {
        "upfirdn2d": lambda x, s, b: native.upfirdn2d(x, FIR.to(x.device), [2, 1], [1, 1], [2, 2, 2, 2], True, 2.0),
        "bias_act": lambda x, s, b: native.bias_act(x, s, None, None, b, *options("lrelu")),
        "bias_act_grad": lambda x, s, b: native.bias_act_grad(
            x, x, s, None, None, b, *options("lrelu"), False, [True, False, True]
        ),
        "bias_act_grad_grad": lambda x, s, b: native.bias_act_grad_grad(
            x, s, None, b, x, x, s, None, None, b, *options("swish"), False, [True, False, True]
        ),
    }
    for call in calls.values():
        real, fake = call(x, scale, b), call(*map(as_meta, (x, scale, b)))
        pairs = zip(*((r,) if isinstance(r, Tensor) else r for r in (real, fake)), strict=True)
        assert [(a.shape, a.stride(), a.dtype) for a, _ in pairs] == [
            (f.shape, f.stride(), f.dtype) for f in ((fake,) if isinstance(fake, Tensor) else fake)
        ]


def test_results_do_not_depend_on_the_number_of_threads(generator):
    size = [2, 64, 40, 64]
    x, (scale, noise, strength, b) = images(generator(), size), parameters(generator(1), size, False)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            y = ops.bias_act(x.float(), b, act="lrelu", scale=scale, noise=noise, noise_strength=strength)
            found.append([y, *torch.autograd.grad(y.square().sum(), [scale, strength, b])])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


# ---- refusals


@pytest.mark.parametrize("call, words", [
    (lambda x: native.bias_act(x, None, None, None, torch.ones(7), *options("lrelu")), "bias has 7 elements"),
    (lambda x: native.bias_act(x, None, None, None, None, *options("lrelo")), "unknown activation lrelo"),
    (lambda x: native.upfirdn2d(x, torch.ones(9, 9), [1, 1], [1, 1], [0] * 4, False, 1.0), "larger than the padded"),
    (lambda x: native.upfirdn2d(x.int(), FIR, [1, 1], [1, 1], [2] * 4, False, 1.0), "no kernel for Int"),
    (lambda x: native.upfirdn2d(x, torch.ones(33, 32), [1, 1], [1, 1], [40] * 4, False, 1.0), "at most 1024 taps"),
    (lambda x: native.bias_act(x, None, None, torch.ones(2), None, *options("lrelu")), "strength has 2 elements"),
])
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises(RuntimeError, match=words):
        call(torch.ones(2, 3, 4, 4))
