"""Conditions: functions of a picture that give a vector, and how they are named on a command line.

    scene:faces          attributes of toy scenes: colours, sizes, positions, counts (scenes.py)
    points:faces         key points of toy scenes
    FILE.pt, FILE.ts     a TorchScript archive; loading one runs its code (files.py)
    FILE.onnx            an ONNX graph, by onnxruntime
    clip:FILE.pt:TOKENIZER.json:a red face;a blue face     likeness to texts, by a CLIP archive (clip.py)

Any object with `names` and a call from pictures [N, C, R, R] in about [-1, 1] to numbers [N, len(names)] is one.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import shown


class Condition(Protocol):
    """A function of pictures. Where it is differentiable, direct optimisation can follow it, too."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers that it gives."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """Images [N, C, R, R] in about [-1, 1] to [N, len(names)]."""
        ...


class Joined:
    """Several conditions one after the other, as key points with attributes (paper 004, appendix F)."""

    def __init__(self, parts: Sequence[Condition]):
        """Raises UserError when two numbers have one name."""
        self.parts = parts
        self.names = tuple(name for part in parts for name in part.names)
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise UserError(f"two conditions call a number '{shown(twice)}'; leave one of them out")

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([part(images) for part in self.parts], 1)


def make_condition(texts: Sequence[str], example: Tensor) -> Condition:
    """The condition that command lines name as above; several are joined.

    example: pictures [1, C, R, R] of the model that is edited, on its device. Raises UserError for anything else, and
    for files that cannot be read or take no such pictures.
    """
    if not texts:
        raise UserError(
            "which condition? Give --condition, such as scene:faces, or a classifier's FILE.pt or FILE.onnx"
        )
    parts = [_one(text, example) for text in texts]
    return parts[0] if len(parts) == 1 else Joined(parts)


def _one(text: str, example: Tensor) -> Condition:
    kind, _, rest = text.partition(":")
    if kind in ("scene", "points"):
        from editing.latent.conditions.scenes import scene_condition

        return scene_condition(kind, rest, example.device)
    if kind == "clip":
        from editing.latent.conditions.clip import clip_condition

        return clip_condition(rest, example)
    from editing.latent.conditions.files import classifier

    return classifier(text, example)
