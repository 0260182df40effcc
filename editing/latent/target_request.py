"""From a request to files on disk: what `edit.py towards` does. All checks come before the first file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import floats, shown
from dnnlib.words import counted
from editing.latent.directions_request import parse_layers
from editing.latent.interface import Edit, Points, Step, Target, draw_pairs, toward
from editing.latent.manipulation import SAMPLES, TOLERANCE, first_label, meant_condition
from editing.latent.methods import METHODS, check_method, make_method, space_of
from editing.latent.space import ModelSubject, Space
from editing.latent.walking import WalkOptions
from editing.picture_request import (
    PictureRequest,
    check_outputs,
    chosen_label,
    chosen_latents,
    chosen_layout,
    chosen_styles,
    frame_numbers,
    load_model,
    make_folders,
    write_outcome,
)
from training.sampling import Model

SAMPLES_TO_SCALE = 1000  # where random pictures only say how far conditions spread
MOST_SHOWN = 24  # entries of a condition that are not wished for
MOST_PLAIN, FINEST = 1e6, 0.002  # numbers from here on, and of attributes with a finer tolerance, have powers of 10


@dataclass(frozen=True, kw_only=True)
class TargetRequest(PictureRequest):
    """What the command was asked for, in the form of its options. tolerance: in deviations of random pictures."""

    targets: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    method: str = "sgf"
    tolerance: float = TOLERANCE
    max_steps: int = 100
    space: Space | None = None
    layers: str | None = None
    samples: int | None = None
    fit_seed: int = 0


@dataclass(frozen=True)
class TargetWish:
    """Attribute `name` is to be at `value`, or, relative, so much higher than at the start."""

    name: str
    value: float
    is_relative: bool


@dataclass(frozen=True)
class Arrival:
    """What came of an edit of one picture: conditions [1, C] before and after, by `names`, and the target."""

    names: tuple[str, ...]
    before: Tensor
    after: Tensor
    target: Target
    edit: Edit

    def said(self) -> list[str]:
        """For people: what was wished for, how it ended, then what else has changed, the most in tolerances first."""
        wished = [f"{self._change(i)}, wanted {self._wanted(i)}" for i in self.target.of]
        moved = ((self.after - self.before).abs() / self.target.tolerance)[0]
        others = [i for i in moved.argsort(descending=True).tolist() if i not in self.target.of]
        return [*wished, self._ended(), *(f"  also {self._change(i)}" for i in others[:MOST_SHOWN])]

    def _change(self, index: int) -> str:
        return f"{self.names[index]}: {self._number(self.before[0], index)} -> {self._number(self.after[0], index)}"

    def _wanted(self, index: int) -> str:
        return f"{self._number(self.target.values[0], index)} +- {self._number(self.target.tolerance, index)}"

    def _number(self, row: Tensor, index: int) -> str:
        """With three digits behind the point, where these say something of the attribute and do not follow a long row.
        """
        number = float(row[index])
        is_plain = self.target.tolerance[index] >= FINEST and abs(number) < MOST_PLAIN
        return f"{number:.3f}" if is_plain else f"{number:.4g}"

    def _ended(self) -> str:
        steps = counted(int(self.edit.steps[0]), "step")
        if self.edit.reached[0] and self.edit.steps[0] == 0:
            return "the target is within the tolerance already: nothing was changed (--tolerance makes it smaller)"
        if self.edit.reached[0]:
            return f"reached the target after {steps}"
        left = float(self.target.distance(self.after)[0])
        return (
            f"the target was not reached ({self.edit.reasons[0]}): this is the nearest picture that was found, "
            f"after {steps}, {left:.{'1f' if left < MOST_PLAIN else '1e'}} times the tolerance away"
        )


def edit_to_files(request: TargetRequest) -> tuple[list[Path], Arrival]:
    """Edit and write; the paths written and what came of it. Raises UserError, before any file, on bad input."""
    wishes = parse_wishes(request.targets)
    check_method(request.method)
    if request.layers is not None and request.method not in METHODS:
        raise UserError(f"--layers: {request.method} says which layers move; leave it out")
    check_outputs(request)
    model = load_model(request)
    subject = _subject(model, request)
    points = _start(subject, request)
    before = subject.measure(points)
    wanted = _wanted(subject, wishes, before)
    pairs = draw_pairs(subject, _samples(request), request.fit_seed)
    pairs.check_varies(wanted, subject.names)
    method = make_method(request.method, subject, pairs, WalkOptions(request.max_steps))
    target = toward(before, wanted, request.tolerance * pairs.deviations)
    subject = getattr(method, "subject", subject)  # a file of directions says of which layers they are
    make_folders(request)
    steps: list[Step] = []
    edit = method.edit(points, target, steps.append)
    images = _pictures(subject, points, [*(step.values for step in steps), edit.values], request)
    end = points.at(edit.values)
    written = write_outcome(request, model, images, subject.styles(end), subject.layout(end))
    return written, Arrival(subject.names, before, subject.measure(end), target, edit)


def parse_wishes(texts: Sequence[str]) -> list[TargetWish]:
    """Wishes from 'NAME=VALUE', 'NAME+=VALUE' and 'NAME-=VALUE', several in one text apart by ';'.

    Raises UserError for any other form, and for a name that comes twice.
    """
    wishes = [_parse_wish(part.strip()) for text in texts for part in text.split(";") if part.strip()]
    names = [wish.name for wish in wishes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"--target: '{shown(twice)}' is wished for twice")
    if not wishes:
        raise UserError("--target is empty; give NAME=VALUE, such as red=0.5")
    return wishes


def _parse_wish(text: str) -> TargetWish:
    match = re.fullmatch(r"(.*[^+\-\s])\s*([+-]?)=([^=]*)", text, re.DOTALL)
    if match is None:
        raise UserError(f"--target '{shown(text)}' is not of the form NAME=VALUE, NAME+=VALUE or NAME-=VALUE")
    (value,) = floats(match[3], 1, f"--target '{shown(text)}': the value")
    return TargetWish(match[1], -value if match[2] == "-" else value, match[2] != "")


def _subject(model: Model, request: TargetRequest) -> ModelSubject:
    """What is edited. A fitted field knows its condition, unless another is named, and its space."""
    condition = meant_condition(request.conditions, request.method, model)[1]
    space = request.space or space_of(request.method)
    label: int | Tensor | None = first_label(model)
    if request.class_label is not None or request.latents is None:
        label = chosen_label(model, request)
    return ModelSubject(model, condition, space, parse_layers(request.layers), request.trunc, label)


def _start(subject: ModelSubject, request: TargetRequest) -> Points:
    layout = chosen_layout(subject.model, request)
    if subject.space != "z":
        return subject.of_styles(chosen_styles(subject.model, request, layout), layout)
    latents = chosen_latents(request)
    if "ws" in latents:
        raise UserError(f"--latents {request.latents}: final styles have no z; edit them in space w")
    return subject.of_latents(latents.get("z", subject.model.latents([request.seed])), layout)


def _wanted(subject: ModelSubject, wishes: Sequence[TargetWish], before: Tensor) -> Mapping[int, Tensor]:
    """{number of an attribute: the value wished for, [1]}."""
    at = {subject.index(wish.name): wish for wish in wishes}
    return {i: wish.value + before[:, i] * wish.is_relative for i, wish in at.items()}


def _samples(request: TargetRequest) -> int:
    """Files are fitted already, and optimisation learns nothing."""
    learns = request.method in METHODS and request.method != "optimization"
    return request.samples or (SAMPLES if learns else SAMPLES_TO_SCALE)


def _pictures(subject: ModelSubject, points: Points, values: list[Tensor], request: TargetRequest) -> Tensor:
    """On the way: all for a video, else only those of the strip. An end that is the last step is shown once."""
    if len(values) > 2 and torch.equal(values[-1], values[-2]):
        values = values[:-1]
    chosen = range(len(values)) if request.video else frame_numbers(len(values), request.frames)
    on_the_way = torch.cat([values[number] for number in chosen])
    rows = torch.zeros(len(on_the_way), dtype=torch.long, device=on_the_way.device)
    return subject.pictures(points[rows].at(on_the_way))
