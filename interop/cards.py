"""The card beside an exported model: README.md, with what it was trained on, what was measured, and a steering strip.

The lines between --- at its head are what the hub reads. Nothing in it is invented: what is not known says so.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from dnnlib.errors import UserError
from dnnlib.files import make_dir, read_lines, write_text
from dnnlib.json_files import read_json
from interop.description import conditions, layout_prior
from training.pictures.grids import image_grid, moving_strip, save_png
from training.sampling import Model

CARD, STRIP = "README.md", "steering.png"
SEEDS, FRAMES = (0, 1, 2, 3), 9
UNKNOWN = "not known"
LONGEST_LICENSE = 100
# What the hub calls a model, by what its pictures are made of; it has no name for models of classes.
PIPELINES = {"nothing": "unconditional-image-generation", "text": "text-to-image", "label-map": "image-to-image"}


def write_card(
    model: Model,
    folder: Path,
    license_name: str,
    snapshot: Path | None = None,
    files: Sequence[str] = (),
    use: str | None = None,
) -> Path:
    """Write README.md and the strip into `folder`.

    snapshot: the model's file; beside it are data.json and metric-*.jsonl of a run, or what says where it is from.
    use: Python that makes a picture of `files`; None: of a snapshot.
    """
    check_license(license_name)
    make_dir(folder)
    save_png(folder / STRIP, strip(model))
    write_text(folder / CARD, card(model, license_name, snapshot, files, use))
    return folder / CARD


def check_license(name: str) -> None:
    """Raises UserError unless it is a name that fits in a line of a card; "" is none."""
    if len(name) > LONGEST_LICENSE or not name.isprintable():
        raise UserError(f"--license has a name of one line and at most {LONGEST_LICENSE} characters, such as cc-by-4.0")


def card(
    model: Model, license_name: str, snapshot: Path | None = None, files: Sequence[str] = (), use: str | None = None
) -> str:
    """The text of a card; arguments as for write_card."""
    config, G = model.config, model.config.generator
    run_dir = None if snapshot is None else snapshot.parent
    steered = "A row a latent, its level-0 centre moved from left to right." if _moves(model) else "Four latents."
    parts = [
        f"---\n{yaml.safe_dump(_head(model, license_name), sort_keys=False)}---\n",
        f"# {config.name}\n",
        f"A generator of {G.img_resolution}x{G.img_resolution} images, method {config.method}{_origin(snapshot)}.\n",
        f"![{steered}]({STRIP})\n\n*{steered}*\n",
        _table("Training", _training(model, run_dir)),
        _table("Networks", _networks(model)),
        _measurements(snapshot),
        f"## Use\n\n```python\n{_use(model) if use is None else use}```\n",
        _files(files),
        f"## Licence\n\n{license_name or UNKNOWN}. The images that it was trained on may set limits of their own.\n",
    ]
    return "\n".join(part for part in parts if part)


def _origin(snapshot: Path | None) -> str:
    """Who trained it, as far as that is known: what was converted has a file that names its source."""
    if snapshot is None:
        return ""
    about = _json_of(snapshot.parent, f"{snapshot.stem}.json")
    if isinstance(about.get("source"), str) and isinstance(about.get("sha256"), str):
        return f", converted by SteerGAN from `{about['source']}` (SHA-256 {about['sha256']})"
    return ", trained by SteerGAN" if (snapshot.parent / "stats.jsonl").is_file() else ""


def strip(model: Model) -> np.ndarray:
    """Pixels of a centre that moves, a row a seed; of a model that takes no layout, some pictures."""
    if not _moves(model):
        return image_grid(model.images(SEEDS, labels=model.labels_in_turn(len(SEEDS))), len(SEEDS))
    return np.concatenate([_moving(model, seed) for seed in SEEDS])


def _moves(model: Model) -> bool:
    """Whether a centre can be moved while the styles stay."""
    return model.is_layout_conditioned and not model.G.takes_layout_in_latent


def _moving(model: Model, seed: int) -> np.ndarray:
    start, labels = model.layout([seed]), model.labels_in_turn(1)
    assert start is not None, "only a model that takes layouts has centers to move"
    dx = torch.linspace(-0.6, 0.6, FRAMES) - start.centers[0][0, 0, 0].cpu()
    layout = start.repeat(FRAMES).moved(0, 0, dx, 0.0)
    images = model.images([seed] * FRAMES, ws=model.styles([seed], labels=labels), layout=layout)
    return moving_strip(images, layout)


def _head(model: Model, license_name: str) -> dict[str, Any]:
    config = model.config
    tags = dict.fromkeys(["gan", config.generator.backbone, "image-generation", config.method])
    condition = config.data.condition if config.generator.c_dim else "nothing"
    pipeline = {"pipeline_tag": PIPELINES[condition]} if condition in PIPELINES else {}
    return {"library_name": "steergan", "license": license_name or "unknown", "tags": list(tags)} | pipeline


def _training(model: Model, run_dir: Path | None) -> dict[str, str]:
    config, data = model.config, _json_of(run_dir, "data.json")
    return {
        "images shown": f"{model.kimg:,g} thousand" if model.kimg else UNKNOWN,
        "data": Path(config.data.path).name if config.data.path != "unknown" else UNKNOWN,
        "training images": f"{data['images']:,}" if isinstance(data.get("images"), int) else UNKNOWN,
        "resize filter of the data": str(data.get("filter", UNKNOWN)),
        "mirrored": "yes" if config.data.mirror else "no",
        "augmentation": "none" if config.augment.mode == "noaug" else config.augment.mode,
        "batch": str(config.schedule.batch_size),
        "seed": str(config.seed),
    }


def _networks(model: Model) -> dict[str, str]:
    G = model.config.generator
    return {
        "numbers in the generator": f"{sum(each.numel() for each in model.G.state_dict().values()):,}",
        "z, w": f"{G.z_dim}, {G.w_dim}",
        "conditions": conditions(model.config) or "none",
        "layout prior": layout_prior(model.config),
    }


def _measurements(snapshot: Path | None) -> str:
    """Each metric's newest result of this file, with what it takes to repeat it."""
    files = [] if snapshot is None else sorted(snapshot.parent.glob("metric-*.jsonl"))
    rows = [row for path in files for row in _newest(_of(snapshot, read_lines(path)))]
    if not rows:
        return "## Measurements\n\nNone are known.\n"
    head = ["## Measurements", "", "| metric | value | of | provenance |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


def _of(snapshot: Path | None, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the results of other files of the same folder; old results do not say whose they are."""
    return [line for line in lines if snapshot is None or line.get("snapshot", snapshot.name) == snapshot.name]


def _newest(lines: list[dict[str, Any]]) -> list[str]:
    if not lines or not isinstance(lines[-1].get("results"), dict):
        return []
    last = lines[-1]
    names = [*(key for key in last if key.startswith("num_")), "seed", "data_hash", "layout_prior", "version"]
    told = {key: last[key] for key in names if key in last}
    told |= {"trunc": last["trunc"]} if last.get("trunc", 1) != 1 else {}
    told |= {"layout_sha256": last["layout_sha256"]} if last.get("layout_sha256") else {}
    extractor = last.get("extractor")
    told |= {"extractor": extractor} if extractor else {}
    where = f"{last['kimg']:g} kimg" if isinstance(last.get("kimg"), int | float) else UNKNOWN
    provenance = json.dumps(told).replace("|", "\\|")
    return [f"| {name} | {_value(value)} | {where} | `{provenance}` |" for name, value in last["results"].items()]


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else UNKNOWN


def _use(model: Model) -> str:
    layout = ", layout=model.layout([7]).moved(level=0, index=0, dx=0.3, dy=0)" if model.is_layout_conditioned else ""
    config = model.config
    by_class = config.generator.c_values == 0 and not config.data.label_examples
    labels = f", labels={0 if by_class else 'model.labels_in_turn(1)'}" if config.generator.c_dim else ""
    return (
        "from training.sampling import Model  # pip install steergan\n\n"
        'model = Model.load("hf://OWNER/NAME")  # or the .safetensors file\n'
        f"images = model.images([7]{labels}{layout})  # [1, C, R, R], about [-1, 1]\n"
    )


def _files(files: Sequence[str]) -> str:
    return "## Files\n\n" + "\n".join(f"- `{name}`" for name in files) + "\n" if files else ""


def _table(title: str, rows: dict[str, str]) -> str:
    lines = [f"| {name} | {value.replace('|', '/')} |" for name, value in rows.items()]
    return f"## {title}\n\n| | |\n| --- | --- |\n" + "\n".join(lines) + "\n"


def _json_of(run_dir: Path | None, name: str) -> dict[str, Any]:
    """An object in a JSON file of a run; empty where there is none that can be read."""
    if run_dir is None or not (run_dir / name).is_file():
        return {}
    try:
        found = read_json(run_dir / name)
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}
