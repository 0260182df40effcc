"""Which version of an operator runs: chosen by the user, and, left to us, by what is fastest.

    auto        the native version where it is built and wins, PyTorch's otherwise
    native      the native version wherever it exists
    direct      as auto, without minimal filtering, which rounds ten times as coarsely
    pytorch     the version in this package, written for PyTorch's own operators
    reference   plain zero insertion, padding and convolutions, nothing fused: the yardstick (torch_utils.ops.reference)

The environment variable STEERGAN_OPS sets the choice at the start, `use` later on. All five agree up to rounding.
Minimal filtering (torch_utils.ops.winograd) is a choice within the first two: STEERGAN_WINOGRAD is `on`, `off`, or
`auto`: where it is faster, or wherever it can with the operators `native`.
"""

import os
from collections.abc import Callable
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from torch_utils.devices import device_kind
from torch_utils.native.loader import is_loaded
from torch_utils.native.toolchain import Device

Choice = Literal["auto", "native", "direct", "pytorch", "reference"]
CHOICES = get_args(Choice)
WINOGRAD = "STEERGAN_WINOGRAD"
WINOGRAD_CHOICES = ("auto", "on", "off")

SMALL = 2**16  # elements
SMALL_IMAGES = 2**18

NATIVE_TYPES = {
    "cpu": {torch.float32, torch.float64, torch.bfloat16},
    "cuda": {torch.float32, torch.float64, torch.bfloat16, torch.float16},
}


class use:
    """Choose the operators, for good: use("native"); or for a while: with use("native"): ...

    Raises UserError for an unknown name.
    """

    def __init__(self, choice: str):
        self._before = _current.name
        _current.name = checked(choice)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_) -> None:
        _current.name = self._before


def chosen() -> Choice:
    """The choice in force."""
    return _current.name


def checked(choice: str) -> Choice:
    """The choice itself. Raises UserError for an unknown name."""
    if choice not in CHOICES:
        raise UserError(f"operators '{choice}' do not exist{nearest(choice, CHOICES)}")
    return cast(Choice, choice)


def default() -> Choice:
    """What STEERGAN_OPS says, else auto. Raises UserError when it says something unknown."""
    return checked(os.environ.get("STEERGAN_OPS") or "auto")


class _Current:
    """The choice of this process; the environment is looked at when it is first needed."""

    def __init__(self):
        self._name: Choice | None = None

    @property
    def name(self) -> Choice:
        if self._name is None:
            self._name = default()
        return self._name

    @name.setter
    def name(self, choice: Choice) -> None:
        self._name = choice


_current = _Current()


def is_reference() -> bool:
    """Whether the plain versions are to run."""
    return _current.name == "reference"


# ---- what is fastest, as measured by benchmarks.ops (one CPU core with AVX-512; no GPU has been measured yet)


def bias_act_wins(x: Tensor, extras: int) -> bool:
    """Whether the native bias_act beats PyTorch's; `extras`: how many of bias, scale, noise and clamp there are.

    On a CPU one pass over memory takes the place of one for each of them, and of up to nine for the gradients. An
    activation alone is one pass anyway, and small tensors are in the cache, where calls cost more than passes.
    """
    return device_kind(x) == "cuda" or (extras > 0 and x.numel() >= SMALL)


def adds_bias_late(x: Tensor) -> bool:
    """Whether a bias costs less in bias_act than in the convolution, whose gradient takes a pass of its own for it."""
    return takes_native(x, bias_act_wins(x, 1))


def takes_gain_late(x: Tensor) -> bool:
    """Whether bias_act multiplies by a gain for nothing, so that weights and biases need not be multiplied before.

    On a CPU what is multiplied before saves a multiplication an element; on a GPU it costs a launch a layer.
    """
    return device_kind(x) == "cuda" and takes_native(x, True)


def upfirdn2d_wins(x: Tensor) -> bool:
    """Whether the native upfirdn2d beats depthwise convolutions.

    On a CPU both move little more memory than a copy does; the native one takes 0.9 to 1.4 of the time for large
    images, and 0.5 to 0.9 for small ones.
    """
    return device_kind(x) == "cuda" or x.numel() < SMALL_IMAGES


def folding_wins(x: Tensor) -> bool:
    """Whether to modulate the weights, rather than the images, where all images have one style.

    On a CPU that costs a sixth of the speed: copies of the weights that are kept between calls serve no more.
    """
    return device_kind(x) == "cuda"


def takes_native(x: Tensor, wins: bool) -> bool:
    """Whether the native version is to run on `x`; `wins`: it is the faster one, as far as measured."""
    choice = _current.name
    if choice not in ("auto", "native", "direct") or not (wins or choice == "native"):
        return False
    if x.dtype not in NATIVE_TYPES.get(device_kind(x), ()) or x.numel() == 0:
        return False
    return x.is_meta or is_loaded(cast(Device, x.device.type))  # shapes need no kernels


def takes_winograd(x: Tensor, wins: Callable[[], bool]) -> bool:
    """Whether minimal filtering is to run on `x`; `wins`: whether it is the faster way, asked only where that matters.

    Raises UserError when STEERGAN_WINOGRAD says something unknown.
    """
    mode = os.environ.get(WINOGRAD) or "auto"
    if mode not in WINOGRAD_CHOICES:
        raise UserError(f"{WINOGRAD}={mode:.60}: there is no such choice; set it to auto, on or off")
    if mode == "off" or _current.name == "direct" or not takes_native(x, True):
        return False
    return mode == "on" or _current.name == "native" or wins()
