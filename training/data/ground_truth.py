"""What is where in a generated picture: centres, boxes and parts, in normalized coordinates.

Positions are (x, y), x to the right and y down; -1 and +1 are the centres of the border pixels.
A scene is plain JSON data:
    {"objects": [{"kind": str, "center": [x, y], "box": [x0, y0, x1, y1], "parts": {name: [[x, y], ...]}}]}
An object may have "visible", the share of it that others do not hide, and "mask", its visible pixels (encode_mask).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_DECIMALS = 4
_MIDDLE_HALF = 0.25  # how far from the image's middle an object's middle may lie, as a fraction of the side
_MIRRORED_BOX = (2, 1, 0, 3)  # the right edge becomes the left one


def normalized(edges: np.ndarray, resolution: int) -> np.ndarray:
    """Map distances from the image's left or top edge, in pixels, to [-1, 1] at border pixel centres."""
    return (2 * np.asarray(edges, dtype=np.float64) - resolution) / max(resolution - 1, 1)


def centroid(mask: np.ndarray) -> np.ndarray:
    """Mean position (x, y), as distances in pixels from the image's corner, of a weighted mask [H, W]."""
    weights = np.asarray(mask, dtype=np.float64)
    across, down = weights.sum(axis=0), weights.sum(axis=1)
    center = [axis @ (np.arange(axis.size) + 0.5) for axis in (across, down)]
    return np.array(center) / weights.sum()


def bounds(mask: np.ndarray) -> np.ndarray:
    """Edges (x0, y0, x1, y1), in pixels, of the smallest box that holds the mask's nonzero pixels."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


def random_middle(rng: np.random.Generator, size: np.ndarray, resolution: int) -> np.ndarray:
    """Where to put the middle (x, y) of a box of `size` pixels: anywhere within the image's middle half
    from where the box does not reach over the image's edge."""
    reach = np.minimum(_MIDDLE_HALF * resolution, (resolution - size) / 2)
    return resolution / 2 + rng.uniform(-1, 1, size=2) * reach


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """A mask [H, W] as run lengths, as COCO has them: {"size": [H, W], "counts": [...]}.

    Lengths of runs of 0 and 1 in turn, beginning with 0, down the columns from left to right.
    """
    flat = np.asarray(mask, dtype=bool).T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def decode_mask(mask: Mapping[str, Any]) -> np.ndarray:
    """The mask [H, W], bool, of encode_mask. Raises ValueError when the runs do not fill it."""
    height, width = mask["size"]
    counts = np.asarray(mask["counts"], dtype=np.int64)
    if counts.sum() != height * width or (counts < 0).any():
        raise ValueError(f"runs of {counts.sum()} pixels for a mask of {height} x {width}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def describe(
    kind: str,
    center: np.ndarray,
    box: np.ndarray,
    resolution: int,
    parts: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> dict[str, Any]:
    """One object of a scene. Positions come in pixels from the corner and leave normalized."""
    truth: dict[str, Any] = {"kind": kind, "center": _points(center, resolution), "box": _points(box, resolution)}
    if parts is not None:
        truth["parts"] = {name: _points(points, resolution) for name, points in parts.items()}
    return truth


def mirrored(scene: Mapping[str, Any]) -> dict[str, Any]:
    """The scene of the horizontally flipped picture: every x changes its sign."""
    return {**scene, "objects": [_mirrored_object(thing) for thing in scene.get("objects", [])]}


def _points(values: Any, resolution: int) -> list:
    return np.round(normalized(values, resolution), _DECIMALS).tolist()


def _mirrored_object(thing: Mapping[str, Any]) -> dict[str, Any]:
    flipped = {**thing, "center": _flip(thing["center"])}
    if "box" in thing:
        x0, y0, x1, y1 = (thing["box"][i] for i in _MIRRORED_BOX)
        flipped["box"] = [-x0, y0, -x1, y1]
    if "mask" in thing:
        flipped["mask"] = encode_mask(decode_mask(thing["mask"])[:, ::-1])
    if "parts" in thing:
        flipped["parts"] = {name: [_flip(point) for point in points] for name, points in thing["parts"].items()}
    return flipped


def _flip(point: Sequence[float]) -> list[float]:
    return [-point[0], point[1]]
