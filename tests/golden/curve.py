"""Golden training curves: losses, scores and weights of short runs, step by step.

    python -m tests.golden.curve                     # write tests/golden/data/curve.json anew
    python -m tests.golden.curve --float32 a.json    # in float32, to compare two versions of the code on one machine

The golden runs compute in float64, where processors are 2e-12 apart after all steps. In float32 scores are 0.03 apart
after sixteen, as rounding grows from step to step.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from dnnlib.files import write_json
from tests.precision import float64
from tests.training.data_samples import write_zip
from training.config import RunConfig
from training.loop import train
from training.presets.resolve import DataFacts, Options, resolve
from training.runs.snapshot import find_snapshot

GOLDEN = Path(__file__).parent / "data" / "curve.json"
PICTURES, RESOLUTION, BATCH = 16, 32, 4
CLASSES = 2

COMMON = (
    "networks.channel_base=128",
    "networks.channel_max=8",
    "schedule.metrics=[]",
    f"schedule.batch_size={BATCH}",
    f"schedule.batch_gpu={BATCH}",
    f"schedule.kimg_per_tick={BATCH / 1000}",  # a tick a step
    "schedule.snapshot_ticks=1000000",  # only at the end
    "hardware.device=cpu",
)
SMALL = ("generator.z_dim=16", "generator.w_dim=16", "data.workers=0")
GENTLE = ("optimizers.lr=0.0025", "loss.r1_gamma=0.1")  # the curves are older than the demo's present rates
NARROW = ("generator.encoding.hidden_channels=8",)
EVERYTHING = (
    "optimizers.reg_interval=4",
    "loss.move_weight=0.1",
    "loss.move_interval=4",
    "augment={mode: ada, p: 0.5, interval: 2, kimg: 0.1}",
    "schedule.batch_gpu=2",
)


class Short(NamedTuple):
    """A short run: base configuration, method, how many steps, and what else is set."""

    cfg: str
    method: str
    steps: int
    settings: tuple[str, ...] = ()
    labels: bool = False


RUNS = {
    "demo": Short("demo", "spatialgan", 64, (*GENTLE, *NARROW)),
    "every phase": Short("paper256", "spatialgan", 10, (*SMALL, *NARROW, *EVERYTHING), labels=True),
    "objects": Short("demo", "spatialgan-indoor", 6, (*GENTLE, *NARROW)),
    "eqgan-sa": Short("paper256", "eqgan-sa", 4, (*SMALL, *NARROW)),
    "stylegan2": Short("stylegan2", "stylegan2", 6, SMALL),
    "sndcgan": Short("sndcgan", "spatialgan", 6, ("data.workers=0",), labels=True),
}


def record(name: str) -> dict[str, list[float]]:
    """Train RUNS[name]: {what: its value at every step where it was measured}.

    The last values, "|G|", "|D|" and "|G_ema|", are the Euclidean norms of all the weights after the last step.
    """
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        run_dir.mkdir()
        train(_config(name, _data(Path(folder))), run_dir)
        lines = [json.loads(line) for line in (run_dir / "stats.jsonl").read_text().splitlines()]
        return _by_name(lines) | _norms(load_file(find_snapshot(run_dir)))


def record_all() -> dict[str, dict[str, list[float]]]:
    """{run: record(run)}"""
    return {name: record(name) for name in RUNS}


def _config(name: str, data: Path) -> RunConfig:
    run = RUNS[name]
    settings = (*COMMON, f"schedule.total_kimg={run.steps * BATCH / 1000}", *run.settings)
    facts = DataFacts("golden", RESOLUTION, 3, PICTURES, CLASSES if run.labels else 0)
    options = Options(data=str(data), cfg=run.cfg, method=run.method, cond=run.labels, settings=settings)
    return resolve(options, facts)


def _data(folder: Path) -> Path:
    files = {f"{number:02d}.png": _scene(number) for number in range(PICTURES)}
    labels = [[name, number % CLASSES] for number, name in enumerate(files)]
    return write_zip(folder / "scenes.zip", files, {"labels": labels})


def _scene(seed: int) -> Image.Image:
    """A rectangle of one color before another, made of whole numbers only."""
    draw = np.random.default_rng(seed).integers
    left, top = draw(0, RESOLUTION - 12, size=2)
    width, height = draw(6, 13, size=2)
    pixels = np.empty((RESOLUTION, RESOLUTION, 3), dtype=np.uint8)
    pixels[:] = draw(0, 256, size=3)
    pixels[top : top + height, left : left + width] = draw(0, 256, size=3)
    return Image.fromarray(pixels)


def _by_name(lines: list[dict[str, float]]) -> dict[str, list[float]]:
    names = sorted({name for line in lines for name in line if not name.startswith(("kimg", "time", "se", "sp"))})
    return {name: [_rounded(line[name]) for line in lines if name in line] for name in names}


def _norms(tensors: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    networks = sorted({name.partition(".")[0] for name in tensors})
    squares = {n: sum(t.double().square().sum() for k, t in tensors.items() if k.startswith(f"{n}.")) for n in networks}
    return {f"|{network}|": [_rounded(float(square) ** 0.5)] for network, square in squares.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--float32", type=Path, metavar="FILE", help="train in float32, and write the curves here")
    chosen = parser.parse_args().float32
    torch.set_num_threads(1)
    if chosen is not None:
        write_json(chosen, record_all())
        return
    with float64():
        write_json(GOLDEN, record_all())


if __name__ == "__main__":
    main()
