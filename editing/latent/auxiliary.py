"""The auxiliary mapping F(z, c) = z of SGF: an MLP whose Jacobian in z has a norm below 1 (paper 004, section 3.2).

Layers are linear with spectral normalisation, then AdaIN with gain and offset from the condition, then LeakyReLU
(appendix B). Spectral normalisation alone does not bound the Jacobian: dividing by a small deviation, or a large gain,
lengthens vectors. So deviations are divided by where they are above 1 only, gains are in (-1, 1), and the result is
multiplied by `contraction` (ours); the Lipschitz constant in z is then at most that, whatever is learnt.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from editing.latent.neumann import Product
from editing.observation import with_gradients

GAIN = 2.0  # of a layer without a condition, before tanh
SLOPE = 0.2  # of LeakyReLU


@dataclass(frozen=True)
class MappingOptions:
    """layers, features: of the MLP. contraction: below 1, the bound of |dF/dz|; the smaller, the more F relies on c.

    steps, batch, lr: of Adam.
    """

    layers: int = 3
    features: int = 128
    contraction: float = 0.9
    steps: int = 1500
    batch: int = 256
    lr: float = 1e-3

    def __post_init__(self):
        if not 0 < self.contraction < 1:
            raise ValueError(f"the contraction must be above 0 and below 1, not {self.contraction:g}")


class ConditionalLayer(nn.Module):
    """h [N, a], c [N, C] -> LeakyReLU(AdaIN(W h, c)) [N, b], with a Lipschitz constant of at most 1 in h."""

    def __init__(self, a: int, b: int, conditions: int):
        super().__init__()
        self.linear = nn.Linear(a, b, bias=False)
        spectral_norm(self.linear)
        self.style = nn.Linear(conditions, 2 * b)
        nn.init.normal_(self.style.weight, std=0.1)
        nn.init.zeros_(self.style.bias)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        gain, offset = self.style(c).chunk(2, dim=1)
        return F.leaky_relu(torch.tanh(GAIN + gain) * normalized(self.linear(h)) + offset, SLOPE)

    def linearized(self, h: Tensor, c: Tensor) -> tuple[Product, Tensor]:
        """v [N, a] -> the derivative in h along v [N, b], and the result at h."""
        gain, offset = self.style(c).chunk(2, dim=1)
        inner = self.linear(h)
        inner = inner - inner.mean(1, keepdim=True)
        size = inner.square().mean(1, keepdim=True).add(1e-12).sqrt()
        scale, unit = 1 / size.clamp_min(1.0), torch.where(size > 1, inner / size, 0.0)
        outer = torch.tanh(GAIN + gain) * inner * scale + offset
        slope = torch.tanh(GAIN + gain) * scale * torch.where(outer > 0, 1.0, SLOPE)

        def apply(v: Tensor) -> Tensor:
            v = F.linear(v, self.linear.weight)
            v = v - v.mean(1, keepdim=True)
            return slope * (v - unit * (unit * v).mean(1, keepdim=True))

        return apply, F.leaky_relu(outer, SLOPE)


def normalized(h: Tensor) -> Tensor:
    """Rows [N, H] minus their mean, over their deviation where that is above 1: no vector gets longer by it."""
    h = h - h.mean(1, keepdim=True)
    return h / h.square().mean(1, keepdim=True).add(1e-12).sqrt().clamp_min(1.0)


class AuxiliaryMapping(nn.Module):
    """z [N, D], c [N, C], both standardised -> z [N, D]."""

    def __init__(self, width: int, conditions: int, options: MappingOptions):
        super().__init__()
        self.options, self.conditions = options, conditions
        widths = [width] + [options.features] * options.layers
        self.layers = nn.ModuleList(ConditionalLayer(a, b, conditions) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1], width, bias=False)
        spectral_norm(self.last)
        self.offset = nn.Sequential(
            nn.Linear(conditions, options.features), nn.LeakyReLU(SLOPE), nn.Linear(options.features, width)
        )

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        h = z
        for layer in self.layers:
            h = layer(h, c)
        return self.options.contraction * self.last(h) + self.offset(c)

    @torch.no_grad()
    def product(self, z: Tensor, c: Tensor) -> Product:
        """v [N, D] -> dF/dz v at z, c: the derivative of each layer is worked out once, for many vectors."""
        h, steps = z, list[Product]()
        for layer in self._conditional():
            step, h = layer.linearized(h, c)
            steps.append(step)

        def apply(v: Tensor) -> Tensor:
            for step in steps:
                v = step(v)
            return self.options.contraction * F.linear(v, self.last.weight)

        return apply

    def _conditional(self) -> list[ConditionalLayer]:
        return [layer for layer in self.layers if isinstance(layer, ConditionalLayer)]

    def _linear(self) -> list[nn.Linear]:
        """All maps that z goes through."""
        return [*(layer.linear for layer in self._conditional()), self.last]

    @torch.no_grad()
    def settle(self) -> "AuxiliaryMapping":
        """End training: replace each normalised weight by itself over its exact spectral norm. Returns itself.

        While it learns, norms come from power iteration, which approaches them from below.
        """
        for linear in self._linear():
            if parametrize.is_parametrized(linear):
                parametrize.remove_parametrizations(linear, "weight")
            linear.weight.div_(torch.linalg.matrix_norm(linear.weight.double(), 2).clamp_min(1e-12))
        return self.eval()

    @torch.no_grad()
    def bound(self) -> float:
        """What |dF/dz| nowhere exceeds: the product of the weights' spectral norms and the contraction."""
        product = self.options.contraction
        for linear in self._linear():
            product *= float(torch.linalg.matrix_norm(linear.weight.double(), 2))
        return product


def learn(z: Tensor, c: Tensor, options: MappingOptions, seed: int = 0) -> AuxiliaryMapping:
    """F from standardised pairs z [M, D], c [M, C] by reconstruction, mean |F(z, c) - z|^2; the same for a seed."""
    with torch.random.fork_rng(devices=[]), with_gradients():
        torch.manual_seed(seed)
        mapping = AuxiliaryMapping(z.shape[1], c.shape[1], options).to(z.device)
    stream = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(mapping.parameters(), lr=options.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    with with_gradients():
        for _ in range(options.steps):
            rows = torch.randint(len(z), [options.batch], generator=stream).to(z.device)
            loss = (mapping(z[rows], c[rows]) - z[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return mapping.settle()
