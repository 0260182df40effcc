"""How strongly images are augmented: fixed, or following how sure D is of real images."""

import torch
from torch import Tensor, nn

from torch_utils.distributed import World


class Strength(nn.Module):
    """The probability p, and the signs of D's logits that move it (Karras et al. 2020, section 3).

    Everything stays on the device. `p` [], in [0, 1]; `signs` [2], the sum and the number of signs since the last
    change, of all ranks together. Both are part of a checkpoint, unless p is fixed.
    """

    p: Tensor
    signs: Tensor

    def __init__(self, p: float = 0.0, target: float | None = None, step: float = 0.0):
        """`target`: what the mean sign is to be; None keeps p as it is. `step`: how far p moves at a time."""
        super().__init__()
        self.target, self.step = target, step
        self.register_buffer("p", torch.tensor(float(p)), persistent=target is not None)
        self.register_buffer("signs", torch.zeros(2), persistent=target is not None)

    @torch.no_grad()
    def observe(self, real_logits: Tensor, world: World | None = None) -> None:
        """Take in D's logits of real images, of any shape, from all ranks of `world`; NaN is left out."""
        if self.target is None:
            return
        known = real_logits.isnan().logical_not()
        signs = real_logits.detach().where(known, 0).sign()
        seen = torch.stack([signs.sum(), known.sum()]).to(self.signs.dtype)
        (world or World()).reduce_([seen])
        self.signs += seen

    @torch.no_grad()
    def adapt(self) -> None:
        """p rises by a step when real images were recognised more often than the target says, else it falls."""
        if self.target is None:
            return
        total, count = self.signs.unbind()
        direction = (total - self.target * count).sign()  # 0 where nothing was observed
        self.p.add_(direction * self.step).clamp_(0, 1)
        self.signs.zero_()
