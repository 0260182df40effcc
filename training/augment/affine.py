"""Affine maps of the plane, one for each sample of a batch.

Everything is written out in sums and products: matrix multiplication may be rounded to TF32 on GPUs, which moves a
corner of a large image by half a pixel; and so the identity composed with itself is the identity to the last bit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """(x, y) -> x * right + y * down + origin.

    right, down, origin: [N, 2], where the unit vectors and the origin go. Methods that compose put the new map first:
    A.rotated(t) rotates a point and then applies A.
    """

    right: Tensor
    down: Tensor
    origin: Tensor

    @staticmethod
    def identity(count: int, dtype: torch.dtype, device: torch.device) -> "Affine":
        eye = torch.eye(3, 2, dtype=dtype, device=device)
        return Affine(*(row.expand(count, 2) for row in eye))

    def scaled(self, x: Tensor, y: Tensor) -> "Affine":
        """Stretches along x and y, [N], come first."""
        return Affine(self.right * x[:, None], self.down * y[:, None], self.origin)

    def rotated(self, angle: Tensor) -> "Affine":
        """A rotation by `angle` [N], in radians from x to y, comes first."""
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        return Affine(self.right * cos + self.down * sin, self.down * cos - self.right * sin, self.origin)

    def shifted(self, x: Tensor, y: Tensor) -> "Affine":
        """A shift by x and y, [N], comes first."""
        return Affine(self.right, self.down, self.origin + self.right * x[:, None] + self.down * y[:, None])

    def into(self, x: tuple[float, float], y: tuple[float, float]) -> "Affine":
        """This map and then, along each axis, (factor, offset): the result in other units."""
        return Affine(
            _each(self.right, x[0], y[0]), _each(self.down, x[0], y[0]), _each(self.origin, x[0], y[0], x[1], y[1])
        )

    def normalized(self, width: int, height: int) -> "Affine":
        """The same map of pixels around the image's middle, in layout coordinates: -1 and 1 are the border pixels."""
        half_x, half_y = (width - 1) / 2, (height - 1) / 2
        scaled = Affine(self.right * half_x, self.down * half_y, self.origin)
        return scaled.into((1 / half_x, 0), (1 / half_y, 0))

    def grid(self, xs: Tensor, ys: Tensor) -> Tensor:
        """Where the points (xs[j], ys[i]) go: [N, len(ys), len(xs), 2]."""
        rows = ys[:, None] * self.down[:, None] + self.origin[:, None]  # [N, ys, 2]
        columns = xs[:, None] * self.right[:, None]  # [N, xs, 2]
        return rows[:, :, None] + columns[:, None]

    def is_identity(self) -> Tensor:
        """Which samples have exactly the identity: bool [N]."""
        eye = torch.eye(3, 2, dtype=self.right.dtype, device=self.right.device)
        return (torch.stack([self.right, self.down, self.origin], 1) == eye).flatten(1).all(1)


def _each(vectors: Tensor, factor_x: float, factor_y: float, offset_x: float = 0, offset_y: float = 0) -> Tensor:
    return torch.stack([vectors[:, 0] * factor_x + offset_x, vectors[:, 1] * factor_y + offset_y], 1)
