"""LPIPS: perceptual distance of two pictures by VGG16's features (Zhang et al. 2018), as path lengths use it."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from metrics.extractors.base import full_precision
from metrics.extractors.weights import WeightFiles, fitting

# VGG16's convolutions: output channels, and "M" for a 2x2 maximum; LPIPS looks at the end of each group.
GROUPS = ((64, 64), ("M", 128, 128), ("M", 256, 256, 256), ("M", 512, 512, 512), ("M", 512, 512, 512))
# LPIPS's own scaling of colours, for values from 0 to 255.
SHIFT = [(1 + c) * 127.5 for c in (-0.030, -0.088, -0.188)]
SCALE = [c * 127.5 for c in (0.458, 0.448, 0.450)]


class Lpips(nn.Module):
    """Images a, b [N, 3, H, W], floats from 0 to 255 -> distances [N]; zero exactly where a picture is its partner."""

    shift: Tensor
    scale: Tensor

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*_vgg_layers())
        self.ends = [end for _, end in pairwise(_group_starts())]
        for number, group in enumerate(GROUPS):
            self.register_buffer(f"importance{number}", torch.zeros(_channels(group)))
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(len(a), device=a.device)
        for number, (x, y) in enumerate(zip(self._features(a), self._features(b), strict=True)):
            importance = getattr(self, f"importance{number}")[:, None, None]
            total = total + ((x - y).square() * importance).sum(1).mean((1, 2))
        return total

    def _features(self, images: Tensor) -> list[Tensor]:
        """At the end of each group, every pixel's vector at unit length."""
        x, found = (images - self.shift) / self.scale, []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number + 1 in self.ends:
                length = x.square().sum(1, keepdim=True).clamp_min(1e-20).sqrt()  # the root has no derivative at 0
                found.append(x / (length + 1e-10))
        return found


class PerceptualDistance:
    """Lpips with its weights on a device; `about` is what a result records of it."""

    def __init__(self, weights: WeightFiles, device: torch.device):
        network, (vgg, vgg_digest), (lins, lins_digest) = Lpips(), weights.load("vgg16"), weights.load("lpips")
        start = "features."  # beside them a VGG16 has a classifier, which is of no use here
        convolutions = {key.removeprefix(start): value for key, value in vgg.items() if key.startswith(start)}
        fitting(lambda: network.layers.load_state_dict(convolutions), "vgg16")
        for number in range(len(GROUPS)):
            importance = lins.get(f"lin{number}.model.1.weight", torch.zeros(0)).flatten()
            fitting(partial(getattr(network, f"importance{number}").copy_, importance), "lpips")
        self.network = network.to(device).eval().requires_grad_(False)
        self.about = {"name": "lpips", "version": 1, "weights_sha256": {"vgg16": vgg_digest, "lpips": lins_digest}}

    @torch.inference_mode()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances [N] of images [N, C, H, W], floats from 0 to 255, grey or RGB."""
        with full_precision():
            return self.network(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))


def _vgg_layers() -> list[nn.Module]:
    layers, channels = list[nn.Module](), 3
    for kind in (kind for group in GROUPS for kind in group):
        if isinstance(kind, int):
            layers += [nn.Conv2d(channels, kind, 3, padding=1), nn.ReLU()]
            channels = kind
        else:
            layers.append(nn.MaxPool2d(2))
    return layers


def _channels(group: Sequence[int | str]) -> int:
    """Of the features at a group's end."""
    return [kind for kind in group if isinstance(kind, int)][-1]


def _group_starts() -> list[int]:
    """Number of the first layer of each group, and of the one behind the last."""
    starts = [0]
    for group in GROUPS:
        starts.append(starts[-1] + sum(1 if kind == "M" else 2 for kind in group))
    return starts
