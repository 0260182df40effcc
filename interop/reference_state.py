"""A network of ours as a state dict in the names of StyleGAN2-ADA's and EqGAN-SA's programs: all that theirs have.

The filters for enlarging and reducing, which follow from the configuration here, are buffers there.
"""

import re

from torch import Tensor

from dnnlib.errors import UserError
from training.networks.backbones import Module
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.networks.reference_names import translate
from training.networks.spatial_encoding import SpatialEncoding

_GENERATOR = (
    (r"^synthesis\.encoder\.levels\.0\.conv(\d)\.", r"synthesis.hm_conv\1_b8."),
    (r"^synthesis\.encoder\.levels\.1\.conv(\d)\.", r"synthesis.hm_conv\1_b16."),
    (r"^synthesis\.encoder\.levels\.2\.conv(\d)\.", r"synthesis.hm_conv\1_b32."),
    (r"^synthesis\.blocks\.(\d+)\.", r"synthesis.b\1."),
    (r"\.sel\.shared\.", ".sel.shared.0."),
    (r"\.sel\.output\.", ".sel.output.1."),
)
_DISCRIMINATOR = ((r"^epilogue\.", "b4."), (r"^blocks\.(\d+)\.", r"b\1."))
_BOTH = ((r"^mapping\.layers\.(\d+)\.", r"mapping.fc\1."), (r"\bto_rgb\.", "torgb."), (r"\bfrom_rgb\.", "fromrgb."))
_FILTER = "resample_filter"


def reference_state(network: Module) -> dict[str, Tensor]:
    """A generator's or discriminator's tensors under the reference's names, float32 copies on the CPU.

    Raises UserError for networks that the reference has no names for: other backbones, other encodings than SEL_norm.
    """
    _check(network)
    ours = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {_theirs(network, name): tensor.detach().cpu().float().contiguous().clone() for name, tensor in ours.items()}


def _theirs(network: Module, name: str) -> str:
    rules = _DISCRIMINATOR if isinstance(network, Discriminator) else _GENERATOR
    found = name
    for pattern, replacement in (*rules, *_BOTH):
        found = re.sub(pattern, replacement, found)
    if not name.endswith(_FILTER) and translate(found) != name:
        raise UserError(f"the reference has no name for {name}")
    return found


def _check(network: Module) -> None:
    if not isinstance(network, Generator | Discriminator):
        raise UserError("only StyleGAN2's networks have names in the reference; use another form")
    encoding = getattr(network.config, "encoding", None)
    if encoding is None:
        return
    has_norm = any(isinstance(module, SpatialEncoding) for module in network.modules())
    if not has_norm or len(encoding.counts) != 3:
        raise UserError(f"the reference has no encoding layer {encoding.layer} with such layouts; use another form")
