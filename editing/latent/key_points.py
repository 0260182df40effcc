"""Key points moved by a fitted field, in the form in which points of a picture are dragged (editing/dragging.py).

    field = KeyPointField("points.safetensors", model)          # of edit.py directions --condition=points:faces
    for step in field.drag(ws, layout, [((0.1, 0.0), (0.1, 0.3))]):
        print(step.distances)                                   # in pixels; close the iterator to stop

The field is that of SGF (sgf.py): the key points are measured at every step. The layout stays as it is, unless the
field was fitted to it, too (space w+layout).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.dragging import NO_PROGRESS, REACHED, STEP_LIMIT, DragStep, Points, check_points
from editing.latent.field_files import load_field
from editing.latent.interface import Points as Latents
from editing.latent.interface import Target, draw_pairs, toward
from editing.latent.manipulation import fitted_condition
from editing.latent.sgf import Sgf, SgfOptions
from editing.latent.space import ModelSubject
from editing.latent.walking import WalkOptions
from editing.registration import pixel_size, registration_of_model
from training.latent.directions import say_origin
from training.layouts.layout import Layout
from training.networks.synthesis import NoiseMode
from training.sampling import Model

Place = tuple[float, float]

PATIENCE = 20  # steps without coming nearer after which a drag ends
SAMPLES = 500  # random pictures that say which key points go together
RIDGE = 1e-3  # of the variance


@dataclass(frozen=True)
class KeyPoints:
    """Which numbers of a condition are places: NAME_x and NAME_y are those of the key point NAME.

    entries: of each the numbers of x and y. scale: a condition's -1 and 1 are the middles of the picture's border
    pixels; times `scale`, places are in the model's own coordinates.
    """

    names: tuple[str, ...]
    entries: tuple[tuple[int, int], ...]
    scale: float

    @classmethod
    def of(cls, names: Sequence[str], model: Model) -> Self:
        """Those among a condition's names; there may be none."""
        found = [name[:-2] for name in names if name.endswith("_x") and f"{name[:-2]}_y" in names]
        entries = [(names.index(f"{name}_x"), names.index(f"{name}_y")) for name in found]
        side = model.config.generator.img_resolution
        scale = pixel_size(side, registration_of_model(model)) / pixel_size(side, "corners")
        return cls(tuple(found), tuple(entries), scale)

    def places(self, condition: Tensor) -> Tensor:
        """Of conditions [N, C]: [N, P, 2], (x, y) in the model's coordinates."""
        return condition[:, list(self.entries)] * self.scale

    def meant(self, condition: Tensor, points: Sequence[tuple[Place, Place]]) -> dict[int, Place]:
        """{number of the key point nearest to where a pull begins: where it ends}, of one picture's condition [1, C].

        Raises UserError when two pulls mean the same key point.
        """
        places, found = self.places(condition)[0], dict[int, Place]()
        for start, end in points:
            number = int((places - torch.tensor(start).to(places)).norm(dim=1).argmin())
            if number in found:
                raise UserError(f"two points pull at the key point {self.names[number]}; remove one of them")
            found[number] = end
        return found

    def wishes(self, pulled: Mapping[int, Place]) -> dict[int, float]:
        """{number of the condition: its value} for key points that are to be at (x, y) in the model's coordinates."""
        ends = [(self.entries[number], place) for number, place in pulled.items()]
        return {entry: value / self.scale for both in ends for entry, value in zip(*both, strict=True)}


def followed(conditions: Tensor, moved: Mapping[int, float], others: Sequence[int]) -> dict[int, float]:
    """By how much `others` go along where entries of a condition move so far, as random conditions [M, C] have it.

    Least squares: Cov(others, moved) Cov(moved, moved)^-1 times the way, with a small ridge for entries that are one.
    """
    numbers = list(moved)
    way = torch.tensor([float(moved[number]) for number in numbers], dtype=torch.float64)
    spread = (conditions - conditions.mean(0)).double().cpu()
    within = spread[:, numbers].T @ spread[:, numbers]
    ridge = RIDGE * torch.diag(within.diagonal() + 1e-12)
    found = spread[:, list(others)].T @ spread[:, numbers] @ torch.linalg.solve(within + ridge, way)
    return dict(zip(others, found.tolist(), strict=True))


class KeyPointField:
    """A file of a field whose condition has key points, for the model that it was fitted to."""

    def __init__(self, path: str, model: Model):
        """Raises UserError when the file does not fit the model, has no key points, or moves z."""
        self.saved, self.model = load_field(path, model.device), model
        about = self.saved.about
        self.points = KeyPoints.of(about.names, model)
        if not self.points.names:
            raise UserError(f"{path}: a field of {', '.join(about.names[:8])}, none of which is a key point; fit one "
                            "with edit.py directions --method=sgf --condition=points:KIND")  # fmt: skip
        if about.space == "z":
            raise UserError(f"{path}: a field in z; points are dragged by styles and layout, so fit one in them")
        self.condition = fitted_condition(path, about.conditions, model)
        self.subject = ModelSubject(model, self.condition, about.space, about.layers)
        self._method(max_steps=1)  # says what does not fit
        say_origin(path, about.network, model.config.name)
        self.conditions = draw_pairs(self.subject, SAMPLES).conditions  # of random pictures: which points go together

    def about(self, name: str) -> dict[str, Any]:
        """What a page has to know to offer it."""
        return {"file": name, "points": list(self.points.names)}

    def places(self, images: Tensor) -> list[tuple[float, float]]:
        """Where the key points of a picture [1, C, R, R] are measured to be, in the model's coordinates."""
        with torch.no_grad():
            found = self.points.places(self.condition(images))[0].clamp(-1, 1)
        return [(x, y) for x, y in found.tolist()]

    def drag(
        self, ws: Tensor, layout: Layout | None, points: Points, max_steps: int = 100,
        noise_mode: NoiseMode = "const",
    ) -> Iterator[DragStep]:  # fmt: skip
        """Pull key points of one picture to targets, step by step; the last step has `done` and is the nearest seen.

        ws [1, *w_shape]; layout of one picture, None for a model without. points: (from, to) in the model's
        coordinates; the key point nearest `from` is meant. All else that the condition measures goes along as
        far as it does among random pictures: other parts of one object do, what has nothing to do with it stays.

        Raises UserError, at once, for points outside of the picture, and two that mean the same key point.
        """
        check_points(points)
        start = self.subject.of_styles(ws.to(self.model.device), layout)
        with torch.no_grad():
            before = self.subject.measure(start)
        pulled = self.points.meant(before, points)
        wishes = self.points.wishes(pulled)
        others = [entry for entry in range(before.shape[1]) if entry not in wishes]
        ways = followed(self.conditions, {n: value - float(before[0, n]) for n, value in wishes.items()}, others)
        pixel = pixel_size(self.model.config.generator.img_resolution, "corners")
        beside = {entry: float(before[0, entry]) + way for entry, way in ways.items()}
        target = replace(toward(before, wishes | beside, pixel), of=tuple(wishes))
        return self._steps(start, target, pulled, max_steps, noise_mode)

    def _steps(
        self, start: Latents, target: Target, pulled: Mapping[int, Place], max_steps: int, noise_mode: NoiseMode
    ) -> Iterator[DragStep]:
        nearest, least = None, float("inf")
        for step in self._method(max_steps).path(start, target):
            assert step.condition is not None, "a walk measures the condition at each step"
            seen = self._drag_step(step.number, start.at(step.values), step.condition, pulled, noise_mode)
            distance = float(target.distance(step.condition)[0])
            if nearest is None or distance < least:
                nearest, least = seen, distance
            yield seen
        assert nearest is not None, "a path begins with the start"
        late = STEP_LIMIT if seen.step == max_steps else NO_PROGRESS.format(PATIENCE)
        yield replace(nearest, step=seen.step, done=True, reason=REACHED if least <= 1 else late)

    def _drag_step(
        self, number: int, at: Latents, condition: Tensor, pulled: Mapping[int, Place], noise_mode: NoiseMode
    ) -> DragStep:
        ws, layout = self.subject.styles(at), self.subject.layout(at)
        image = self.model.images(ws=ws, layout=layout, noise_mode=noise_mode)
        places = self.points.places(condition)[0, list(pulled)]
        pixel = pixel_size(self.model.config.generator.img_resolution, registration_of_model(self.model))
        distances = (places - torch.tensor(list(pulled.values())).to(places)).norm(dim=1) / pixel
        return DragStep(number, image, ws, layout, [(x, y) for x, y in places.tolist()], distances.tolist())

    def _method(self, max_steps: int) -> Sgf:
        walk = WalkOptions(max_steps, PATIENCE)
        return self.saved.of(self.subject, self.subject.width, SgfOptions(keep=True, walk=walk))
