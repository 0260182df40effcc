"""3x3 convolutions of training with fewer multiplications: minimal filtering for results, and for their gradients.

Three convolutions, each with what its derivatives are made of:

    same size    result, gradient of the image and gradient of the weights by F(4x4, 3x3)
    enlarging    the result by F(4, 2), see torch_utils.ops.winograd
    reducing     the gradient of the image by that: it is an enlarging convolution
                 the weights' gradient of both, one matrix product for each tap

Derivatives are such convolutions again, so that there are as many of them as one takes. Weights change at every step:
filters are spread out anew each time, which small images do not pay back.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.native.operators import native
from torch_utils.ops.selection import takes_native, winograd_wins
from torch_utils.ops.upfirdn2d import upfirdn2d
from torch_utils.ops.winograd import CHANNELS, UP_TAPS

SMALLEST = 16**2  # pixels of an image whose filters are worth spreading out for one pass
PLAIN = None, None, None, None, "linear", 0.0, 1.0, math.inf  # nothing but the convolution


def takes(x: Tensor, weight: Tensor, pads: list[int], groups: int) -> bool:
    """Whether the convolutions below can do a 3x3 convolution here and now, and are the faster way.

    pads [x0, x1, y0, y1]: of a convolution that does not resample, one pixel. In inference mode, where filters are kept,
    it is winograd.convolve's work; compiled code keeps the convolutions that the compiler knows.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32 or x.ndim != 4:
        return False
    if torch.is_inference_mode_enabled() or torch.compiler.is_compiling():
        return False
    if weight.shape[2:] != (3, 3) or groups != 1 or pads != [1] * 4 or x.shape[2] * x.shape[3] < SMALLEST:
        return False
    return x.shape[1] % CHANNELS == weight.shape[0] % CHANNELS == 0 and takes_native(x, winograd_wins(x))


def takes_resampling(x: Tensor, weight: Tensor, f: Tensor | None, padding: list[int], groups: int) -> bool:
    """The same for one that enlarges or reduces by 2, with the FIR filter f and padding as in conv2d_resample."""
    return f is not None and f.shape == UP_TAPS and takes(x, weight, padding, groups) and not any(
        size % 2 for size in x.shape[2:]
    )


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


# ---- with resampling; `small` and `large` are the images on either side, the latter [N, C, 2 H + 1, 2 W + 1] for [H, W]


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
    image = large.permute(0, 2, 3, 1)
    taps = [
        rows.T @ image[:, y : y + 2 * height : 2, x : x + 2 * width : 2].flatten(0, 2) for y in range(3) for x in range(3)
    ]
    return torch.stack(taps, dim=2).unflatten(2, (3, 3))


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
