"""What it takes to repeat the papers' tables: writes docs/reproduce.md from configs/tables and measured speeds.

    python -m benchmarks.train_step --res=256 --batch=64 --device=cuda --json=benchmarks/results/spatialgan.json
    python -m experiments.reproduce

Every steady report of benchmarks.train_step in benchmarks/results that was made on a GPU serves the rows whose
configuration is that of one of its two methods. A row without one says that its cost is not measured.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnlib.cli import FILE, Command
from dnnlib.files import write_text
from dnnlib.json_files import read_json
from dnnlib.words import counted
from training.presets.tables import Row
from training.presets.tables import rows as table_rows

if TYPE_CHECKING:  # they bring torch and pydantic, which take seconds
    from benchmarks.harness.report import Report
    from training.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reproduce.md"
RESULTS = ROOT / "benchmarks" / "results"
NOT_MEASURED = "not measured yet"
DATA = {
    "LSUN Cat": "--data=data/cat256.zip",
    "FFHQ": "--data=data/ffhq256.zip --mirror=1",
    "LSUN Church": "--data=data/church256.zip",
    "LSUN Bedroom": "--data=data/bedroom256.zip",
    "CIFAR-10": "--data=data/cifar10.zip",
    "CIFAR-10 --cond=1": "--data=data/cifar10.zip --cond=1",
}
RESOLUTIONS = {"paper256": 256, "sndcgan": 32}

HEADER = """# Repeating the papers' tables

<!-- Written by `python -m experiments.reproduce` from configs/tables; change those. -->

Every row of the tables is one in a file of `configs/tables`, a file a paper, and its name a `--method`:

```
python train.py --outdir=runs --data=data/cat256.zip --cfg=paper256 --gpus=8 --method=eqgan-4-concat
```

`python train.py ... --dry-run` prints all that a row decides. Rows of one paper that report one and the same model are
one configuration, and rows that a paper compares differ by what it says they differ by (a test compares them).
`python -m experiments.tables --table="EqGAN-SA, table 1" --data=data/cat256.zip --on="LSUN Cat"` trains and measures a
table, and prints what it reached beside the paper's numbers; it goes on where it was stopped. The numbers are the
papers' own; **none of them has been repeated here yet**: that takes GPU-weeks. The last column is what a row costs,
from seconds per image measured by `benchmarks.train_step` on a GPU and put into `benchmarks/results`; where it says
"{not_measured}", nobody has.

Until then, this is known: a training image of paper256 takes 402 GFLOP with stylegan2, 421 with spatialgan, 405 with
spatialgan-indoor and 709 with eqgan-sa (`--dry-run` counts them), so 25 million images take 10 to 18 EFLOP: 93 to 164
hours of a GPU that does 30 TFLOP/s throughout.

Data, as the papers take them, all at 256x256 (CIFAR-10 at 32x32):

| name here | images | command |
| --- | --- | --- |
| LSUN Cat | 200k | `{LSUN Cat}` |
| FFHQ | 70k, mirrored | `{FFHQ}` |
| LSUN Church | 126k | `{LSUN Church}` |
| LSUN Bedroom | 200k | `{LSUN Bedroom}` |
| CIFAR-10 | 50k | `{CIFAR-10}`, conditional with `--cond=1` |

They are made of what their authors give out, such as LSUN's folder `cat_lmdb` and CIFAR-10's archive for Python:

```
python dataset_tool.py --source=cat_lmdb --dest=data/cat256.zip --transform=center-crop --width=256 --height=256 \\
    --max-images=200000
python dataset_tool.py --source=cifar-10-python.tar.gz --dest=data/cifar10.zip
```

The columns are the metrics `fid50k_full`, `di`, `w`, `pr50k3_full` (Recall) and `co_move50k` of `calc_metrics.py`:

```
python calc_metrics.py --network=runs/00000-... --metrics=fid50k_full,di,w,pr50k3_full
```

What the papers leave open, and what is taken here:

- Rows of EqGAN-SA build on `eqgan-sa`, the released design (every layer takes the heatmaps, GradCAM of the loss, its
  sampler, neither path lengths nor style mixing: their baselines have neither, too). A second set, `eqgan-text-...`,
  builds on `eqgan-sa-paper`, the design that the text describes, with StyleGAN2's own settings. The text has one set
  of numbers for both.
- A layout that is not hierarchical has levels of the same laws as one that is, each around a center of its own
  (`released-non-hierarchical`); with the papers' sampler, around the middle of the image.
- Rows of SpatialGAN build on `spatialgan`, those with several objects on `spatialgan-indoor`. In table III, EqGAN-SA
  is `spatialgan` with fine heatmaps, as the text says what the difference is. Table I's first row is its second with
  the layouts of single objects; what was released is `eqgan-sa`. Its baseline has no heatmaps to move, so there is no
  row.
- Gaussian noise has the mean 0.5 and standard deviation 0.25, about the range of a heatmap.
- A flattened layout is the sums of its levels at 4x4, 8x8 and 16x16, 336 numbers beside the latent.
- The dilated kernel is 7x7 by 2. Objects have spreads of 0.1 to 0.5.
- SpatialGAN's table II is about editing, not training.
- SN-DCGAN is the "standard CNN" of Miyato et al. (2018) with the logistic loss, 100,000 steps of 64 images; each
  doubling of the generator has an encoding layer in front.

Ours, in no table and off by default: `--set loss.move_weight=...` regularises how fast pictures follow their centres
(phase G_move in `training/losses/phases.py`); the metric `locality` measures change where no centre moved.
"""


def gpu_hours(row: Row, reports: Iterable["Report"]) -> float | None:
    """GPU-hours of the whole training, from the newest report on a GPU that has this row's configuration, or None."""
    from benchmarks.measures.train_step import TRAINING_IMAGE

    wanted, found = _design(row.name, row.cfg), None
    for report in sorted(reports, key=lambda report: report.date):
        if report.machine.gpu is None or not _is_of(row, report):
            continue
        for subject, about in report.facts["methods"].items():
            if about["ops"] == "auto" and _design(about["method"], row.cfg) == wanted:
                seconds = report.series[subject][TRAINING_IMAGE].median
                found = seconds * _config(row.name, row.cfg).schedule.total_kimg * 1000 / 3600
    return found


def _is_of(row: Row, report: "Report") -> bool:
    """Whether configuration and size are the row's."""
    return (report.settings["cfg"], report.settings["res"]) == (row.cfg, RESOLUTIONS[row.cfg])


def _config(method: str, cfg: str) -> "RunConfig":
    from training.presets.resolve import DataFacts, Options, resolve

    facts = DataFacts("data", resolution=RESOLUTIONS[cfg], num_channels=3, size=1)
    return resolve(Options(data="data", cfg=cfg, method=method), facts)


def _design(method: str, cfg: str) -> dict[str, Any]:
    return _config(method, cfg).model_dump(exclude={"name", "method"})


def page(rows: list[Row], reports: list["Report"]) -> str:
    """docs/reproduce.md."""
    sections = [HEADER.format(not_measured=NOT_MEASURED, **DATA)]
    for title in dict.fromkeys(row.table for row in rows):
        sections.append(f"## {title}\n\n{table([row for row in rows if row.table == title], reports)}")
    return "\n".join(sections)


def table(rows: list[Row], reports: list["Report"]) -> str:
    """The rows of one table: a column for each data set and quantity."""
    columns = list(dict.fromkeys((data, name) for row in rows for data, found in row.paper.items() for name in found))
    heads = ["row", "options", *(f"{data}: {name}" for data, name in columns), "GPU-hours a run"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        numbers = [row.paper.get(data, {}).get(name) for data, name in columns]
        hours = gpu_hours(row, reports)
        cost = NOT_MEASURED if hours is None else f"{hours:.0f}"
        cells = ["" if number is None else f"{number:g}" for number in numbers]
        lines.append([row.label, f"`--cfg={row.cfg} --method={row.name}`", *cells, cost])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def read_reports(folder: Path) -> list["Report"]:
    """What benchmarks.train_step left in `folder`, as far as it is steady; [] where there is no such folder.

    Other benchmarks leave their reports there, too. Raises UserError when a file cannot be read.
    """
    from benchmarks.harness.report import read_report

    paths = [path for path in sorted(folder.glob("*.json")) if read_json(path).get("benchmark") == "train_step"]
    return [report for report in map(read_report, paths) if report.steady]


@click.command(cls=Command)
@click.option("--results", type=FILE, default=RESULTS, help="Folder of JSON files of benchmarks.train_step.")
@click.option("--page", "path", type=FILE, default=PAGE, help="Where to write it.")
def main(results: Path, path: Path) -> None:
    """Write docs/reproduce.md: commands, the papers' numbers, and what each row costs."""
    rows = list(table_rows().values())
    write_text(path, page(rows, read_reports(results)))
    click.echo(f"wrote {path}: {counted(len(rows), 'row')}")


if __name__ == "__main__":
    main()
