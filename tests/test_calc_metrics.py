"""The command line of calc_metrics.py."""

import json
from typing import get_args

import pytest
import requests
from click.testing import CliRunner

import calc_metrics
from dnnlib.downloads import sha256_of
from metrics.detectors.choice import DetectorName
from metrics.tables import side_by_side
from tests.metrics.pictures import write_pictures
from tests.tiny_models import tiny_config, tiny_generator
from tests.training.data_samples import picture, write_zip
from tests.training.saved import save_snapshot
from tests.training.small import make_layout
from training.config import DataConfig
from training.layouts.files import save_layout
from training.networks.discriminator import Discriminator
from training.runs.snapshot import snapshot_name

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


@pytest.mark.parametrize("names, beside", [
    ("di,w", ", real images from noise"),
    ("centroid_co_move,locality", ""),
    ("di,locality", ", real images (of di) from noise"),
])  # fmt: skip
def test_real_images_are_named_beside_metrics_that_look_at_them(run_dir, data, names, beside):
    result = call("--network", run_dir, "--data", data, "--num", 2, "--device", "cpu", "--metrics", names, "--no-save")
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.output.splitlines() if "kimg" in line)
    assert line == f"network-snapshot-000002.safetensors: 2 kimg{beside}"


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
    listed = [line.split()[0] for line in result.output.splitlines()]
    assert {"centroid_co_move", "di", "w", "fid50k_full", "ppl2_wend"} <= set(listed)
    assert listed == sorted(listed)


def test_refusals(run_dir, data, tmp_path):
    assert_refused(call(), "--network is needed")
    assert_refused(call("--network", tmp_path / "nowhere"), "no such file")
    assert_refused(call("--network", run_dir, "--metrics", "dy"), "unknown metric 'dy'")
    assert_refused(call("--network", run_dir), "the training data is no longer there; say where it is with --data")
    assert_refused(call("--network", run_dir, "--data", data, "--device", "tpu"), "tpu")
    small = write_zip(tmp_path / "small.zip", {"0.png": picture(0, 8)})
    assert_refused(call("--network", run_dir, "--data", small), "8x8")
    grey = write_zip(tmp_path / "grey.zip", {"0.png": picture(0, 16, "L")})
    assert_refused(call("--network", run_dir, "--data", grey), "images of 1 channel, but the network makes 3")
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


def test_a_number_said_twice_and_too_few_images_are_refused_before_any_work(run_dir, data, tmp_path):
    options = ("--network", run_dir, "--device", "cpu")
    result = call(*options, "--data", data, "--metrics", "rfd200_full", "--num", 10)
    assert_refused(result, "'rfd200_full' has its number in its name; write rfd10_full, or leave --num out")
    few = write_zip(tmp_path / "few.zip", {f"{i}.png": picture(i, 16) for i in range(3)})
    assert_refused(call(*options, "--data", few, "--metrics", "w"), "metric 'w' needs 64 real images;")
    assert_refused(call(*options, "--data", few, "--metrics", "rpr103"), "metric 'rpr103' needs 4 real images;")


def test_the_output_says_which_values_are_good(run_dir, data):
    result = call("--network", run_dir, "--data", data, "--metrics", "di", "--num", 2, "--device", "cpu")
    assert "nearer 0 is nearer the equilibrium" in result.output


def test_detectors_are_those_that_there_are():
    assert get_args(DetectorName) == calc_metrics.DETECTORS


def test_a_truncated_snapshot_is_refused_and_in_a_run_passed_over(run_dir, data):
    path = run_dir / "network-snapshot-000002.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert_refused(call("--network", path, "--data", data), "cut short")
    result = call("--network", run_dir, "--data", data, "--metrics=w", "--num=8", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kimg"] < 2
    assert f"{path}: not a readable snapshot" in result.stderr


def test_snapshots_of_nearly_one_age_are_told_apart(run_dir, data):
    """Their ages are not rounded; and without a terminal no bar goes into the output."""
    save(run_dir, 1.064)
    options = ("--metrics=w", "--num=2", f"--data={data}", "--no-save")
    result = call("--compare", run_dir / "1", run_dir / "1.064", *options)
    assert result.exit_code == 0, result.output
    assert "00000/1 00000/1.064 difference" in [" ".join(line.split()) for line in result.output.splitlines()]
    assert "\r" not in result.output


# ---- images compared with images


def test_a_metric_of_images_is_kept_with_what_it_takes_to_repeat_it(run_dir, data):
    options = ("--data", data, "--metrics", "rfd8_full,rkd8_full", "--num", 8, "--batch", 3, "--trunc", 0.7)
    result = call("--network", run_dir, *options, "--seed", 3, "--json")
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["results"]["rfd8_full"] > 0
    assert second["metric"] == "rkd8_full"
    kept = json.loads((run_dir / "metric-rfd8_full.jsonl").read_text())
    assert kept == first
    expected = {"num_images": 8, "batch": 3, "trunc": 0.7, "seed": 3, "data_images": IMAGES, "mirror": False}
    assert {key: kept[key] for key in expected} == expected
    assert kept["extractor"]["name"] == "random"
    assert len(kept["data_hash"]) == len(kept["extractor"]["weights_sha256"]) == 64


def test_weights_from_a_file_and_fid(run_dir, data, inception_weights):
    options = ("--data", data, "--metrics", "fid4", "--weights", inception_weights, "--json")
    result = call("--network", run_dir, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["results"]["fid4"] > 0
    assert found["extractor"]["name"] == "inception"
    assert found["extractor"]["weights_sha256"] == sha256_of(inception_weights)


def test_missing_weights_are_named_in_one_line(run_dir, data, monkeypatch, cache):
    def refuse(*_, **__):
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", refuse)
    result = call("--network", run_dir, "--data", data, "--metrics", "fid5k_full", "--json")
    assert_refused(result, "cannot download weights-inception-2015-12-05-6726825d.pth")
    for part in ("https://github.com/toshas/torch-fidelity", str(cache / "weights"), "--weights"):
        assert part in result.output


def test_a_fixed_layout(run_dir, data, tmp_path):
    save_layout(tmp_path / "layout.json", make_layout(1))
    options = ("--network", run_dir, "--data", data, "--metrics", "rfd6_full,di", "--num", 6, "--json", "--no-save")
    free = json.loads(call(*options).stdout.splitlines()[0])
    result = call(*options, "--layout", tmp_path / "layout.json")
    assert result.exit_code == 0, result.output
    fixed = json.loads(result.stdout.splitlines()[0])
    assert fixed["results"] != free["results"]
    assert fixed["layout_sha256"] != free["layout_sha256"] is None


def test_two_snapshots_side_by_side(run_dir, data):
    options = ("--data", data, "--metrics", "w,rfd6_full", "--num", 6)
    result = call("--compare", run_dir / "1", run_dir / "network-snapshot-000002.safetensors", *options)
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()[-6:]
    assert head.split() == ["00000/1", "00000/2", "difference"]
    table = {row.split()[0]: [float(cell) for cell in row.split()[1:]] for row in rows}
    assert {"w", "mean_real", "rfd6_full"} <= table.keys()
    for first, second, difference in table.values():
        assert difference == pytest.approx(second - first, abs=1e-2 * max(abs(first), abs(second)))
    assert len((run_dir / "metric-w.jsonl").read_text().splitlines()) == 2


def test_networks_of_other_levels_side_by_side():
    first = [{"results": {"locality": 0.25, "locality_level1": 0.5}}]
    second = [{"results": {"locality": 0.5, "locality_level2": 0.125}}]
    for one, other, cells in (
        (first, second, [["0.25", "0.5", "+0.25"], ["0.5", "-", "-"], ["-", "0.125", "-"]]),
        (second, first, [["0.5", "0.25", "-0.25"], ["0.125", "-", "-"], ["-", "0.5", "-"]]),
    ):
        assert [line.split()[1:] for line in side_by_side(one, other, ("a", "b")).splitlines()[1:]] == cells


def test_a_method_without_the_metric_that_measures_it_is_refused(run_dir, data):
    result = call("--network", run_dir, "--data", data, "--metrics", "w", "--method", "sefa")
    assert_refused(result, "--method is for the metric mds: add it to --metrics")


def test_snapshots_and_checkpoints_by_number_and_name(run_dir, data):
    options = ("--data", data, "--metrics", "w", "--num", 1, "--json", "--no-save")
    assert json.loads(call("--network", run_dir / "1", *options).stdout)["kimg"] == 1
    assert json.loads(call("--network", run_dir, *options).stdout)["kimg"] == 2
    assert_refused(call("--network", run_dir / "7", *options), "no snapshot at 7 kimg; there are 1, 2")


def test_two_folders(tmp_path):
    a, b = (write_pictures(tmp_path / name, seed) for seed, name in enumerate("ab"))
    result = call("--images", a, "--data", b, "--metrics", "rfd,rkd,rpr3_full", "--json")
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["metric"] for line in found] == ["rfd", "rkd", "rpr3_full"]
    assert found[0]["num_images"] == 12
    assert found[0]["pictures"] == "a"
    assert found[0]["results"]["rfd"] > 0
    assert not list(tmp_path.rglob("metric-*"))
    same = json.loads(call("--images", a, "--data", a, "--metrics", "rfd", "--json").stdout)
    assert same["results"]["rfd"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_two_processes(run_dir, data):
    options = ("--network", run_dir, "--data", data, "--metrics", "rfd12_full,w", "--num", 12, "--batch", 4)
    for procs in (1, 2):
        result = call(*options, "--procs", procs, "--device", "cpu")
        assert result.exit_code == 0, result.output
    for name, procs in (("rfd12_full", [1, 2]), ("w", [1, 2])):
        lines = [json.loads(line) for line in (run_dir / f"metric-{name}.jsonl").read_text().splitlines()]
        assert [line["procs"] for line in lines] == procs
        assert lines[0]["results"] == pytest.approx(lines[1]["results"], rel=1e-6)


def test_refusals_of_what_does_not_go_together(run_dir, data, tmp_path):
    folder = write_pictures(tmp_path / "pictures", 1)
    assert_refused(call("--compare", run_dir, run_dir, "--network", run_dir), "leave --network out")
    assert_refused(call("--images", folder), "say where it is")
    assert_refused(call("--images", folder, "--data", folder, "--network", run_dir), "in place of a network")
    assert_refused(call("--images", folder, "--data", folder, "--metrics", "ppl_zend"), "it needs a network")
    assert_refused(call("--images", folder, "--data", folder, "--trunc", 0.5), "are for a network's images")
    assert_refused(call("--images", folder, "--data", folder, "--metrics", "rfd50k"), "12 images, fewer than 50000")
    options = ("--network", run_dir, "--data", data)
    assert_refused(call(*options, "--metrics", "fid"), "a network makes any number of images")
    assert_refused(call(*options, "--metrics", "centroid_co_move", "--trunc", 0.5), "pictures of its own")
    assert_refused(call(*options, "--metrics", "rfd8", "--weights", data), "these metrics need none")
    save_layout(tmp_path / "layout.json", make_layout(1, counts=(2, 2, 4)))
    assert_refused(call(*options, "--layout", tmp_path / "layout.json"), "made for another method")
