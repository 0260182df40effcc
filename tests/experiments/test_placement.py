"""What a generator scores whose objects lie where those of the data do."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm

from experiments.placement import STEP, follow, main
from metrics import centroid_co_move
from tests.training.data_samples import picture, write_zip
from training.choices import SamplerKind


def spread(width: float, count: int = 4000) -> np.ndarray:
    """Uniform in [-width, width], without chance."""
    return np.stack([width * (2 * (np.arange(count) + 0.5) / count - 1)] * 2, axis=1)


def test_objects_spread_like_centres_follow_all_the_way_up_to_the_last_place():
    assert follow(spread(0.5), spread(0.5), np.zeros([1, 2])) == pytest.approx(1, abs=0.002)
    # Of places in [-0.5, 0.5], those within 0.3 of the end come as far as the end.
    assert follow(spread(0.5), spread(0.5), spread(0.5)) == pytest.approx(0.7 + 0.3 / 2, abs=0.002)


def test_the_step_is_the_metrics():
    assert STEP == centroid_co_move.STEP


def test_objects_spread_half_as_far_make_half_of_the_moves():
    assert follow(spread(1), spread(0.5), np.zeros([1, 2])) == pytest.approx(0.5, abs=0.002)


def test_normal_centres_and_uniform_objects():
    """The map is the distribution function, so that the mean of a move by h from everywhere is known, too."""
    centers = np.stack([norm.ppf((np.arange(20000) + 0.5) / 20000, scale=0.33)] * 2, axis=1)
    assert follow(centers, spread(0.5), np.zeros([1, 2])) == pytest.approx(
        (norm.cdf(0.3 / 0.33) - 0.5) / 0.3, abs=0.002
    )
    assert follow(centers, spread(0.5), centers) == pytest.approx(
        (norm.cdf(0.3 / 0.33 / np.sqrt(2)) - 0.5) / 0.3, abs=0.002
    )


def test_the_command(tmp_path: Path):
    rng = np.random.default_rng(0)
    names = [f"{number:03d}.png" for number in range(300)]
    scenes = {name: {"objects": [{"kind": "ball", "center": rng.uniform(-0.5, 0.5, 2).tolist()}]} for name in names}
    data = with_scenes(tmp_path / "data.zip", names, scenes)
    result = CliRunner().invoke(main, ["--data", data, "--sampler=uniform", "--margin=0.5"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("300 objects, of a deviation of 0.2")
    found = dict(zip(["from_centre", "from_prior"], result.stdout.split()[-3::2], strict=True))
    assert float(found["from_centre"]) == pytest.approx(1, abs=0.1)
    assert float(found["from_prior"]) == pytest.approx(0.85, abs=0.05)


@pytest.mark.parametrize("sampler", get_args(SamplerKind))
def test_every_sampler_has_a_first_center(tmp_path: Path, sampler: str):
    scenes = {"000.png": {"objects": [{"kind": "ball", "center": [0.1, 0.2]}]}}
    data = with_scenes(tmp_path / "data.zip", ["000.png"], scenes)
    result = CliRunner().invoke(main, ["--data", data, f"--sampler={sampler}"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 objects, of a deviation of ")


def test_data_without_one_object_a_picture_is_refused(tmp_path: Path):
    thing = {"kind": "ball", "center": [0, 0]}
    for name, scenes, said in (
        ("two", {"a.png": {"objects": [thing, thing]}}, "does not have one object in each picture"),
        ("other", {"a.png": {"things": 3}}, "does not have one object in each picture"),
        ("none", {}, "has no ground truth; make it by dataset_tool.py toy or compose"),
    ):
        result = CliRunner().invoke(main, ["--data", with_scenes(tmp_path / f"{name}.zip", ["a.png"], scenes)])
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert said in result.stderr


def with_scenes(path: Path, names: list[str], scenes: dict) -> str:
    files = {name: picture(0, 8) for name in names}
    content = json.dumps({"labels": None, "scenes": scenes}).encode()
    return str(write_zip(path, {**files, "dataset.json": content}))
