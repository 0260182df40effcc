"""The command line of calc_metrics.py."""

import json

import pytest
from click.testing import CliRunner

import calc_metrics
from tests.tiny_models import tiny_config, tiny_generator
from tests.training.data_samples import picture, write_zip
from training.config import DataConfig
from training.discriminator import Discriminator
from training.snapshot import save_snapshot, snapshot_name

IMAGES = 66


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "00000-tiny"
    folder.mkdir()
    save(folder, 1.0)
    save(folder, 2.0)
    return folder


@pytest.fixture
def data(tmp_path):
    return write_zip(tmp_path / "noise.zip", {f"{i}.png": picture(i, 16) for i in range(IMAGES)})


def save(folder, kimg, method="spatialgan", **data):
    """A snapshot of untrained networks; `data` is what it says of its training data."""
    config = tiny_config(method)
    config = config.model_copy(update={"data": DataConfig(**({"path": str(folder / "moved.zip")} | data))})
    networks = {name: tiny_generator(config) for name in ("G", "G_ema")}
    save_snapshot(folder / snapshot_name(kimg), config, kimg, networks | {"D": Discriminator(config.discriminator)})
    return folder / snapshot_name(kimg)


def call(*arguments):
    return CliRunner().invoke(calc_metrics.main, [str(argument) for argument in arguments])


def assert_refused(result, text):
    """One line, status 2."""
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert text in result.output


def test_default_metrics_of_the_newest_snapshot_are_shown_and_kept(run_dir, data):
    result = call("--network", run_dir, "--data", data, "--num", 2, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "network-snapshot-000002.safetensors: 2 kimg" in result.output
    assert "di (2 draws" in result.output
    assert "w (2 draws" in result.output
    for name in ("di", "w"):
        (line,) = (run_dir / f"metric-{name}.jsonl").read_text().splitlines()
        kept = json.loads(line)
        assert kept["snapshot"] == "network-snapshot-000002.safetensors"
        assert kept["num_draws"] == 2
        assert kept["data_images"] == IMAGES


@pytest.mark.parametrize("options, images", [
    ([], 2 * 65),
    (["--no-mirror"], 65),
    (["--data"], 2 * IMAGES),
    (["--data", "--no-mirror"], IMAGES),
])
def test_data_are_those_of_the_run_unless_others_are_given(tmp_path, data, options, images):
    snapshot = save(tmp_path, 1.0, path=str(data), mirror=True, subset=65)
    options = [part for option in options for part in ([option, data] if option == "--data" else [option])]
    result = call("--network", snapshot, "--metrics=w", "--num=1", "--json", "--no-save", *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["data_images"] == images


def test_json_is_all_there_is(run_dir, data):
    options = ("--data", data, "--metrics", "w,centroid_co_move", "--num", 2, "--seed", 4, "--mirror", "--json")
    result = call("--network", run_dir / "network-snapshot-000001.safetensors", *options)
    assert result.exit_code == 0, result.output
    w, co_move = map(json.loads, result.stdout.splitlines())
    assert w["metric"] == "w"
    assert w["data_images"] == 2 * IMAGES
    assert w["seed"] == 4
    assert w["kimg"] == 1
    assert co_move["num_latents"] == 2
    assert json.loads((run_dir / "metric-w.jsonl").read_text()) == w


def test_the_same_command_gives_the_same_values(run_dir, data):
    options = ("--network", run_dir, "--data", data, "--num", 2, "--json", "--no-save")
    first, second = (json.loads(call(*options, "--batch", batch).stdout.splitlines()[0]) for batch in (64, 12))
    assert first["results"] == pytest.approx(second["results"], rel=1e-4)


def test_no_save_leaves_no_file(run_dir, data):
    assert call("--network", run_dir, "--data", data, "--num", 1, "--no-save").exit_code == 0
    assert not list(run_dir.glob("metric-*"))


def test_list():
    result = call("--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == [
        "centroid_co_move", "co_move", "co_move50k", "co_move5k", "di", "w",
    ]


def test_refusals(run_dir, data, tmp_path):
    assert_refused(call(), "--network is needed")
    assert_refused(call("--network", tmp_path / "nowhere"), "no such file")
    assert_refused(call("--network", run_dir, "--metrics", "dy"), "unknown metric 'dy'")
    assert_refused(call("--network", run_dir), "the training data is no longer there; say where it is with --data")
    assert_refused(call("--network", run_dir, "--data", data, "--device", "tpu"), "tpu")
    small = write_zip(tmp_path / "small.zip", {"0.png": picture(0, 8)})
    assert_refused(call("--network", run_dir, "--data", small), "8x8")
    grey = write_zip(tmp_path / "grey.zip", {"0.png": picture(0, 16, "L")})
    assert_refused(call("--network", run_dir, "--data", grey), "images of 1 channels, but the network makes 3")
    assert not list(run_dir.glob("metric-*"))


def test_a_metric_that_does_not_apply_is_refused_before_any_work(tmp_path, data):
    snapshot = save(tmp_path, 1.0, "stylegan2")
    assert_refused(call("--network", snapshot, "--data", data, "--metrics", "di,centroid_co_move"), "does not apply")


def test_a_detector_is_chosen_on_the_command_line(run_dir, data, tmp_path):
    options = ("--network", run_dir, "--data", data, "--metrics=co_move", "--num=2", "--no-save", "--json")
    result = call(*options, "--detector=color")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["detector"] == "color"
    absent = tmp_path / "absent.pth"
    assert_refused(call(*options, "--detector-weights", absent), "no weights for Mask R-CNN there")
    assert_refused(call(*options, "--detector=yolo"), "'yolo' is not one of")


def test_a_truncated_snapshot_is_refused(run_dir, data):
    path = run_dir / "network-snapshot-000002.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert_refused(call("--network", run_dir, "--data", data), "cut short")
