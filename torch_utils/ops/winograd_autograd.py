"""3x3 convolutions of training with fewer multiplications: minimal filtering for results, and for their gradients.

Three convolutions, each with what its derivatives are made of:

    same size    result, gradient of the image and gradient of the weights by F(4x4, 3x3)
    enlarging    the result by F(4, 2), see torch_utils.ops.winograd
    reducing     the gradient of the image by that: it is an enlarging convolution
                 the weights' gradient of both, one matrix product for each tap

Derivatives are such convolutions again, so that there are as many of them as one takes. Weights change at every step:
filters are spread out anew each time, which small images do not pay back.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.native.operators import native
from torch_utils.ops import fastest, winograd
from torch_utils.ops.selection import takes_winograd
from torch_utils.ops.upfirdn2d import upfirdn2d
from torch_utils.ops.winograd import CHANNELS, PLAIN, UP_TAPS

SMALLEST = 16**2  # pixels of an image whose filters are worth spreading out for one pass


def takes(x: Tensor, weight: Tensor, pads: list[int], groups: int) -> bool:
    """Whether `same_size` can do a 3x3 convolution here and now, and is the faster way; pads [x0, x1, y0, y1].

    In inference mode, where filters are kept, that is winograd.convolve's work; compiled code keeps the convolutions
    that the compiler knows.
    """
    return _can_take(x, weight, pads, groups) and takes_winograd(
        x, lambda: _is_large(x) and fastest.wins("with gradients", _compared)
    )


def takes_resampling(x: Tensor, weight: Tensor, f: Tensor | None, up: int, pads: list[int], groups: int) -> bool:
    """The same for `enlarge` (up = 2) and `reduce` (up = 1); FIR filter f and pads as in conv2d_resample.

    They are faster where enlarging is: what is left of their gradients takes at most the usual time.
    """
    if f is None or f.shape != UP_TAPS or (up == 1 and any(size % 2 for size in x.shape[2:])):
        return False
    return _can_take(x, weight, pads, groups) and takes_winograd(x, lambda: _is_large(x) and winograd.wins(x, 2))


def _can_take(x: Tensor, weight: Tensor, pads: list[int], groups: int) -> bool:
    if x.device.type != "cpu" or not x.dtype == weight.dtype == torch.float32 or x.ndim != 4:
        return False
    if torch.is_inference_mode_enabled() or torch.compiler.is_compiling():
        return False
    if weight.shape[2:] != (3, 3) or groups != 1 or pads != [1] * 4:
        return False
    return x.shape[1] % CHANNELS == weight.shape[0] % CHANNELS == 0


def _is_large(x: Tensor) -> bool:
    return x.shape[2] * x.shape[3] >= SMALLEST


def same_size(x: Tensor, weight: Tensor) -> Tensor:
    """F.conv2d(x, weight, padding=1): x [N, Ci, H, W], weight [Co, Ci, 3, 3] -> [N, Co, H, W]."""
    return _same_size(x, weight, False)


def enlarge(x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
    """x [N, Ci, H, W], weight [Ci, Co, 3, 3], taps [4, 4] -> [N, Co, 2 H, 2 W].

    A transposed convolution with stride 2; then, padded by 1, its pixels are weighed with taps, top left first.
    """
    return _Enlarge.apply(_inner(x), _inner(weight), taps)


def reduce(x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
    """x [N, Ci, 2 H, 2 W], weight [Co, Ci, 3, 3], taps [4, 4] -> [N, Co, H, W]; the adjoint of `enlarge`.

    Padded by 2, filtered with taps (turned by 180 degrees), and convolved with stride 2.
    """
    return _Reduce.apply(_inner(x), _inner(weight), taps)


# ---- of the same size


def _same_size(x: Tensor, weight: Tensor, is_adjoint: bool) -> Tensor:
    """`is_adjoint`: x [N, Co, H, W] -> [N, Ci, H, W], what the gradient of the image is."""
    return _SameSize.apply(_inner(x), _inner(weight), is_adjoint)


class _SameSize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, is_adjoint: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.is_adjoint = is_adjoint
        return native.winograd(x, native.winograd_filters(weight, is_adjoint, is_adjoint, False), *PLAIN)

    @staticmethod
    def backward(ctx, g: Tensor):
        x, weight = ctx.saved_tensors
        for_x, for_weight = _wanted(ctx)
        gx = _same_size(g, weight, not ctx.is_adjoint) if for_x else None
        pair = (g, x) if ctx.is_adjoint else (x, g)
        return gx, _Weights.apply(*map(_inner, pair)) if for_weight else None, None


class _Weights(torch.autograd.Function):
    """x [N, Ci, H, W], gradient [N, Co, H, W] -> gradient of the weights [Co, Ci, 3, 3]."""

    @staticmethod
    def forward(ctx, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        return native.winograd_weights(x, g)

    @staticmethod
    def backward(ctx, v: Tensor):
        x, g = ctx.saved_tensors
        for_x, for_g = _wanted(ctx)
        return _same_size(g, v, True) if for_x else None, _same_size(x, v, False) if for_g else None


# ---- with resampling: between small images [N, Cs, H, W] and large ones [N, Cl, 2 H + 1, 2 W + 1]


class _Enlarge(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, taps)
        return native.winograd_up(x, native.winograd_filters(weight, False, True, True), taps, *PLAIN)

    @staticmethod
    def backward(ctx, g: Tensor):
        x, weight, taps = ctx.saved_tensors
        for_x, for_weight = _wanted(ctx)
        large = upfirdn2d(g, taps, padding=2)
        gx = _Strided.apply(_inner(large), _inner(weight)) if for_x else None
        return gx, _StridedWeights.apply(_inner(x), _inner(large)) if for_weight else None, None


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
        large = upfirdn2d(x, taps, padding=2)
        ctx.save_for_backward(x, large, weight, taps)
        return F.conv2d(large, weight, stride=2)

    @staticmethod
    def backward(ctx, g: Tensor):
        x, large, weight, taps = ctx.saved_tensors
        for_x, for_weight = _wanted(ctx)
        gx = enlarge(g, weight, taps) if for_x else None
        if not for_weight:
            return gx, None, None
        if torch.is_grad_enabled():  # once more, as a function of x
            large = upfirdn2d(x, taps, padding=2)
        return gx, _StridedWeights.apply(_inner(g), _inner(large)), None


class _Strided(torch.autograd.Function):
    """large, weight [Cs, Cl, 3, 3] -> small."""

    @staticmethod
    def forward(ctx, large: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(large, weight)
        return F.conv2d(large, weight, stride=2)

    @staticmethod
    def backward(ctx, g: Tensor):
        large, weight = ctx.saved_tensors
        for_large, for_weight = _wanted(ctx)
        gl = F.conv_transpose2d(g, weight, stride=2) if for_large else None
        return gl, _StridedWeights.apply(_inner(g), _inner(large)) if for_weight else None


class _StridedWeights(torch.autograd.Function):
    """small, large -> the gradient of weights [Cs, Cl, 3, 3] between them."""

    @staticmethod
    def forward(ctx, small: Tensor, large: Tensor) -> Tensor:
        ctx.save_for_backward(small, large)
        return _strided_weights(small, large)

    @staticmethod
    def backward(ctx, v: Tensor):
        small, large = ctx.saved_tensors
        for_small, for_large = _wanted(ctx)
        gs = _Strided.apply(_inner(large), _inner(v)) if for_small else None
        return gs, F.conv_transpose2d(small, v, stride=2) if for_large else None


def _strided_weights(small: Tensor, large: Tensor) -> Tensor:
    """One matrix product for each tap; PyTorch's own way takes up to four times as long."""
    height, width = small.shape[2:]
    rows = small.permute(0, 2, 3, 1).flatten(0, 2)  # [N H W, Cs]
    image = large.permute(0, 2, 3, 1)  # [N, 2H + 1, 2W + 1, Cl]
    taps = [
        rows.T @ image[:, y : y + 2 * height : 2, x : x + 2 * width : 2].flatten(0, 2)
        for y in range(3)
        for x in range(3)
    ]
    return torch.stack(taps, dim=2).unflatten(2, (3, 3))  # [Cs, Cl, 3, 3]


# ---- which gradients are wanted


def _inner(tensor: Tensor) -> Tensor:
    """The same tensor, as the result of an operation: see _wanted."""
    return tensor.view_as(tensor)


def _wanted(ctx: Any) -> list[bool]:
    """Of the two inputs, whether this backward pass uses their gradient.

    ctx.needs_input_grad says whether any could. GradCAM, R1 and path lengths ask for the images' only, and the weights'
    are half of the work. What PyTorch offers for that does not take leaves, which _inner turns into others.
    """
    nodes = [node for node, _ in ctx.next_functions[:2]]
    return [
        needed and torch._C._will_engine_execute_node(node)
        for needed, node in zip(ctx.needs_input_grad[:2], nodes, strict=True)
    ]


# ---- what is compared to find out which way is faster


def _compared() -> tuple[Callable[[], object], Callable[[], object]]:
    pair = [each.requires_grad_() for each in winograd.example(4)]

    def gradients(convolve: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, ...]:
        y = convolve(*pair)
        return torch.autograd.grad(y, pair, torch.ones_like(y))

    return lambda: gradients(same_size), lambda: gradients(lambda x, weight: F.conv2d(x, weight, padding=1))
