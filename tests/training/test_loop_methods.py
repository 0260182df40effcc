"""Every kind of method goes through the loop, and a run continued from its checkpoint is the uninterrupted one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.data_samples import picture, write_zip
from training.config import RunConfig
from training.data.ground_truth import encode_mask
from training.loop import train
from training.presets.planning import look_at
from training.presets.resolve import Options, condition_of, resolve
from training.runs.checkpoint import checkpoint_path
from training.runs.directory import create, find
from training.sampling import Model

pytestmark = pytest.mark.usefixtures("few_samples")

TINY = (
    "networks.channel_base=128", "networks.channel_max=8", "generator.z_dim=8", "generator.w_dim=8",
    "generator.encoding.hidden_channels=8", "schedule.kimg_per_tick=0.016", "schedule.snapshot_ticks=1",
    "loss.move_weight=0.1", "loss.move_interval=1",
)  # fmt: skip
KINDS = {
    "objects": {"cfg": "demo", "method": "spatialgan-indoor"},
    "concatenated": {"cfg": "demo", "sel": "concat"},
    "flattened": {"cfg": "demo", "sel": "flatten"},
    "impulses": {"cfg": "demo", "sampler": "impulse"},
    "sndcgan": {"cfg": "sndcgan"},
    "biggan": {"cfg": "demo", "method": "biggan", "sel": "norm", "align": 1.0},
    "progan": {"cfg": "demo", "method": "progan", "sel": "norm", "align": 1.0, "settings": (
        *TINY, "growth.fade_kimg=0.004", "growth.stable_kimg=0.002")},
    "stylegan": {"cfg": "demo", "method": "stylegan", "sel": "norm", "align": 1.0, "settings": (
        *TINY, "growth.fade_kimg=0.004", "growth.stable_kimg=0.002", "generator.synthesis.use_noise=true")},
    "r3gan": {"cfg": "demo", "method": "r3gan", "sel": "norm", "align": 1.0},
    "spade": {"cfg": "demo", "method": "spade", "sel": "norm", "align": 1.0, "mirror": True},
    "stackgan": {"cfg": "demo", "method": "stackgan", "sel": "norm", "align": 1.0, "mirror": True, "settings": (
        *TINY, "growth.stable_kimg=0.006")},
}


SLOWER = ("concatenated", "flattened", "impulses")  # whose parts all have others beside them


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    names = [f"{number:02d}.png" for number in range(24)]
    files = {name: picture(number, 32) for number, name in enumerate(names)}
    about = {
        "scenes": {name: {"objects": [thing(number)]} for number, name in enumerate(names)},
        "captions": {name: f"a ball on the {'left' if number % 2 else 'right'}" for number, name in enumerate(names)},
    }
    return write_zip(tmp_path_factory.mktemp("data") / "noise.zip", files, about)


def thing(number: int) -> dict:
    mask = np.zeros([32, 32], dtype=bool)
    mask[number : number + 8, :16] = True
    return {"kind": ("ball", "cone")[number % 2], "center": [0.0, 0.0], "mask": encode_mask(mask)}


def configuration(data: Path, kimg: float, **options) -> RunConfig:
    given = Options(data=str(data), batch=8, kimg=kimg, workers=0, device="cpu", metrics="none", settings=TINY)
    options = Options(**{**vars(given), **options})
    return resolve(options, look_at(str(data), condition_of(options)))


def run(folder: Path, config: RunConfig) -> Path:
    path = create(find(folder, config), config)
    train(config, path)
    return path


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOWER else kind for kind in KINDS]
)
def test_a_continued_run_is_the_uninterrupted_one(kind: str, data: Path, tmp_path: Path):
    long, short = (configuration(data, kimg, **KINDS[kind]) for kimg in (0.016, 0.008))
    whole = run(tmp_path / "whole", long)
    parts = run(tmp_path / "parts", short)
    train(long, parts)
    expected, found = (load_file(checkpoint_path(path, 16)) for path in (whole, parts))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert expected["move_mean"] != 0
    images = Model.load(whole, "cpu").images([1, 2], labels=long.data.label_examples[:2] or None)
    assert images.isfinite().all()
    assert list(whole.glob("steer*.png"))
