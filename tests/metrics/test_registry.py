"""Names, records and files of the metrics."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from dnnlib.errors import UserError
from metrics import registry
from metrics.registry import MetricContext, append_result, evaluate
from tests.tiny_models import tiny_config, tiny_model


class Data:
    name, mirror = "animals", True

    def content_hash(self):
        return "abc"

    def __len__(self):
        return 12


@pytest.fixture
def constant(monkeypatch):
    """A registered metric that says how many draws it was asked for."""
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))

    @registry.metric("constant", num=7, unit="draws")
    def compute(context, num):
        """Always the same."""
        return {"constant": float(num), "unknown": float("nan")}


def make_context(method="spatialgan", **settings):
    return MetricContext(tiny_model(method), None, Data(), **settings)


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
