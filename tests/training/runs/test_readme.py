"""README.txt of a run: the command as it can be given again, the commit, and a word on every file of a run."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

import calc_metrics
import generate
import train
from tests.tiny_models import tiny_config
from training.runs import readme

ARGV = ["train.py", "--outdir=my runs", "--data=/data/a b.zip", "--set", "loss.pl_weight=0"]


def described(method: str = "spatialgan", run_dir: str = "runs/00000-x") -> str:
    return readme.describe(tiny_config(method), ARGV, Path(run_dir))


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line.startswith("    ")]


def test_the_command_can_be_given_again():
    assert commands(described())[0] == ["python", *ARGV]
    assert f"in the directory {Path.cwd()}" in described()


def test_a_run_begun_with_new_goes_on_without():
    assert "The same command goes on" in described()
    text = readme.describe(tiny_config(), [*ARGV, "--new"], Path("runs/00000-x"))
    assert "The command above without --new goes on" in text


@pytest.mark.parametrize("method", ["spatialgan", "stylegan2"])
def test_the_commands_have_options_that_exist(method):
    tools = {"train.py": train.main, "generate.py": generate.main, "calc_metrics.py": calc_metrics.main}
    seen = set()
    for _, tool, *arguments in (line for line in commands(described(method, "my runs/00000-x")) if line[0] == "python"):
        known = {name for option in tools[tool].params if isinstance(option, click.Option) for name in option.opts}
        options = [word.split("=")[0] for word in arguments if word.startswith("--")]
        assert set(options) <= known, tool
        seen.add(tool)
    assert seen == tools.keys()


def test_what_is_said_of_heatmaps_depends_on_the_method():
    assert "--centers=" in described("spatialgan")
    plain = described("stylegan2")
    for word in ("--centers", "heatmaps*.png", "steer*.png"):
        assert word not in plain


def test_a_run_directory_with_spaces_is_quoted():
    assert ["tensorboard", "--logdir=my runs/00000-x"] in commands(described(run_dir="my runs/00000-x"))


def test_every_file_that_loop_and_pictures_write_is_explained():
    patterns = [re.escape(name).replace(r"\*", ".*") for name in readme.FILES]
    for name in (
        "config.json", "log.txt", "stats.jsonl", "reals.png", "fakes000012.png", "heatmaps000012.png",
        "steer000012.png", "network-snapshot-000012.safetensors", "checkpoint-0000012000.safetensors",
        "metric-di.jsonl", "events.out.tfevents.1.host.2.0", "best.json", "nonfinite-D_main-0000012000.safetensors",
    ):
        assert sum(bool(re.fullmatch(pattern, name)) for pattern in patterns) == 1, name


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout_and_changes_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("a")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert readme.version() == f"commit {commit}"
    (tmp_path / "new.txt").write_text("no part of it")
    assert readme.version() == f"commit {commit}"
    (tmp_path / "a.txt").write_text("b")
    assert readme.version() == f"commit {commit} and changes to it"
    assert f"with commit {commit} and changes to it" in described()


def test_without_a_checkout_the_version(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme.importlib.metadata, "version", {"steergan": "1.2.3"}.__getitem__)
    assert readme.version() == "version 1.2.3"


def test_written(tmp_path):
    readme.write(tiny_config(), ARGV, tmp_path)
    assert (tmp_path / "README.txt").read_text() == described(run_dir=str(tmp_path))
