"""Points dragged by styles alone, and by heatmap centers too: how near, in how many steps, in what time.

Each drag has one point, anywhere on the object of a seed's picture, and a target at `--share` of the image's size from
it, in a random direction in which the object stays in the picture, as those of the training data are (`--anywhere`: in
which only the target does). All modes drag the same ones. How far a point is from its target is said twice, in parts
of the image's size: by the tracker of editing/dragging.py, which also decides when a drag ends, and at the end by the
pixels about it, which dragging does not look at (benchmarks/sightings.py). Every drag is a round, in which the modes
take turns; "latent" does so once more with longer steps (FAST_LR), since DragGAN's own hardly move these pictures. Two
of them are compared at an equal distance: of each drag, the nearest that both came (drags in which one came no nearer
are left out), and at the distances NEARNESS, where both came so near; steps and seconds are those until then. A step is
a picture: a jump of centers, or a gradient step.
"""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.sightings import found_again, object_mask
from dnnlib.errors import UserError
from editing.dragging import DragOptions, drag
from editing.registration import registration_of_model
from training.layouts.registration import positions
from training.sampling import Model

NEARNESS = (0.15, 0.1, 0.05, 0.03)  # of the image's size
EDGE = 0.9  # points and targets stay within +-EDGE
SMALLEST, LARGEST = 0.02, 0.5  # of the picture, an object
TRIES = 1000  # directions for a point
FAST_LR = 0.1  # at which "latent" comes nearest, of those tried on ten of the drags
WAYS = {
    "latent": DragOptions("latent"),
    "latent, fast": DragOptions("latent", lr=FAST_LR),
    "alternate": DragOptions("alternate"),
    "hybrid": DragOptions("hybrid"),
}
PAIRS = [("alternate", "latent"), ("hybrid", "latent"), ("hybrid", "latent, fast")]

Place = tuple[float, float]


@dataclass(frozen=True)
class Task:
    """One drag: of what is at `start` in the picture of a seed to `target`."""

    seed: int
    start: Place
    target: Place


@dataclass(frozen=True)
class Way:
    """What a drag went through: distances in parts of the image's size and seconds since its beginning, step by step.

    The first is that of the picture as it was. seen: the last distance as the pixels say it.
    """

    distances: list[float]
    seconds: list[float]
    seen: float = math.nan

    @property
    def nearest(self) -> float:
        return min(self.distances)

    @property
    def comes_nearer(self) -> bool:
        return self.nearest < self.distances[0]

    def until(self, distance: float) -> tuple[int, float]:
        """Steps and seconds until it had come so near, which it has."""
        step = next(i for i, each in enumerate(self.distances) if each <= distance)
        return step, self.seconds[step]


def tasks(model: Model, count: int, share: float, anywhere: bool = False) -> list[Task]:
    """Of the first seeds with an object that has room; the same for every mode and on every call."""
    stream, found = torch.Generator().manual_seed(0), list[Task]()
    for seed in range(10 * count):
        if (task := _task(model, seed, share, anywhere, stream)) is not None:
            found.append(task)
        if len(found) == count:
            return found
    raise UserError(f"only {len(found)} of {10 * count} pictures have an object that can be dragged so far")


def _task(model: Model, seed: int, share: float, anywhere: bool, stream: torch.Generator) -> Task | None:
    mask = object_mask(_picture(model, seed))
    if not SMALLEST <= mask.float().mean() <= LARGEST:
        return None
    axis = positions(mask.shape[1], registration_of_model(model), torch.empty(0))
    rows, columns = mask.nonzero().T
    pixel = int(_uniform(stream) * len(rows))
    start = axis[columns[pixel]].item(), axis[rows[pixel]].item()
    reach = [(values.min().item(), values.max().item()) for values in (axis[columns], axis[rows])]
    for _ in range(TRIES):
        target = _around(*start, 2 * share, _uniform(stream))
        ends = zip(start, target, reach, strict=True)
        is_whole = all(low + to - here >= -1 and high + to - here <= 1 for here, to, (low, high) in ends)
        if max(map(abs, (*start, *target))) <= EDGE and (anywhere or is_whole):
            return Task(seed, start, target)
    return None


def _picture(model: Model, seed: int) -> Tensor:
    """[C, R, R] within [-1, 1]."""
    return model.images([seed])[0].clamp(-1, 1).cpu()


def _around(x: float, y: float, radius: float, turn: float) -> Place:
    return x + radius * math.cos(2 * math.pi * turn), y + radius * math.sin(2 * math.pi * turn)


def _uniform(stream: torch.Generator) -> float:
    return torch.rand([], generator=stream).item()


def go(model: Model, task: Task, options: DragOptions) -> Way:
    """Drag until it ends by itself."""
    layout = model.layout([task.seed])
    ws, side = model.styles([task.seed], layout=layout), model.config.generator.img_resolution
    distances, seconds, start = [], [], time.perf_counter()
    for step in drag(model, ws, layout, [(task.start, task.target)], None, options):
        distances.append(step.mean_distance / side)
        seconds.append(time.perf_counter() - start)
    return Way(distances, seconds, _seen(model, task, step.image[0].clamp(-1, 1).cpu()))


def _seen(model: Model, task: Task, after: Tensor) -> float:
    """How far from its target the point is in a picture, as its pixels say, in parts of the image's size."""
    before = _picture(model, task.seed)
    place = found_again(before, after, task.start, object_mask(before), registration_of_model(model))
    return math.dist(place, task.target) / 2


@dataclass(frozen=True)
class Pair:
    """Of one drag: steps and seconds of one way until a distance, and another's until the same one."""

    steps: int
    seconds: float
    base_steps: int
    base_seconds: float

    @classmethod
    def at(cls, distance: float, way: Way, base: Way) -> "Pair":
        return cls(*way.until(distance), *base.until(distance))


def at_equal_distance(ways: Sequence[Way], base: Sequence[Way]) -> list[Pair]:
    """Of the drags in which both came nearer: at the nearest that both came."""
    both = zip(ways, base, strict=True)
    return [Pair.at(max(a.nearest, b.nearest), a, b) for a, b in both if a.comes_nearer and b.comes_nearer]


def where_both_came(distance: float, ways: Sequence[Way], base: Sequence[Way]) -> list[Pair]:
    """Of the drags in which both came so near."""
    both = zip(ways, base, strict=True)
    return [Pair.at(distance, a, b) for a, b in both if max(a.nearest, b.nearest) <= distance]


def ratios(pairs: Sequence[Pair]) -> dict[str, Series]:
    """Of each drag, the share of the other's steps and seconds. Drags differ, so no median is asked to be stable."""
    return {
        "share of steps": Series.of("ratio", [each.steps / each.base_steps for each in pairs], judged=False),
        "share of time": Series.of("ratio", [each.seconds / each.base_seconds for each in pairs], judged=False),
    }


def means(pairs: Sequence[Pair]) -> dict[str, float]:
    """{"drags": how many, of each field of Pair its mean}; without drags nothing but their number."""
    names = [each.name for each in fields(Pair)] if pairs else []
    return {"drags": len(pairs)} | {name: statistics.mean(getattr(each, name) for each in pairs) for name in names}


def measure(run: Run, model: Model, given: list[Task], ways: Mapping[str, DragOptions]) -> Findings:
    """Of each way to drag: final distances, steps and seconds of all drags; of PAIRS what one takes of the other's."""
    run.progress.expect(len(given) * len(ways))
    go(model, given[0], replace(ways["latent"], max_steps=3))  # what is slow the first time
    gone: dict[str, list[Way]] = {name: [] for name in ways}
    for task in given:
        for name, options in ways.items():
            with run.progress.doing(name):
                gone[name].append(go(model, task, options))
    return findings(gone)


def findings(gone: Mapping[str, Sequence[Way]]) -> Findings:
    """Of each way to drag all that was gone, the same drags in the same order."""
    series = {name: _summary(each) for name, each in gone.items()}
    facts: dict[str, Any] = {name: _facts(each) for name, each in gone.items()}
    lines = [_line(name, facts[name]) for name in gone]
    for name, base in PAIRS:
        both, pairs = f"{name} to {base}", at_equal_distance(gone[name], gone[base])
        near = {f"{each:g}": means(where_both_came(each, gone[name], gone[base])) for each in NEARNESS}
        facts[both] = {"equal distance": means(pairs)} | near
        if pairs:
            series[f"{both}, at equal distance"] = ratios(pairs)
        lines += [f"{both}, {_words(where)}: {_compared(each)}" for where, each in facts[both].items() if each["drags"]]
    return Findings(series, facts=facts, lines=lines)


def _summary(ways: Sequence[Way]) -> dict[str, Series]:
    return {
        "final distance": Series.of("of the image", [way.nearest for way in ways], judged=False),
        "as seen": Series.of("of the image", [way.seen for way in ways], judged=False),
        "steps": Series.of("steps", [len(way.distances) - 1 for way in ways], judged=False),
        "time": Series.of("s", [way.seconds[-1] for way in ways], judged=False),
    }


def _facts(ways: Sequence[Way]) -> dict[str, Any]:
    """Means and medians of these drags, and the shares of them that came within distances."""
    near, seen = [way.nearest for way in ways], [way.seen for way in ways]
    return {
        "distance": {"mean": statistics.mean(near), "median": statistics.median(near)},
        "seen": {"mean": statistics.mean(seen), "median": statistics.median(seen)},
        "within": {f"{each:g}": _share(near, each) for each in NEARNESS},
        "seen_within": {f"{each:g}": _share(seen, each) for each in NEARNESS},
        "steps": statistics.mean(len(way.distances) - 1 for way in ways),
        "seconds": statistics.mean(way.seconds[-1] for way in ways),
    }


def _share(distances: Sequence[float], distance: float) -> float:
    return sum(each <= distance for each in distances) / len(distances)


def _line(name: str, facts: dict[str, Any]) -> str:
    distance, seen = facts["distance"], facts["seen"]
    within = ", ".join(f"{share:.0%} within {each}" for each, share in facts["within"].items())
    return (
        f"{name}: mean final distance {distance['mean']:.4f} of the image (median {distance['median']:.4f}), {within}; "
        f"as the pixels say {seen['mean']:.4f} ({seen['median']:.4f}), {facts['seen_within']['0.03']:.0%} within 0.03; "
        f"{facts['steps']:.1f} steps, {facts['seconds']:.2f} s a drag"
    )


def _words(where: str) -> str:
    return where if where == "equal distance" else f"within {where}"


def _compared(mean: dict[str, float]) -> str:
    return (
        f"{mean['steps']:.1f} steps to {mean['base_steps']:.1f}, {mean['seconds']:.2f} s to "
        f"{mean['base_seconds']:.2f}, means of {mean['drags']} drags"
    )


def answer(run: Run, network: str, share: float, anywhere: bool, max_steps: int) -> Findings:
    """Raises UserError for a model without centers that could be dragged."""
    model = Model.load(network, run.device)
    if not model.is_layout_conditioned or model.G.takes_layout_in_latent:
        raise UserError(f"{network}: this model has no heatmap centers to drag")
    run.begin()
    given = tasks(model, run.rounds, share, anywhere)
    return measure(run, model, given, {name: replace(each, max_steps=max_steps) for name, each in WAYS.items()})
