"""Linear and convolutional layers with equalised learning rate (Karras et al. 2018, section 4.1).

Weights are stored with unit variance and scaled when used, so that all of them learn at the same speed.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_utils import ops
from torch_utils.ops import winograd
from torch_utils.ops.bias_act import ACTIVATIONS


class Linear(nn.Module):
    """y = act(x W^T + b), [N, in_features] to [N, out_features].

    `lr_multiplier` m: weights are kept 1/m times larger and used m times smaller, so they learn m times slower.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ):
        super().__init__()
        self.activation, self.lr_multiplier, self.bias_init = activation, lr_multiplier, bias_init
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()
        self.weight_gain = lr_multiplier / in_features**0.5
        self.bias_gain = lr_multiplier

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew, from the global stream."""
        self.weight.normal_().div_(self.lr_multiplier)
        self.bias.fill_(self.bias_init / self.lr_multiplier)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features} -> {out_features}, {self.activation}"

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.weight_gain).to(x.dtype)
        bias = (self.bias * self.bias_gain).to(x.dtype)
        return ops.bias_act(torch.addmm(bias, x, weight.T), act=self.activation)


class Conv2d(nn.Module):
    """Convolution with optional bias, activation, clamp, and up- or downsampling; [N, Ci, H, W] to [N, Co, H', W'].

    Padding keeps the size (times up / down). `clamp` limits the result to +-clamp. `dilation` above 1 goes with
    neither up- nor downsampling.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_filter: Sequence[float] = (1, 3, 3, 1),
        clamp: float | None = None,
        dilation: int = 1,
    ):
        super().__init__()
        if dilation > 1 and (up, down) != (1, 1):
            raise ValueError("a dilated convolution neither enlarges nor reduces")
        self.up, self.down, self.padding, self.dilation = up, down, dilation * (kernel_size // 2), dilation
        self.activation, self.clamp = activation, clamp
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()
        self.weight_gain = (in_channels * kernel_size**2) ** -0.5
        self.register_buffer("resample_filter", ops.setup_filter(list(resample_filter)), persistent=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew, from the global stream; biases become 0."""
        self.weight.normal_()
        if self.bias is not None:
            self.bias.zero_()

    def extra_repr(self) -> str:
        co, ci, kernel, _ = self.weight.shape
        factors = "".join(f", {name} {value}" for name, value in (("up", self.up), ("down", self.down)) if value > 1)
        return f"{ci} -> {co}, {kernel}x{kernel}{factors}, {self.activation}"

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`gain` multiplies the result, and its clamp too."""
        before, after = split_gain(self.activation, gain)
        bias = None if self.bias is None else (self.bias * before).to(x.dtype)
        clamp = None if self.clamp is None else self.clamp * gain
        if self.dilation == 1 and winograd.takes(x, self.weight, self.up, self.down, self.padding):
            scale = x.new_tensor(self.weight_gain * before).expand(len(x), len(self.weight))
            then = {"act": self.activation, "gain": after, "clamp": clamp}
            return winograd.convolve(x, self.weight, out_scale=scale, bias=bias, **then)
        weight = (self.weight * (self.weight_gain * before)).to(x.dtype)
        late = ops.adds_bias_late(x)  # where bias_act adds it for nothing, and sums up its gradient
        x = self._convolve(x, weight, None if late else bias)
        return ops.bias_act(x, bias if late else None, act=self.activation, gain=after, clamp=clamp)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.dilation > 1:
            return F.conv2d(x, weight, bias, padding=self.padding, dilation=self.dilation)
        return ops.conv2d_resample(
            x,
            weight,
            self.resample_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            flip_weight=self.up == 1,
            bias=bias,
        )


def split_gain(activation: str, gain: float) -> tuple[float, float]:
    """The gain of an activation times `gain`, as (factor before it, factor after it).

    Before costs nothing, where it can join the weights; it is right for homogeneous activations only.
    """
    kind = ACTIVATIONS[activation]
    total = kind.gain * gain
    return (total, 1.0) if kind.homogeneous else (1.0, total)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of [N, D] to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps)
