"""Names, records and files of the metrics."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dnnlib.errors import UserError
from dnnlib.files import read_lines
from metrics import registry
from metrics.context import network_context
from metrics.registry import append_result, evaluate
from tests.tiny_models import tiny_config, tiny_model


class Data:
    """12 grey pictures of noise."""

    name, mirror = "animals", True

    def content_hash(self):
        return "abc"

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return np.random.default_rng(index).integers(0, 256, (1, 16, 16), dtype=np.uint8), None


@pytest.fixture
def constant(monkeypatch):
    """A registered metric that says how many draws it was asked for."""
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))

    @registry.metric("constant", num=7, unit="draws")
    def compute(context, num):
        """Always the same."""
        return {"constant": float(num), "unknown": float("nan")}


def make_context(method="spatialgan", **settings):
    return network_context(tiny_model(method), None, Data(), **settings)


def test_metrics_have_one_line_descriptions():
    assert {"di", "w", "centroid_co_move"} <= registry.known().keys()
    assert all(text and "\n" not in text for text in registry.known().values())


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="unknown metric 'centroid_comove'; did you mean 'centroid_co_move'"):
        registry.check(["di", "centroid_comove"])


def test_check_with_a_configuration_refuses_what_does_not_apply():
    registry.check(["di", "centroid_co_move"], tiny_config())
    registry.check(["di", "w"], tiny_config("stylegan2"))
    with pytest.raises(UserError, match=r"'centroid_co_move' does not apply.*stylegan2"):
        registry.check(["di", "centroid_co_move"], tiny_config("stylegan2"))


def test_a_result_records_how_to_repeat_it(constant):
    result = evaluate("constant", make_context(seed=9))
    assert result["results"]["constant"] == 7
    assert result["seconds"] >= 0
    expected = {
        "metric": "constant",
        "num_draws": 7,
        "seed": 9,
        "kimg": 1.0,
        "snapshot": "network-snapshot-000001.safetensors",
        "data": "animals",
        "data_hash": "abc",
        "data_images": 12,
        "mirror": True,
        "version": 1,
    }
    assert {key: result[key] for key in expected} == expected
    assert result["layout_prior"] == json.loads(tiny_config().sampler.model_dump_json()) | {"counts": [1, 2, 4]}
    assert evaluate("constant", make_context("stylegan2"))["layout_prior"] is None


def test_number_asked_for_goes_before_the_metrics_own(constant):
    assert evaluate("constant", make_context(num=3))["num_draws"] == 3
    assert evaluate("constant", make_context(num=3).with_num(None))["num_draws"] == 7


# ---- families


@pytest.mark.parametrize(
    "name, num",
    [("fid50k_full", 50_000), ("fid5k_full", 5000), ("fid500", 500), ("pr50k3", 50_000), ("pr5003_full", 500),
     ("rfd1k_full", 1000), ("dc10k5", 10_000), ("fid", None), ("pr3", None), ("is", None)],
)  # fmt: skip
def test_the_number_in_a_name(name, num):
    found = registry.find(name)
    assert (found.name, found.num, found.unit) == (name, num, "images")


@pytest.mark.parametrize("name", ["fid50kfull", "fid5m", "fd50k", "fid-5", "pr50k", "rfd50k_fu", "50k"])
def test_other_names_are_unknown(name):
    with pytest.raises(UserError, match=f"unknown metric '{name}'"):
        registry.find(name)


def test_no_image_at_all_is_refused():
    with pytest.raises(UserError, match="'fid0_full' takes no image at all"):
        registry.find("fid0_full")


def test_known_metrics_of_the_field_have_their_names():
    names = {"fid50k_full", "fid50k", "kid50k_full", "kid50k", "pr50k3_full", "pr50k3", "is50k"}
    names |= {"ppl2_wend", "ppl_zfull", "ppl_wfull", "ppl_zend", "ppl_wend", "fdd50k_full", "rfd50k_full"}
    assert names <= registry.known().keys()


def test_a_number_is_needed_for_a_network():
    with pytest.raises(UserError, match=r"'fid' does not apply: a network makes any number of images.*fid50k"):
        registry.check(["fid"], tiny_config())


def test_a_family_says_its_number_in_name_and_quantities(monkeypatch):
    monkeypatch.setattr(registry, "_METRICS", {})

    @registry.family("half{n}_full", num=50_000, extractor="random", output="pooled")
    def compute(context, num, extractor, output):
        """Half of it."""
        return {"": num / 2, "other": 1.0}

    assert registry.known() == {"half50k_full": "Half of it. Lower is better."}
    result = evaluate("half50k_full", make_context(num=300))
    assert result["metric"] == "half300_full"
    assert result["results"] == {"half300_full": 150, "half300_full_other": 1}
    assert result["num_images"] == 300
    assert result["extractor"]["name"] == "random"


def test_settings_are_recorded():
    layout = tiny_model().layout([1])
    result = evaluate("rfd4", make_context(seed=2, batch_size=3, truncation_psi=0.5, layout=layout, use_cache=False))
    expected = {"seed": 2, "batch": 3, "procs": 1, "device": "cpu", "trunc": 0.5}
    assert {key: result[key] for key in expected} == expected
    assert len(result["layout_sha256"]) == 64
    assert evaluate("rfd4", make_context(use_cache=False))["layout_sha256"] is None


def test_weights_are_fetched_for_what_needs_them(monkeypatch):
    fetched = []

    class Noting:
        def fetch(self, name):
            fetched.append(name)

    registry.fetch_weights(["di", "rfd1k", "fid5k_full", "kid5k", "ppl2_wend"], Noting())
    assert fetched == ["inception", "lpips", "random"]


def test_shared_values_are_computed_once():
    context = make_context()
    made = []
    for each in (context, context.with_num(5)):
        each.shared("key", lambda: made.append(1) or "value")
    assert made == [1]


def test_results_are_lines_of_strict_json(constant, tmp_path):
    result = evaluate("constant", make_context())
    append_result(tmp_path, result)
    path = append_result(tmp_path, result | {"seed": 1})
    assert path == tmp_path / "metric-constant.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seed"] for line in lines] == [0, 1]
    assert lines[0]["results"] == {"constant": 7.0, "unknown": None}


def test_lines_of_several_writers_do_not_mix(tmp_path):
    results = [{"metric": "x", "results": {"x": float(i)}, "pad": str(i) * 3000} for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda result: append_result(tmp_path, result), results))
    lines = (tmp_path / "metric-x.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["results"]["x"] for line in lines) == list(range(40))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/metric-x.jsonl"):
        append_result(tmp_path / "file", {"metric": "x", "results": {}})


# ---- numbers, and lines that are damaged


def test_a_number_in_a_name_and_another_number_are_refused():
    registry.check_num(["rfd200_full", "di", "co_move"], None)
    registry.check_num(["rfd200_full", "fid", "di", "co_move"], 200)
    for name, right in (("rfd200_full", "rfd10_full"), ("co_move5k", "co_move10"), ("pr50k3", "pr103")):
        with pytest.raises(UserError, match=f"'{name}' has its number in its name; write {right}"):
            registry.check_num([name], 10)


def test_co_move_takes_any_number():
    found = registry.find("co_move250")
    assert (found.name, found.num, found.takes_pictures) == ("co_move250", 250, False)
    assert registry.find("co_move").with_num(7).name == "co_move"


@pytest.mark.parametrize("number", ["1000000000000", "9" * 5000, "10000001", "99999999k"])
def test_numbers_beyond_all_bounds_are_refused(number):
    with pytest.raises(UserError, match="is too large; the largest number here is 10000") as caught:
        registry.find(f"fid{number}_full")
    assert len(str(caught.value)) < 300


def test_what_will_not_be_measured_is_known_at_the_start():
    config = tiny_config()
    assert registry.obstacles(["di", "rfd1k_full", "pr1k3"], config, 64) == []
    assert registry.obstacles(["di", "pr1k3"], config, 3) == [
        "metric di is left out: it needs 64 real images, there are 3",
        "metric pr1k3 is left out: it needs 4 real images, there are 3",
    ]


def test_the_list_says_which_values_are_good():
    known = registry.known()
    assert known["fid50k_full"].endswith("Lower is better.")
    assert known["is50k"].endswith("Higher is better.")
    assert "Nearer 0 is nearer the equilibrium" in known["di"]


def result_of(number):
    return {"metric": "x", "results": {"x": float(number)}}


def test_a_line_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = append_result(tmp_path, result_of(0))
    before, write = path.read_bytes(), os.write

    def full(handle, data):
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[:10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=r"metric-x.jsonl: No space left on device; make room"):
        append_result(tmp_path, result_of(1))
    assert path.read_bytes() == before
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))  # as it may, in parts
    append_result(tmp_path, result_of(2))
    assert [line["results"]["x"] for line in read_lines(path)] == [0, 2]


def test_readers_skip_a_damaged_line_and_say_so(tmp_path):
    path = append_result(tmp_path, result_of(0))
    with path.open("ab") as file:
        file.write(b'{"metric": "x", "resu')  # as earlier versions left it on a full disk
    append_result(tmp_path, result_of(1))
    with path.open("ab") as file:
        file.write(b"[1]\n\xff\xfe\n" + b"[" * 100_000 + b"\n")
    append_result(tmp_path, result_of(2))
    said = []
    assert [line["results"]["x"] for line in read_lines(path, said.append)] == [0, 1, 2]
    assert said == [f"{path}: lines 2, 4, 5, 6 damaged, left out"]
