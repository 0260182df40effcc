"""A model to give away: weights as float16, measured as they are shipped, with a card and a picture.

    python -m experiments.ship --network=runs/00000-faces32 --name=faces32 --data=data/faces32.zip \\
        --about="Toy faces" --licence="Apache-2.0, as this project" --machine="two cores with AVX-512"

Writes models/NAME.safetensors, models/NAME.md (the card) and models/NAME.png (16 samples, then moving centers).
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from dnnlib.cli import FILE, Command, option
from dnnlib.errors import UserError
from dnnlib.files import make_dir, read_lines, write_text
from experiments.evidence import MISSING

ROOT = Path(__file__).parents[1]
LIMIT = 4 * 10**6  # bytes of a file
TIME_LIMIT = 3600  # seconds of measuring one metric
QUALITY = ("rfd2k_full", "rmind5k_full")
SINGLE, SEVERAL = ("centroid_co_move", "locality", *QUALITY), ("co_move1k", "locality", *QUALITY)
SAMPLES = range(16)


@click.command(cls=Command)
@option("--network", required=True, type=FILE, metavar="PATH", help="A run directory, or a snapshot in one.")
@option("--name", required=True, help="Name of the model's files.")
@option("--data", required=True, type=FILE, help="The images it was trained on.")
@option("--about", required=True, help="What the images are and how they were made, in a sentence.")
@option("--licence", required=True, help="Under which terms data and model may be used.")
@option("--machine", required=True, help="What it was trained on, in a few words.")
@option("--outdir", type=FILE, default=Path("models"), show_default=True, help="Folder to write.")
def main(network: Path, name: str, data: Path, about: str, licence: str, machine: str, outdir: Path) -> None:
    """Write a model with its card and picture."""
    from training.runs.shipped import save_shipped
    from training.runs.snapshot import open_snapshot

    snapshot = open_snapshot(network)
    encoding = snapshot.config.generator.encoding
    if encoding is None:
        raise UserError(f"{network}: this model takes no layout, and what is measured and shown here is steering")
    path = make_dir(outdir) / f"{name}.safetensors"
    save_shipped(path, snapshot)
    if path.stat().st_size > LIMIT:
        raise UserError(f"{path}: {path.stat().st_size / 1e6:.1f} MB, and shipped models have {LIMIT / 1e6:g} at most")
    draw(path, outdir / f"{name}.png")
    measured = measure(path, data, SINGLE if len(encoding.counts) > 1 else SEVERAL)
    past = history(snapshot.path.parent, snapshot.kimg) | {"machine": machine}
    text = card(name, about, licence, past, measured, path.stat().st_size)
    write_text(outdir / f"{name}.md", text)
    click.echo(text)


def draw(path: Path, target: Path) -> None:
    """Samples, beside pictures whose first center moves."""
    from training.pictures.grids import image_grid, save_png, side_by_side, steering_grid
    from training.sampling import Model

    model = Model.load(path, "cpu")
    samples = image_grid(model.images(list(SAMPLES)), columns=4)
    save_png(target, side_by_side([samples, steering_grid(model, [0, 1, 2, 3])]))


def measure(path: Path, data: Path, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
    """The results of calc_metrics.py. Raises UserError when it fails."""
    words = [str(ROOT / "calc_metrics.py"), f"--network={path}", f"--data={data}", f"--metrics={','.join(metrics)}"]
    done = subprocess.run([sys.executable, *words, "--json", "--no-save", "--device=cpu"], timeout=TIME_LIMIT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode != 0:
        raise UserError(f"calc_metrics.py failed: {done.stderr.strip().splitlines()[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def history(run_dir: Path, kimg: float) -> dict[str, Any]:
    """The command that trained a network, its commit, and the seconds of training up to `kimg`."""
    readme = (run_dir / "README.txt").read_text(encoding="utf-8")
    found = {"command": r"^    python (train\.py .*)$", "commit": r"^with commit ([0-9a-f]+)"}
    texts = {key: re.search(pattern, readme, re.MULTILINE) for key, pattern in found.items()}
    spent = [line["seconds/training"] for line in read_lines(run_dir / "stats.jsonl") if line["kimg"] <= kimg + 0.01]
    return {key: match and match[1] for key, match in texts.items()} | {"kimg": kimg, "seconds": spent[-1]}


def card(name: str, about: str, licence: str, past: dict[str, Any], measured: list[dict[str, Any]], size: int) -> str:
    """What there is to know about a model, as Markdown."""
    command = "a command that is not known"
    if past["command"] is not None:
        command = f"`python {without_folders(past['command'])}`"
    values = {key: value for each in measured for key, value in each["results"].items()}
    rows = [f"| {key} | {MISSING if value is None else format(value, '.3f')} |" for key, value in values.items()]
    return f"""# {name}

![Samples, and centers moving from left to right and from top to bottom]({name}.png)

- Data: {about}
- Trained with {command}, commit {(past["commit"] or "unknown")[:9]}, one seed.
- {past["kimg"]:g} thousand images in {past["seconds"]:.0f} s on {past["machine"]}.
- Weights: G_ema and D as float16, {size / 1e6:.1f} MB. Load it with `Model.load("models/{name}.safetensors")`, or
  give it to any `--network`.
- Licence: {licence}

Measured on the file as it is (`calc_metrics.py`, seed 0; `locality` is the change outside of what is moved over that
inside, `_level1` and `_level2` where a part is moved; `rmind` is MIND on random features):

| metric | value |
| --- | --- |
{chr(10).join(rows)}
"""


def without_folders(command: str) -> str:
    """The command with bare names in place of absolute paths."""
    return shlex.join(re.sub(r"=/(?:[^/]+/)*", "=", word) for word in shlex.split(command))


if __name__ == "__main__":
    main()
