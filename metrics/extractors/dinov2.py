"""DINOv2 (Oquab et al. 2023): the vision transformer whose features Stein et al. (2023) found closest to human eyes.

torch-fidelity loads this network by running code from the web; here it is written down, and only weights are loaded.
Pictures are prepared as torch-fidelity does.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnnlib.errors import UserError
from metrics.extractors.base import Extractor
from metrics.extractors.fidelity import RESIZE, load_library
from metrics.extractors.weights import WeightFiles, fitting

SIDE, PATCH, HEAD = 224, 14, 64  # pixels of a picture, pixels of a patch, features of an attention head
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet's colours, 0 to 255
OFFSET = 0.1  # pixels added to the grid before positions are resized, as when the published weights were used


class Attention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, width = x.shape
        qkv = self.qkv(x).reshape(count, tokens, 3, width // HEAD, HEAD)  # [N, T, 3, heads, HEAD]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [N, heads, T, HEAD]
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """x + scale(attention(norm(x))), then the same with the MLP."""

    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width), Mlp(width)
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbedding(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)  # [N, patches, width]


class VisionTransformer(nn.Module):
    """Prepared pictures [N, 3, 14 a, 14 a] -> the class token behind the last norm [N, width].

    Parameters go by the names of the published files; `positions`: patches the weights were trained for.
    """

    def __init__(self, width: int, depth: int, positions: int):
        super().__init__()
        self.patch_embed = PatchEmbedding(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + positions, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], 1)
        tokens = tokens + self._positions(x.shape[-1] // PATCH)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])

    def _positions(self, side: int) -> Tensor:
        """Position embeddings [1, 1 + side^2, width], resized (bicubic) from the grid of the training."""
        trained = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if side == trained:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
        scale = (side + OFFSET) / trained
        grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class Dinov2Features(nn.Module):
    """uint8 [N, 3, H, W] -> ([N, width],)."""

    def __init__(self, transformer: VisionTransformer):
        super().__init__()
        self.transformer = transformer
        resizing = load_library("torch_fidelity.interpolate_compat_tensorflow")
        self._resize = resizing.interpolate_bilinear_2d_like_tensorflow1x
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, images: Tensor) -> tuple[Tensor]:
        x = self._resize(images.float(), size=(SIDE, SIDE), align_corners=False)
        return (self.transformer((x - self.mean) / self.deviation),)


def dinov2(weights: WeightFiles) -> Extractor:
    """The network that the weights are of (published: ViT-L/14, 1024 features)."""
    state, digest = weights.load("dinov2")
    network = Dinov2Features(build(state)).eval().requires_grad_(False)
    return Extractor("dinov2", network, ("cls",), digest, RESIZE.format(SIDE))


def build(state: dict[str, Tensor]) -> VisionTransformer:
    """A transformer as wide and deep as the weights say. Raises UserError when they are of another network."""
    state = {key: value for key, value in state.items() if key != "mask_token"}  # for training only
    depth = 1 + max((int(found[1]) for key in state if (found := re.match(r"blocks\.(\d+)\.", key))), default=-1)
    if not 0 < depth <= len(state) or not {"cls_token", "pos_embed"} <= state.keys():
        raise UserError("the weights given for 'dinov2' are of another network (no blocks of a vision transformer)")
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, although they are replaced
        network = VisionTransformer(state["cls_token"].shape[-1], depth, state["pos_embed"].shape[1] - 1)
    fitting(lambda: network.load_state_dict(state), "dinov2")
    return network
