"""Features of convolutions whose weights are random and fixed (Naeem et al. 2020, section 4.2, use such embeddings).

They need no download and no other package, and they know nothing of photographs: distances between them tell apart
distributions, but are no FID and are never called so.
"""

import hashlib

import torch.nn.functional as F
from torch import Tensor, nn

from metrics.extractors.base import Extractor
from torch_utils.random_filters import random_filters

SIDE = 64  # pictures are brought to this size
WIDTHS = (3, 64, 128, 256, 128)  # channels; every layer halves the size
SEED = 2020


class RandomFeatures(nn.Module):
    """uint8 [N, 3, H, W] -> ([N, 512],): the last layer's 128 channels, averaged over the four quarters."""

    def __init__(self):
        super().__init__()
        for number, weight in enumerate(random_filters(WIDTHS, SEED)):
            self.register_buffer(f"weight{number}", weight)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        x = images.float() / 127.5 - 1
        x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        for weight in self.buffers():
            x = F.relu(F.conv2d(x, weight, stride=2, padding=1))
        return (F.adaptive_avg_pool2d(x, (2, 2)).flatten(1),)

    def digest(self) -> str:
        """SHA-256 of the weights."""
        return hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in self.buffers())).hexdigest()


def random_features() -> Extractor:
    """The extractor on the CPU."""
    network = RandomFeatures()
    return Extractor("random", network, ("pooled",), network.digest(), f"bilinear to {SIDE}x{SIDE}, antialiased")
