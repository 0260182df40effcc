"""Scenes of the scene code drawn twice, the second time with one object elsewhere, and their ground truth."""

from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.data import ground_truth
from training.scenes import critters, playrooms, rooms
from training.scenes.canvas import Canvas
from training.scenes.compose import Placement, compose
from training.scenes.cutouts import load_cutout

DRAWN = {
    "critters": (critters, critters.critter),
    "rooms": (rooms, rooms.room),
    "playrooms": (playrooms, playrooms.playroom),
}


def scene(kind: str, seed: int, resolution: int, owner: int = 0, offset=(0.0, 0.0)) -> tuple[Tensor, list[dict]]:
    """A picture [3, R, R] in [-1, 1] and its objects; object number `owner` is drawn further by `offset` pixels."""

    class Shifting(Canvas):
        def draw(self, model, owner, shifted=owner):
            super().draw(model.moved(1.0, np.asarray(offset)) if owner == shifted else model, owner)

    module, draw = DRAWN[kind]
    with mock.patch.object(module, "Canvas", Shifting):
        pixels, truth = draw(np.random.default_rng(seed), resolution)
    return as_image(pixels), truth["objects"]


def composed(folder: Path, seed: int, resolution: int, offset=(0.0, 0.0)) -> tuple[Tensor, list[dict]]:
    """The same of a composed scene, whose cut-out has two colours, both off the background's."""
    cutout = load_cutout(write_cutout(folder / "bird.png"), 0.4 * resolution, 0.6 * resolution)
    place = ground_truth.random_middle
    with mock.patch.object(ground_truth, "random_middle", lambda *given: place(*given) + offset):
        pixels, truth = compose(np.random.default_rng(seed), [cutout], Placement(resolution, contrast=0.9))
    return as_image(pixels), truth["objects"]


def write_cutout(path: Path) -> Path:
    """An ellipse whose two halves have different colours, on a transparent ground."""
    y, x = np.mgrid[-1:1:64j, -1:1:96j]
    pixels = np.zeros((64, 96, 4), np.uint8)
    pixels[..., :3] = np.where(x[..., None] < 0, (200, 60, 40), (220, 110, 50))
    pixels[..., 3] = (x**2 + y**2 < 0.9) * 255
    Image.fromarray(pixels).save(path)
    return path


def as_image(pixels: np.ndarray) -> Tensor:
    """uint8 [R, R, 3] -> [3, R, R] in [-1, 1]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 127.5 - 1
