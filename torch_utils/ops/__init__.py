"""The image operations of StyleGAN2: any device, twice differentiable.

Each is written for PyTorch's own operators; that version is the specification, and what runs where no other can. The
native versions (torch_utils.native) are faster, the plain ones (reference) a yardstick; `use` chooses.
"""

from torch_utils.ops.bias_act import bias_act
from torch_utils.ops.conv2d_resample import conv2d_resample
from torch_utils.ops.modulated_conv2d import modulated_conv2d
from torch_utils.ops.selection import adds_bias_late, chosen, default, takes_gain_late, use
from torch_utils.ops.upfirdn2d import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

__all__ = [
    "adds_bias_late",
    "bias_act",
    "chosen",
    "conv2d_resample",
    "default",
    "downsample2d",
    "filter2d",
    "modulated_conv2d",
    "setup_filter",
    "takes_gain_late",
    "upfirdn2d",
    "upsample2d",
    "use",
]
