"""The command line of visualize.py."""

import pytest
from click.testing import CliRunner
from PIL import Image

import visualize
from tests.training.figures.runs import make_run

FIGURES = ["attention", "noise", "bad-samples", "consistency", "features", "interpolation", "moves", "grid",
           "mixing", "scores"]
NEED_LAYOUTS = ["interpolation", "moves", "grid"]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def call(*arguments):
    return CliRunner().invoke(visualize.main, [str(argument) for argument in arguments])


def assert_refused(result, text):
    """One line, status 2."""
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert text in result.output


def assert_picture(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.parametrize("name, options", [
    ("attention", ["--count=1", "--seeds=0", "--gradcam=released"]),
    ("noise", ["--count=1", "--amplitudes=0,0.3", "--level=1", "--seed=4"]),
    ("bad-samples", ["--seeds=2", "--snapshots=2", "--level=0"]),
    ("consistency", ["--count=1", "--seeds=1,2", "--snapshots=3", "--level=0"]),
    ("features", ["--seeds=3", "--trunc=0.7"]),
    ("interpolation", ["--seeds=3", "--from=5", "--to=6", "--steps=2"]),
    ("moves", ["--seed=3", "--steps=2"]),
    ("grid", ["--seeds=1,2", "--layouts=4-6"]),
    ("scores", []),
])
def test_each_figure(run, tmp_path, name, options):
    out = tmp_path / "new" / "figure.png"
    result = call(name, "--network", run, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert result.output == f"wrote {out}\n"
    assert_picture(out)


def test_all_of_them(run, tmp_path):
    result = call("all", "--network", run, "--outdir", tmp_path / "out", "--device=cpu")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"{name}.png" for name in FIGURES)
    for name in FIGURES:
        assert_picture(tmp_path / "out" / f"{name}.png")


def test_what_does_not_apply_is_left_out_with_its_reason(tmp_path):
    run = make_run(tmp_path, "stylegan2", kimg=(1,), resolution=16)
    (run / "stats.jsonl").unlink()
    result = call("all", "--network", run, "--outdir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    left_out = [line for line in result.output.splitlines() if line.startswith("left out ")]
    assert [line.split()[2].rstrip(":") for line in left_out] == ["bad-samples", "consistency", *NEED_LAYOUTS, "scores"]
    assert "takes no layout" in left_out[2]
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["attention", "features", "mixing", "noise"]


def test_runs_are_compared(run, tmp_path):
    other = make_run(tmp_path, "stylegan2")
    for name in ("features", "scores"):
        out = tmp_path / f"{name}.png"
        assert call(name, "--network", run, "--versus", other, "--out", out).exit_code == 0
        assert_picture(out)


def test_the_same_command_gives_the_same_picture(run, tmp_path):
    for name in ("a.png", "b.png"):
        assert call("noise", "--network", run, "--count=1", "--out", tmp_path / name).exit_code == 0
    with Image.open(tmp_path / "a.png") as first, Image.open(tmp_path / "b.png") as second:
        assert first.tobytes() == second.tobytes()


def test_refusals(run, tmp_path):
    out = tmp_path / "x.png"
    assert_refused(call("moves", "--network", tmp_path / "absent", "--out", out), "no such file")
    assert_refused(call("moves", "--network", run, "--out", tmp_path / "x.jpg"), "figures are PNG files")
    assert_refused(call("moves", "--network", run), "--out")
    assert_refused(call("grid", "--network", run, "--out", out, "--seeds=a"), "'a' is no list of numbers")
    assert_refused(call("noise", "--network", run, "--out", out, "--amplitudes=x"), "must be numbers")
    assert_refused(call("noise", "--network", run, "--out", out, "--amplitudes=-1"), "noise of amplitude -1 cannot be")
    assert_refused(call("attention", "--network", run, "--out", out, "--count=99"), "holds 8 images, 99 were asked for")
    assert_refused(call("attention", "--network", run, "--out", out, "--device=tpu"), "tpu")
    assert_refused(call("scores", "--network", tmp_path / "absent", "--out", out), "no such run directory")
    assert_refused(call("picture", "--network", run), "No such command 'picture'")
    (tmp_path / "data32.zip").unlink()
    assert_refused(call("attention", "--network", run, "--out", out), "the training data is no longer there")
    assert not out.exists()


@pytest.mark.parametrize("method, command, text", [
    ("stylegan2", "grid", "takes no layout"),
    ("stylegan2", "interpolation", "takes no layout"),
    ("spatialgan", "noise", "D of 16x16 images has no 16x16 feature, so no level 2"),
])
def test_models_that_cannot_be_shown(tmp_path, method, command, text):
    run = make_run(tmp_path, method, resolution=16)
    options = ["--level=2"] if command == "noise" else []
    assert_refused(call(command, "--network", run, "--out", tmp_path / "x.png", *options), text)
