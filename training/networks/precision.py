"""Which layers compute in half precision: those at the `num_fp16_res` largest resolutions but 4x4, in `half_type`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from torch_utils.devices import half_precision
from training.choices import Precision


class MixedPrecision(nn.Module):
    """A network whose blocks compute in half precision at `half_resolutions`, in the type of their input elsewhere."""

    half_type: str
    half_resolutions: set[int]

    def set_half(self, resolutions: Sequence[int], count: int, name: str) -> None:
        """The `count` largest of `resolutions` compute in the type `name`, "float16" or "bfloat16"."""
        self.half_type = name
        self.half_resolutions = set(sorted(resolutions)[-count:]) - {4} if count else set()

    def type_at(self, resolution: int, like: Tensor) -> torch.dtype:
        """What a block computes in, for an input `like`."""
        return half_precision(self.half_type, like) if resolution in self.half_resolutions else like.dtype


@contextmanager
def single_precision(synthesis: object) -> Iterator[None]:
    """All layers compute in float32 in this block."""
    if not isinstance(synthesis, MixedPrecision):
        yield
        return
    before, synthesis.half_resolutions = synthesis.half_resolutions, set()
    try:
        yield
    finally:
        synthesis.half_resolutions = before


def check_precision(name: str, device: torch.device) -> None:
    """Raises UserError when there is no such precision, or not on such a device."""
    if name not in get_args(Precision):
        raise UserError(f"no precision '{name}'; use {', '.join(get_args(Precision))}")
    if name == "float16" and device.type == "cpu":
        raise UserError("--precision float16 is for a GPU, a CPU would compute in float32; use bfloat16")


def set_precision(synthesis: object, name: Precision) -> None:
    """Have all layers above 4x4 compute in "float32", "bfloat16" or, on a GPU, "float16"; "trained" changes nothing.

    Raises UserError for a network that knows float32 only.
    """
    if name == "trained":
        return
    if not isinstance(synthesis, MixedPrecision):
        if name != "float32":
            raise UserError(f"this model's network computes in float32 only, not in {name}")
        return
    if name == "float32":
        synthesis.half_resolutions = set()
        return
    resolutions = synthesis.resolutions
    assert isinstance(resolutions, list)
    synthesis.set_half(resolutions, len(resolutions), name)
