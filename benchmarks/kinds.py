"""What kind of work the rows of torch.profiler are, and how long each kind took.

PyTorch's versions of our operators have rows of many names: convolutions with one filter a channel are upfirdn2d's and
leaky_relu is bias_act's; the rest, such as padding and adding a bias, counts as what it is.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import cast

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent

CONVOLUTIONS, PRODUCTS, UPFIRDN2D, BIAS_ACT = "convolutions", "matrix products", "upfirdn2d", "bias_act"
ELEMENTWISE, REDUCTIONS, COPIES = "elementwise", "reductions", "copies and layout"
OPTIMIZER, OTHER = "optimiser", "allocation, other"
KINDS = (CONVOLUTIONS, PRODUCTS, UPFIRDN2D, BIAS_ACT, ELEMENTWISE, REDUCTIONS, COPIES, OPTIMIZER, OTHER)

_OURS = {"upfirdn2d": UPFIRDN2D, "bias_act": BIAS_ACT, "winograd": CONVOLUTIONS}  # the last with all that goes with it
# Names of aten operators, without underscores around them.
_CONVOLUTION = re.compile(r"conv(olution|_|\d)")
_NAMES = {
    PRODUCTS: "mm addmm bmm baddbmm addbmm mv addmv dot matmul linear",
    BIAS_ACT: "leaky_relu leaky_relu_backward",
    REDUCTIONS: "sum mean var std var_mean std_mean norm linalg_vector_norm foreach_norm amax amin max min aminmax "
    "all any prod cumsum logsumexp argmax argmin softmax",
    COPIES: "copy clone contiguous to to_copy cat stack flip repeat repeat_interleave constant_pad_nd index "
    "index_select index_put index_add gather roll fill zero zeros zeros_like ones_like select_backward slice_backward",
    ELEMENTWISE: "softplus_backward log_sigmoid_forward masked_fill",
}
_KIND_OF_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}

Shapes = Sequence[Sequence[int]]


def kind_of(name: str, shapes: Shapes = ()) -> str:
    """The kind of a row by its name and the shapes of its arguments."""
    if name.startswith(("Optimizer.", "aten::_fused_adam")):
        return OPTIMIZER
    if "steergan" in name and not name.startswith("autograd::"):
        return next((kind for operator, kind in _OURS.items() if operator in name), OTHER)
    if not name.startswith("aten::"):
        return OTHER
    operator = name.removeprefix("aten::")
    bare = operator.strip("_")
    if _CONVOLUTION.search(bare):
        return UPFIRDN2D if _is_depthwise(bare, shapes) else CONVOLUTIONS
    if bare in _KIND_OF_NAME:
        return _KIND_OF_NAME[bare]
    return ELEMENTWISE if bare.startswith("foreach_") or _is_pointwise(operator) else OTHER


def _is_depthwise(operator: str, shapes: Shapes) -> bool:
    """Whether each channel has a filter to itself: arguments are images (their gradient first), then the weights."""
    images = 2 if operator.endswith("backward") else 1
    if len(shapes) <= images or len(shapes[images]) != 4:
        return False
    filters, inputs = shapes[images][:2]
    return inputs == 1 and all([*shape[1:2]] == [filters] for shape in shapes[:images])


@cache
def _is_pointwise(operator: str) -> bool:
    """Whether torch says so, or it draws a random number for each element."""
    packet = getattr(torch.ops.aten, operator, None)
    names = () if packet is None else packet.overloads()
    tags = {tag for name in names for tag in getattr(packet, name).tags}
    return bool(tags & {torch.Tag.pointwise, torch.Tag.nondeterministic_seeded})


def seconds_by_kind(calls: Iterable[FunctionEvent], device: torch.device) -> Counter[str]:
    """Seconds of each kind: of the calling thread on a CPU, of the kernels on a GPU.

    Each moment counts once, in the innermost row. Below autograd our operators have no row; where a gradient is wanted,
    that is one of autograd's, such as GeneratedBackwardFor_steergan_bias_act_default, and it is no other row's.
    """
    spent: Counter[str] = Counter()
    for call in calls:
        if call.device_type == DeviceType.CPU:
            own = call.self_cpu_time_total if device.type == "cpu" else call.self_device_time_total
            spent[_kind(call)] += own / 1e6
    return spent


def _kind(call: FunctionEvent) -> str:
    """All that the optimiser calls is its work."""
    caller = call.cpu_parent
    while caller is not None:
        if kind_of(caller.name) == OPTIMIZER:
            return OPTIMIZER
        caller = caller.cpu_parent
    return kind_of(call.name, cast(Shapes, call.input_shapes))  # torch annotates it as numbers
