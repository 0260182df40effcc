"""What is made of weights once and kept as long as they stay the same: only in inference mode, where they rest."""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_cache: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def enabled() -> bool:
    """Whether anything is kept now."""
    return torch.is_inference_mode_enabled() and not torch.compiler.is_compiling()


def cached(weight: Tensor, what: Hashable, make: Callable[[], Tensor]) -> Tensor:
    """make(), or what it gave for the same `weight` and `what` before, if the weight has not been changed since.

    It is given up together with the weight. Outside inference mode nothing is kept, nor while a CUDA graph is captured:
    a replay is to see what the weights are then.
    """
    is_captured = weight.is_cuda and torch.cuda.is_current_stream_capturing()
    if not enabled() or is_captured or weight.is_inference():
        return make()
    state = (weight.data_ptr(), weight._version)
    before, made = _cache.get(weight, (None, {}))
    if before != state:
        made = {}
        _cache[weight] = (state, made)
    if what not in made:
        with torch.inference_mode(False), torch.no_grad():
            made[what] = make()
    return made[what]
