"""How unlike pictures look to convolutions whose weights are random and fixed: no download, no other package.

Such features carry edges and colors at several scales in all directions, which is what plain pixels lack when an object
stands a little beside where it should be (Ulyanov et al. 2018 and others use untrained networks so).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_utils.random_filters import random_filters

WIDTHS = (3, 32, 64, 64)  # channels; every layer halves the size
SEED = 2024


class RandomFeatureDistance(nn.Module):
    """Images a, b [N, 1 or 3, R, R] about [-1, 1] -> distances [N], 0 for the same picture; differentiable."""

    def __init__(self):
        super().__init__()
        for number, weight in enumerate(random_filters(WIDTHS, SEED)):
            self.register_buffer(f"weight{number}", weight)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The mean over layers of the features' mean squared differences."""
        pairs = zip(self._features(a), self._features(b), strict=True)
        return torch.stack([(x - y).square().mean((1, 2, 3)) for x, y in pairs]).mean(0)

    def _features(self, images: Tensor) -> list[Tensor]:
        x, found = images.expand(-1, 3, -1, -1), []
        for weight in self.buffers():
            x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
            found.append(x)
        return found
