"""The mapping network: latents and labels to styles (Karras et al. 2019, section 2)."""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from training.config import MappingConfig
from training.networks.conditioning import rows_of
from training.networks.layers import Linear, normalize_2nd_moment, scaled_together


class MappingNetwork(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> w [N, w_dim]; either may have no features, not both.

    `w_avg` [w_dim] is a running mean of w, towards which truncation pulls; it moves only when a forward call asks.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, config: MappingConfig):
        super().__init__()
        if z_dim == 0 and c_dim == 0:
            raise ValueError("a mapping network needs latents or labels: z_dim and c_dim are both 0")
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.w_avg_beta = config.w_avg_beta
        embedded = (config.embed_features or w_dim) if c_dim > 0 else 0
        self.embed = Linear(c_dim, embedded) if c_dim > 0 else None
        hidden = [config.layer_features or w_dim] * (config.num_layers - 1)
        widths = [z_dim + embedded, *hidden, w_dim]
        self.layers = nn.ModuleList(
            Linear(a, b, activation=config.activation, lr_multiplier=config.lr_multiplier)
            for a, b in pairwise(widths)
        )
        if config.w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, c: Tensor | None = None, update_w_avg: bool | int = False) -> Tensor:
        """Returns w [N, w_dim] in the type of the weights; the mean follows all of them, or the first so many.

        Raises ValueError when a shape does not fit.
        """
        with scaled_together([(self, self.dtype)]):
            w = self._run(z, c)
        if update_w_avg and self.w_avg_beta is not None:
            some = w.detach() if update_w_avg is True else w.detach()[:update_w_avg]
            self.w_avg.copy_(torch.lerp(some.mean(0), self.w_avg, self.w_avg_beta))
        return w

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return cast(Tensor, self.layers[0].weight).dtype

    def extra_repr(self) -> str:
        truncation = "no mean of w" if self.w_avg_beta is None else f"mean of w decays by {self.w_avg_beta:g}"
        return f"z {self.z_dim}, c {self.c_dim} -> w {self.w_dim}; {truncation}"

    def _run(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        parts = []
        if self.z_dim > 0:
            parts.append(normalize_2nd_moment(rows_of("z", z, self.z_dim).to(self.dtype)))
        if self.embed is not None:
            parts.append(normalize_2nd_moment(self.embed(rows_of("c", c, self.c_dim).to(self.dtype))))
        w = torch.cat(parts, dim=1)  # [N, z_dim + embed_features]
        for layer in self.layers:
            w = layer(w)
        return w


def truncate(ws: Tensor, w_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """Pull ws [N, num_ws, w_dim] towards the mean: w_avg + psi (w - w_avg), in the first `cutoff` layers or in all."""
    if psi == 1:
        return ws
    cutoff = ws.shape[1] if cutoff is None else cutoff
    return torch.cat([torch.lerp(w_avg, ws[:, :cutoff], psi), ws[:, cutoff:]], dim=1)
