"""Procedural pictures with a known truth, by kind. Each kind is a function (rng, resolution) of numpy's Generator and
a side in pixels, perhaps with options, that returns uint8 pixels [R, R, 3] and the scene (see ground_truth)."""

from collections.abc import Callable

import numpy as np

from training.scenes.balls import ball
from training.scenes.critters import critter
from training.scenes.faces import face
from training.scenes.playrooms import playroom
from training.scenes.rooms import room

Scene = tuple[np.ndarray, dict]

KINDS: dict[str, Callable[..., Scene]] = {
    "critters": critter, "balls": ball, "faces": face, "rooms": room, "playrooms": playroom
}  # fmt: skip

SEVERAL_OBJECTS = ("rooms", "playrooms")  # kinds with the option `objects`; the others have the option `plain`
