"""What a feature extractor is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Network = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Extractor:
    """A frozen network that turns pictures into features.

    network: uint8 RGB [N, 3, H, W] -> one tensor [N, F] for each of `outputs`, float32.
    digest: SHA-256 of the weights. preprocessing: how pictures get to the network's size, in words.
    version: raised when the same picture and weights give other features than before.
    """

    name: str
    network: Network
    outputs: tuple[str, ...]
    digest: str
    preprocessing: str
    version: int = 1

    @property
    def about(self) -> dict[str, Any]:
        """What a result records of it."""
        return {
            "name": self.name,
            "version": self.version,
            "preprocessing": self.preprocessing,
            "weights_sha256": self.digest,
        }

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features [N, F] by output of uint8 images [N, C, H, W], grey (C = 1) or RGB, on the images' device."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"wanted uint8 [N, 1 or 3, H, W], not {images.dtype} {list(images.shape)}")
        with torch.inference_mode(), full_precision():
            features = self.network(images.expand(-1, 3, -1, -1))
        return dict(zip(self.outputs, features, strict=True))


@contextmanager
def full_precision() -> Iterator[None]:
    """Without NVIDIA's TF32, whose rounding changes the third digit of a feature."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
