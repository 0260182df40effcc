"""Films: styles and layouts on smooth paths through those that are given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from training.layouts.layout import CHILD_LIMIT, Layout


@dataclass(frozen=True)
class Keyframes:
    """Styles ws [K, *w_shape] and a layout of K pictures, None where the model takes none. Time 0 is the first."""

    ws: Tensor
    layout: Layout | None

    def __len__(self) -> int:
        return len(self.ws)

    def times(self, frames: int) -> np.ndarray:
        """Those of a film: `frames` from each keyframe to the next, then the last keyframe itself."""
        return np.arange((len(self) - 1) * frames + 1) / frames

    def at(self, times: Sequence[float] | np.ndarray) -> tuple[Tensor, Layout | None]:
        """Styles and layout of T pictures at times in [0, K - 1]; keyframes come out as they are."""
        return smooth(self.ws, times), None if self.layout is None else layouts_at(self.layout, times)


def layouts_at(keys: Layout, times: Sequence[float] | np.ndarray) -> Layout:
    """The layout of T pictures between those of `keys`.

    Centers go along smooth curves, kept inside the limits of layouts. Spreads and strengths never leave the range of
    the two keyframes around them. Noise, an ablation's, is that of the keyframe before.
    """
    limits = [1.0, *[CHILD_LIMIT] * (len(keys.centers) - 1)]
    centers = tuple(smooth(c, times).clamp(-limit, limit) for c, limit in zip(keys.centers, limits, strict=True))
    spreads = tuple(monotone(s, times) for s in keys.spreads)
    strengths = None if keys.strengths is None else tuple(monotone(s, times).clamp(0, 1) for s in keys.strengths)
    noise = None if keys.noise is None else keys.noise.select(torch.as_tensor(np.asarray(times)).long())
    return replace(keys, centers=centers, spreads=spreads, strengths=strengths, noise=noise)


def smooth(keys: Tensor, times: Sequence[float] | np.ndarray) -> Tensor:
    """Values [T, ...] of the natural cubic spline through keys [K, ...] at 0, 1, ... K - 1.

    Two keys are joined by a straight line. Where the last key is the first again, the curve is closed: it ends as it
    began, in direction and speed, too.
    """
    if len(keys) > 2 and torch.allclose(keys[-1], keys[0], rtol=0, atol=1e-5):  # rounded otherwise in another row
        keys = torch.cat([keys[:-1], keys[:1]])
        return _interpolated(CubicSpline, keys, times, bc_type="periodic")
    return _interpolated(CubicSpline, keys, times, bc_type="natural")


def monotone(keys: Tensor, times: Sequence[float] | np.ndarray) -> Tensor:
    """The same by a cubic that rises and falls with the keys alone (Fritsch and Butland 1984)."""
    return _interpolated(PchipInterpolator, keys, times)


def _interpolated(kind: type, keys: Tensor, times: Sequence[float] | np.ndarray, **how: Any) -> Tensor:
    if len(keys) == 1:
        return keys.expand(len(times), *keys.shape[1:])
    curve = kind(np.arange(len(keys)), keys.detach().cpu().double().numpy(), axis=0, **how)
    return torch.from_numpy(curve(np.asarray(times))).to(keys)
