"""How `experiments.directions` does it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import click
import torch
import yaml
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.files import make_dir, write_by, write_json, write_text
from dnnlib.json_files import read_json
from dnnlib.parsing import integer
from editing.latent.conditions import Condition, make_condition
from editing.latent.interface import Method, Pairs, draw_pairs, index_of, toward
from editing.latent.linear import correlation
from editing.latent.manipulation import TOLERANCE, Manipulation, example_of
from editing.latent.methods import make_method
from editing.latent.space import ModelSubject
from editing.latent.walking import WalkOptions
from experiments.steer import Results, cell, chosen_rows, known_results
from metrics.mds import CHANGED, curve_of
from training.sampling import Model

EDIT_STEPS = WalkOptions(max_steps=60, patience=20)


@dataclass(frozen=True)
class Study:
    """What a list says; rows: {name: (method, space, points of its curve)}.

    sums: {new attribute: {attribute: weight}}; they take the place of those that they are made of.
    """

    network: str
    condition: list[str]
    attributes: list[str]
    samples: int
    edits: int
    rows: dict[str, tuple[str, str, int]]
    sums: dict[str, dict[str, float]] = field(default_factory=dict)


def read_study(path: Path) -> Study:
    """Raises UserError when a file does not have the form of experiments/directions.yaml."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = {str(name): _row(row) for name, row in content.pop("rows").items()}
        return Study(**content, rows=rows)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not a study ({type(error).__name__}: {in_one_line(error, REASON)})") from error


def _row(said: dict[str, Any]) -> tuple[str, str, int]:
    return said["method"], said.get("space", "w"), integer(str(said["strengths"]))


def keep_to(path: Path, study: Study, results: Results) -> None:
    """Write down of what study a folder's results are. Raises UserError when they are of another one."""
    now = {**asdict(study), "rows": {name: list(row) for name, row in study.rows.items()}}
    before = read_json(path) if path.exists() and results else now
    if not isinstance(before, dict) or not isinstance(before.get("rows"), dict):
        raise UserError(f"{path}: no study; remove the folder, or name another --outdir")
    differ = [key for key in now if key != "rows" and before.get(key) != now[key]]
    differ += [f"row {row}" for row in results.keys() & now["rows"] if before["rows"].get(row) != now["rows"][row]]
    measured = (list(run["curves"]) for by_seed in results.values() for run in by_seed.values())
    if differ or any(names != study.attributes for names in measured):
        words = ", ".join(differ) or "attributes"
        raise UserError(f"{path.parent} has results of another study, in which {words} differ; name another --outdir")
    write_json(path, {**now, "rows": before["rows"] | now["rows"]})


class Sums:
    """A condition whose attributes are weighted sums of another's, and those of it that are in no sum."""

    def __init__(self, inner: Condition, sums: Mapping[str, Mapping[str, float]]):
        """Raises UserError for a sum of an attribute that there is not."""
        self.inner = inner
        summed = {part for parts in sums.values() for part in parts}
        rows = {name: {name: 1.0} for name in inner.names if name not in summed} | dict(sums)
        self.names = tuple(rows)
        self.weights = torch.zeros(len(rows), len(inner.names))
        for number, parts in enumerate(rows.values()):
            for name, weight in parts.items():
                self.weights[number, index_of(inner.names, name)] = weight

    def __call__(self, images: Tensor) -> Tensor:
        return self.inner(images) @ self.weights.T.to(images)


class Laboratory:
    """The model of a study with its condition, and the pairs of each seed, drawn once for all methods."""

    def __init__(self, study: Study, device: str):
        self.study, self.model = study, Model.load(study.network, device)
        measured = make_condition(study.condition, example_of(self.model))
        self.condition = Sums(measured, study.sums) if study.sums else measured
        self._drawn: dict[tuple[str, int], tuple[ModelSubject, Pairs]] = {}

    def pairs(self, space: str, seed: int) -> tuple[ModelSubject, Pairs]:
        """What is edited, with random latents and their conditions."""
        if (space, seed) not in self._drawn:
            subject = ModelSubject(self.model, self.condition, cast(Any, space))  # which looks whether there is one
            self._drawn[space, seed] = subject, draw_pairs(subject, self.study.samples, seed)
        return self._drawn[space, seed]

    def measure(self, row: str, seed: int) -> dict[str, Any]:
        """Curves of each attribute, and what came of edits to targets, of one row."""
        name, space, count = self.study.rows[row]
        subject, pairs = self.pairs(space, seed)
        strengths = WalkOptions(count, count + 1)
        manipulation = Manipulation(make_method(name, subject, pairs, strengths, stops=False), subject, pairs)
        curves = {}
        for attribute in self.study.attributes:
            index = subject.index(attribute)
            curve = curve_of(manipulation.scores(index, self.study.edits, seed), index)
            values = {"accuracy": curve.accuracy.tolist(), "disentanglement": curve.disentanglement.tolist()}
            curves[attribute] = {"mds": curve.area, **values}
        method = make_method(name, subject, pairs, EDIT_STEPS)
        return {"curves": curves, "edits": self.edits(manipulation, method, seed)}

    def edits(self, manipulation: Manipulation, method: Method, seed: int) -> dict[str, float | None]:
        """Success rate, mean steps of those that arrived, mean share of other attributes that did not change."""
        each = -(-self.study.edits // len(self.study.attributes))
        reached, steps, kept = [], [], []
        for attribute in self.study.attributes:
            index = manipulation.subject.index(attribute)
            points, start = manipulation.starts(index, each, seed)
            scale = manipulation.scale
            goal = torch.where(start[:, index] > scale.median[index], scale.low[index], scale.high[index])
            edit = method.edit(points, toward(start, {index: goal}, TOLERANCE * scale.deviation))
            changed = (scale.scores(manipulation.subject.measure(points.at(edit.values))) - scale.scores(start)).abs()
            others = [other for other in range(start.shape[1]) if other != index]
            reached.append(edit.reached)
            steps.append(edit.steps)
            kept.append(1 - (changed[:, others] > CHANGED).double().mean(1))
        return _summary(*map(torch.cat, (reached, steps, kept)))


def _summary(reached: Tensor, steps: Tensor, kept: Tensor) -> dict[str, float | None]:
    arrived = steps[reached].float()
    mean_steps = float(arrived.mean()) if len(arrived) else None
    success = float(reached.double().mean())
    return {"count": len(reached), "success": success, "steps": mean_steps, "kept": float(kept.mean())}


# ---- what is written


def table(study: Study, results: Results) -> str:
    """Markdown: MDS of each attribute and their mean, then what came of edits."""
    titles = ["method", "seeds", *study.attributes, "MDS, mean", "edits that arrived", "steps", "others unchanged"]
    lines = [titles, ["---"] * len(titles)]
    for row, by_seed in results.items():
        runs = list(by_seed.values())
        areas = zip(*(_areas(study, run) for run in runs), strict=True)
        edits = [[run["edits"][key] for run in runs] for key in ("success", "steps", "kept")]
        lines.append([row, str(len(runs)), *map(cell, [*areas, *edits])])
    return _markdown(lines)


def differences(study: Study, results: Results) -> str:
    """Markdown: MDS of the first row minus that of each other one, over the seeds that both have."""
    first, *others = results
    lines = [[f"{first} minus", "seeds", *study.attributes, "MDS, mean"]]
    lines.append(["---"] * len(lines[0]))
    for row in others:
        seeds = [seed for seed in results[first] if seed in results[row]]
        pairs = [(_areas(study, results[first][seed]), _areas(study, results[row][seed])) for seed in seeds]
        gaps = zip(*([a - b for a, b in zip(*pair, strict=True)] for pair in pairs), strict=True)
        lines.append([row, str(len(seeds)), *(cell(gap, digits=3) for gap in gaps)])
    return _markdown(lines)


def _areas(study: Study, run: dict[str, Any]) -> list[float]:
    """MDS of each attribute, then their mean."""
    each = [run["curves"][name]["mds"] for name in study.attributes]
    return [*each, sum(each) / len(each)]


def _markdown(lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plot(study: Study, results: Results, path: Path) -> None:
    """Curves of the first seed, a panel for each attribute."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    count = len(study.attributes)
    figure, panels = plt.subplots(1, count, figsize=(4 * count, 3.6), sharey=True, layout="constrained", squeeze=False)
    for panel, attribute in zip(panels[0], study.attributes, strict=True):
        for row, by_seed in results.items():
            curve = next(iter(by_seed.values()))["curves"][attribute]
            panel.plot([0, *curve["accuracy"]], [1, *curve["disentanglement"]], ".-", ms=4, lw=1, label=row)
        panel.set(title=attribute, xlabel="accuracy", xlim=(0, 1.02))
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("disentanglement")
    panels[0][0].legend(fontsize="x-small")
    write_by(path, lambda file: figure.savefig(file, dpi=110, format="png"))
    plt.close(figure)


def entanglement(laboratory: Laboratory, seed: int) -> str:
    """Markdown: Pearson's correlations of edited attributes with all others among random pictures."""
    subject, pairs = laboratory.pairs("w", seed)
    found = correlation(pairs.conditions, pairs.conditions)
    lines = [["correlation", *subject.names], ["---"] * (1 + len(subject.names))]
    for name in laboratory.study.attributes:
        row = subject.index(name)
        lines.append([name, *("" if i == row else f"{value:.2f}" for i, value in enumerate(found[row].tolist()))])
    return _markdown(lines)


def study(outdir: Path, path: Path, seeds: list[int], only: str | None, device: str) -> None:
    """What the command of this name does."""
    chosen = read_study(path)
    names = chosen_rows(chosen.rows, only, separator=";")
    known = make_dir(outdir) / "results.json"
    results = known_results(known)
    keep_to(outdir / "study.json", chosen, results)
    laboratory = Laboratory(chosen, device)
    for seed in seeds:  # half a table with one seed says more than a part of it with all
        for row in names:
            if str(seed) not in results.setdefault(row, {}):
                results[row][str(seed)] = laboratory.measure(row, seed)
                write_json(known, results)
                write_text(outdir / "table.md", f"{table(chosen, results)}\n{differences(chosen, results)}")
                plot(chosen, results, outdir / "curves.png")
    shown = [entanglement(laboratory, seeds[0]), table(chosen, results), differences(chosen, results)]
    click.echo("\n".join(shown), nl=False)
