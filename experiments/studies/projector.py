"""How `experiments.projector` does it."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from tqdm import tqdm

from dnnlib.downloads import sha256_of
from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_json
from dnnlib.words import counted
from editing.inversion import InversionOptions, Space, invert
from experiments.steer import known_results
from metrics.centroid_co_move import DIRECTIONS
from training.layouts.layout import Layout
from training.runs.snapshot import find_snapshot
from training.sampling import Model, to_uint8

NEAR = 0.03  # rms of pixels in [-1, 1]
NEAR_CENTER = 0.1  # of x and y, each in [-1, 1]
RESULTS = "results.json"  # {WITH or WITHOUT: {seed: {"settings": ..., "rms": ..., "errors": ..., "seconds": ...}}}
WITH, WITHOUT = "with centers", "without"

Record = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Of N pictures: rms [T, N] of every step that was taken, the last of which is the best of each picture; for each
    level the largest difference of a center's x or y, [N, levels]; seconds of all searches."""

    rms: Tensor
    errors: Tensor
    seconds: float

    def steps_until(self, rms: Tensor | float) -> Tensor:
        """The first step [N] whose rms is at most `rms`, a number or [N]; -1 where none is."""
        is_near = self.rms <= rms
        return torch.where(is_near.any(0), is_near.int().argmax(0), -1)


def outcome(records: list[Record]) -> Outcome:
    """Of pictures that were looked for one by one; what ended before others stays as it was."""
    most = max(len(record["rms"]) for record in records)
    rms = [record["rms"] + record["rms"][-1:] * (most - len(record["rms"])) for record in records]
    errors = torch.tensor([record["errors"] for record in records])
    return Outcome(torch.tensor(rms).T, errors, sum(record["seconds"] for record in records))


def search(model: Model, target: Tensor, true: Layout, options: InversionOptions, words: str) -> Record:
    """Look for one picture [1, C, R, R], whose layout is `true`."""
    begun, rms = time.perf_counter(), []
    for step in tqdm(invert(model, target, options), words, options.steps + 1, disable=None, leave=False):
        rms.append(step.rms.item())
    assert step.layout is not None  # that of a model which takes one
    has_objects = step.ws.ndim == 4  # a style for each: the same objects in another order make the same picture
    errors = [each.item() for each in center_errors(true, step.layout, has_objects)]
    return {"rms": rms, "errors": errors, "seconds": time.perf_counter() - begun}


def as_files(images: Tensor) -> Tensor:
    """Pictures with 256 values, as they come back from a file."""
    return to_uint8(images).float() / 127.5 - 1


def center_errors(true: Layout, found: Layout, in_any_order: bool = False) -> list[Tensor]:
    """For each level the largest difference of a center's x or y, [N]; in_any_order: to the centers that it fits."""
    pairs = zip(found.centers, true.centers, strict=True)
    placed = ((_in_order_of(b.cpu(), a.cpu()) if in_any_order else a.cpu(), b.cpu()) for a, b in pairs)
    return [(a - b).abs().amax((1, 2)) for a, b in placed]


def _in_order_of(centers: Tensor, others: Tensor) -> Tensor:
    """`others` [N, n, 2], of each picture in the order in which they are least far, in sum, from `centers`."""
    distances = (centers[:, :, None] - others[:, None]).abs().amax(3)  # [N, n, n]
    orders = [torch.from_numpy(linear_sum_assignment(each)[1]) for each in distances.numpy()]
    return torch.stack([picture[order] for picture, order in zip(others, orders, strict=True)])


def effects(model: Model, seeds: list[int], layout: Layout) -> list[Tensor]:
    """For each level the rms by which pictures change when one center moves by NEAR_CENTER to a side, [4 n N]."""
    ws = model.styles(seeds, layout=layout)

    def shown(places: Layout) -> Tensor:
        return model.images(seeds, ws=ws, layout=places).clamp(-1, 1)

    before, found = shown(layout), []
    for level, count in enumerate(layout.counts):
        moved = [_moved(layout, level, index, way) for index in range(count) for way in DIRECTIONS]
        found.append(torch.cat([(shown(each) - before).square().mean((1, 2, 3)).sqrt() for each in moved]).cpu())
    return found


def _moved(layout: Layout, level: int, index: int, way: tuple[float, float]) -> Layout:
    """One center alone, also of level 0, which takes others along in Layout.moved."""
    centers = [each.clone() for each in layout.centers]
    centers[level][:, index] += NEAR_CENTER * centers[level].new_tensor(way)
    return replace(layout, centers=tuple(centers))


def said(name: str, found: Outcome) -> str:
    reached, rms = found.steps_until(NEAR), found.rms[-1]
    steps = reached[reached >= 0]
    when = f"after {counted(int(steps.median()), 'step')} in the median" if len(steps) else "never"
    near = f"{len(steps)} of {len(rms)} within {NEAR} ({when})"
    return f"{name}: {near}; median rms {rms.median():.4f}; {found.seconds:.0f} s"


def compared(free: Outcome, fixed: Outcome) -> str:
    """The steps of both on the same pictures: those that both find, and all, until as near as `fixed` comes at all."""
    lines, nearest = [], fixed.rms[-1]
    for name, rms in ((f"within {NEAR}", NEAR), ("as near as without comes", nearest)):
        steps = torch.stack([each.steps_until(rms) for each in (free, fixed)])
        steps = steps[:, (steps >= 0).all(0)]
        lines.append(f"{name}, {counted(steps.shape[1], 'picture')} by both")
        if steps.shape[1]:
            (a, b), fewer = steps.median(1).values.tolist(), int((steps[0] < steps[1]).sum())
            medians = f": after {a} with centers, {b} without, in the median of steps"
            lines[-1] += f"{medians}; fewer with centers for {fewer}"
    return "\n".join(lines)


def summary(free: Outcome, fixed: Outcome, changes: list[Tensor]) -> Iterator[str]:
    """Lines on the same pictures, looked for with centers and without; `changes` as `effects` says."""
    yield said(WITH, free)
    for level, (errors, moved) in enumerate(zip(free.errors.T, changes, strict=True)):
        near = int((errors < NEAR_CENTER).sum())
        yield (
            f"  level {level}: centers of {near} within {NEAR_CENTER}, median error {errors.median():.3f}; moved so "
            f"far, one changes the picture by {moved.median():.4f} rms ({moved.min():.4f} to {moved.max():.4f})"
        )
    yield said(WITHOUT, fixed)
    yield compared(free, fixed)


def study(network: str, pictures: int, space: Space, num_steps: int, outdir: str) -> None:
    """What the command of this name does."""
    model, seeds = Model.load(network), list(range(pictures))
    true = model.layout(seeds)
    if true is None:
        raise UserError(f"{network}: this model takes no layout, so there are no centers to look for")
    target, free = as_files(model.images(seeds)), InversionOptions(space, num_steps)
    ways = {WITH: free, WITHOUT: replace(free, optimize_layout=False)}
    known, digest = make_dir(outdir) / RESULTS, sha256_of(find_snapshot(network))
    results = known_results(known)
    for seed in seeds:  # a picture in both ways, then the next: what there is can be compared
        for name, options in ways.items():
            settings = {"network": digest, **asdict(options)}
            if results.setdefault(name, {}).get(str(seed), {}).get("settings") != settings:
                found = search(model, target[seed : seed + 1], true[[seed]], options, f"seed {seed} {name}")
                results[name][str(seed)] = {"settings": settings, **found}
                write_json(known, results)
    with_centers, without = (outcome([results[name][str(seed)] for seed in seeds]) for name in ways)
    for line in summary(with_centers, without, effects(model, seeds, true)):
        click.echo(line)
