"""How many kernels a training step starts on a GPU, counted on PyTorch's meta device: no GPU is needed.

A host spends 5 to 15 microseconds on each of them, whatever its size; with few images a pass that is what a step takes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# What only makes tensors of memory that is there, or asks for memory.
FREE = {
    "empty", "empty_like", "new_empty", "new_empty_strided", "empty_strided", "detach", "alias", "view", "_unsafe_view",
    "reshape", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze", "slice", "select", "unbind", "split",
    "split_with_sizes", "unfold", "as_strided", "_reshape_alias", "view_as_real", "diagonal", "lift_fresh", "set_",
    "is_same_size", "scalar_tensor", "promote_types", "lift",
    "_local_scalar_dense", "sym_size", "chunk", "narrow", "movedim", "swapaxes", "resize_",
}  # fmt: skip

# More than one kernel each, about.
SEVERAL = {
    "select_backward": 2, "slice_backward": 2, "unfold_backward": 2, "repeat_interleave": 3, "native_group_norm": 3,
    "native_group_norm_backward": 4,
}  # fmt: skip

CHUNK, CHUNKS = 65536, 320  # elements of a block, and blocks, of a kernel over many tensors
AT_ONCE = {1: 110, 2: 64, 3: 48, 4: 36}  # tensors of such a kernel, by how many lists of them it walks


def over_many(tensors: Iterable[Tensor], lists: int) -> int:
    """Kernels of an operation over many tensors at once (torch._foreach_*, the fused optimizers)."""
    sizes = [tensor.numel() for tensor in tensors]
    chunks = sum(math.ceil(size / CHUNK) for size in sizes)
    return max(math.ceil(len(sizes) / AT_ONCE[lists]), math.ceil(chunks / CHUNKS))


def launched(name: str, args: Sequence[Any], result: Any) -> int:
    """Kernels that one operation, such as "convolution", starts. Convolutions count one for each result."""
    if name in FREE:
        return 0
    if name == "convolution_backward":
        return sum(args[-1])
    if name == "convolution":
        return 1 + (args[2] is not None)  # cuDNN adds a bias afterwards
    if name == "upfirdn2d":
        return 1
    if name.startswith("bias_act_grad"):
        return 1 + sum(args[-1])
    if name.startswith("_foreach_"):
        lists = 1 + sum(isinstance(arg, (list, tuple)) and isinstance(arg[0], Tensor) for arg in args[1:])
        return over_many(args[0], lists + (not name.endswith("_")))
    return SEVERAL.get(name, 1)


class CountLaunches(TorchDispatchMode):
    """Adds up what is called while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return sum(self.by_name.values())

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        self.by_name[name] += launched(name, args, result)
        return result
