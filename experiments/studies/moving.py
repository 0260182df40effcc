"""How `experiments.moving` does it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_json, write_text
from editing.dragging import DragMode, DragOptions, drag
from editing.latent.conditions.scenes import scene_condition
from editing.latent.interface import draw_pairs, toward
from editing.latent.key_points import KeyPoints
from editing.latent.manipulation import EVALUATION
from editing.latent.methods import make_method
from editing.latent.space import ModelSubject, Space
from editing.latent.styles import drawn_seeds
from editing.latent.walking import WalkOptions
from editing.registration import pixel_size, registration_of_model
from experiments.steer import Results, cell, chosen_rows, known_results
from metrics.centroid_co_move import object_masks
from metrics.displacement import centroids
from training.sampling import Model

EDGE = 0.7  # the object's place and its target are within +-EDGE
TRIES = 20  # pictures that are looked at for each one that is taken
NEAR = 0.05  # of the picture's side: as near as counts as there
MAX_STEPS, PATIENCE = 200, 20  # of all that go in steps
PLACE = {"x", "y"}  # attributes that are to change


@dataclass(frozen=True)
class Task:
    """The object of a seed's picture, at `start`, is to move by `way`, (x, y) in [-1, 1]."""

    seed: int
    start: tuple[float, float]
    way: tuple[float, float]


@dataclass(frozen=True)
class Moved:
    """Pictures [N, C, R, R] afterwards, the nearest that were found, and the number of steps to them."""

    images: Tensor
    steps: list[int]


@dataclass(frozen=True)
class Laboratory:
    """A model of toy scenes of one object, what measures these, and how many latents methods are fitted to."""

    model: Model
    kind: str
    samples: int

    def places(self, images: Tensor) -> Tensor:
        """Of the object in images [N, C, R, R]: [N, 2], NaN where there is none."""
        return centroids(object_masks(images.clamp(-1, 1)), registration_of_model(self.model))

    def tasks(self, count: int, share: float, seed: int) -> list[Task]:
        """The same for every row. Raises UserError when too few objects can be moved so far."""
        stream, found = np.random.default_rng(seed), []
        for number in drawn_seeds(TRIES * count, EVALUATION + seed):
            turn = 2 * math.pi * stream.random()
            way = 2 * share * math.cos(turn), 2 * share * math.sin(turn)
            x, y = self.places(self.model.images([number]))[0].tolist()
            if max(abs(x), abs(y), abs(x + way[0]), abs(y + way[1])) <= EDGE:
                found.append(Task(number, (x, y), way))
            if len(found) == count:
                return found
        raise UserError(f"fewer than {count} of {TRIES * count} objects can move by {share:g} of the picture")

    def judged(self, tasks: Sequence[Task], moved: Moved) -> dict[str, float]:
        """Means over tasks.

        distance: of the object from its target, in parts of the side; near: the share within NEAR; outside: root mean
        square change in [-1, 1] of pixels that the object covers neither before nor after; attributes: mean change of
        all but the place, in deviations among true scenes; steps.
        """
        before = self.model.images([task.seed for task in tasks])
        targets = torch.tensor([task.start for task in tasks]) + torch.tensor([task.way for task in tasks])
        places = self.places(moved.images).cpu()
        distances = (places - targets).norm(dim=1).nan_to_num(2.0) / 2  # an object that is gone is a side away
        return {
            "distance": distances.mean().item(),
            "near": (distances <= NEAR).float().mean().item(),
            "outside": _change_outside(before, moved.images).mean().item(),
            "attributes": self._attributes(before, moved.images),
            "steps": float(np.mean(moved.steps)),
        }

    def _attributes(self, before: Tensor, after: Tensor) -> float:
        scene = scene_condition("scene", self.kind, self.model.device)
        kept = [number for number, name in enumerate(scene.names) if name not in PLACE]
        with torch.no_grad():
            change = (scene(after) - scene(before)).abs() / scene.network.deviation
        return change[:, kept].mean().item()


def _change_outside(before: Tensor, after: Tensor) -> Tensor:
    """Of images [N, C, R, R]: [N]."""
    before, after = before.clamp(-1, 1), after.clamp(-1, 1)
    outside = ~(object_masks(before) | object_masks(after))
    squares = (after - before).square().mean(1) * outside
    return (squares.sum((1, 2)) / outside.sum((1, 2)).clamp_min(1)).sqrt()


# ---- the rows


def left(laboratory: Laboratory, tasks: Sequence[Task], seed: int) -> Moved:
    """Nothing is done: what distances are measured from."""
    return Moved(laboratory.model.images([task.seed for task in tasks]), [0] * len(tasks))


def by_heatmap(laboratory: Laboratory, tasks: Sequence[Task], seed: int) -> Moved:
    """The layout moves by the way; nobody looks where the object goes."""
    model, images = laboratory.model, []
    for task in tasks:
        layout = model.layout([task.seed])
        assert layout is not None, "main asks for a model with layouts"
        images.append(model.images([task.seed], layout=layout.moved(0, 0, *task.way)))
    return Moved(torch.cat(images), [1] * len(tasks))


def by_dragging(laboratory: Laboratory, tasks: Sequence[Task], seed: int, mode: DragMode) -> Moved:
    """The key points are pulled, by what the generator's features say of them."""
    model, images, steps = laboratory.model, [], []
    options = DragOptions(mode, MAX_STEPS, patience=PATIENCE)
    for task in tasks:
        layout = model.layout([task.seed])
        ws = model.styles([task.seed], layout=layout)
        *way, last = drag(model, ws, layout, _pulled(laboratory, task), None, options)
        distances = [step.mean_distance for step in (*way, last)]
        images.append(last.image)
        steps.append(int(np.argmin(distances)))
    return Moved(torch.cat(images), steps)


def _pulled(laboratory: Laboratory, task: Task) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The key points of a picture, and where they are to go."""
    condition = scene_condition("points", laboratory.kind, laboratory.model.device)
    points = KeyPoints.of(condition.names, laboratory.model)
    with torch.no_grad():
        starts = points.places(condition(laboratory.model.images([task.seed])))[0].clamp(-1, 1)
    ends = (starts + torch.tensor(task.way).to(starts)).clamp(-1, 1)
    return [((x, y), (u, v)) for (x, y), (u, v) in zip(starts.tolist(), ends.tolist(), strict=True)]


def by_method(laboratory: Laboratory, tasks: Sequence[Task], seed: int, name: str, space: Space) -> Moved:
    """Latents are edited until the key points are measured to be within a pixel of where they are to go, per axis."""
    model = laboratory.model
    subject = ModelSubject(model, scene_condition("points", laboratory.kind, model.device), space)
    pairs = draw_pairs(subject, laboratory.samples, seed)
    method = make_method(name, subject, pairs, WalkOptions(MAX_STEPS, PATIENCE))
    points = subject.of_seeds([task.seed for task in tasks])
    before = subject.measure(points)
    key_points = KeyPoints.of(subject.names, model)
    ways = torch.tensor([task.way for task in tasks]).to(before) / key_points.scale
    wishes = {entry: before[:, entry] + ways[:, axis] for both in key_points.entries for axis, entry in enumerate(both)}
    pixel = pixel_size(model.config.generator.img_resolution, "corners")
    edit = method.edit(points, toward(before, wishes, pixel))
    return Moved(subject.pictures(points.at(edit.values)), edit.steps.tolist())


ROWS: dict[str, Callable[[Laboratory, Sequence[Task], int], Moved]] = {
    "nothing": left,
    "heatmap moved": by_heatmap,
    "drag, hybrid": partial(by_dragging, mode="hybrid"),
    "drag, latent": partial(by_dragging, mode="latent"),
    "sgf": partial(by_method, name="sgf", space="w"),
    "sgf in Z": partial(by_method, name="sgf", space="z"),
    "sgf in W and layout": partial(by_method, name="sgf", space="w+layout"),
    "optimization": partial(by_method, name="optimization", space="w"),
    "optimization in W and layout": partial(by_method, name="optimization", space="w+layout"),
}


# ---- what is written

TITLES = {"distance": "final distance", "near": f"within {NEAR:g}", "steps": "steps", "outside": "RMS outside",
          "attributes": "attributes"}  # fmt: skip


def table(results: Results) -> str:
    """Markdown: a row a way of moving; distances in parts of the side."""
    lines = [["moved by", *TITLES.values()], ["---"] * (1 + len(TITLES))]
    lines += [[row, *(cell([run[key] for run in runs.values()]) for key in TITLES)] for row, runs in results.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def study(
    outdir: Path, network: str, kind: str, starts: int, share: float, samples: int, seeds: list[int], only: str | None,
    device: str,
) -> None:  # fmt: skip
    """What the command of this name does."""
    names = chosen_rows(ROWS, only, separator=";")
    laboratory = Laboratory(Model.load(network, device), kind, samples)
    if not laboratory.model.is_layout_conditioned or laboratory.model.G.takes_layout_in_latent:
        raise UserError(f"{network}: this model has no heatmaps to move objects by")
    known = make_dir(outdir) / "results.json"
    results = known_results(known)
    settings = {"network": network, "kind": kind, "starts": starts, "share": share, "samples": samples}
    for seed in seeds:
        tasks = laboratory.tasks(starts, share, seed)
        for row in names:
            if results.setdefault(row, {}).get(str(seed), {}).get("settings") == settings:
                continue
            found = laboratory.judged(tasks, ROWS[row](laboratory, tasks, seed))
            results[row][str(seed)] = {"settings": settings, **found}
            write_json(known, results)
            write_text(outdir / "table.md", table(results))
    click.echo(table(results), nl=False)
