"""The benchmark of generating: what it draws, and how its rates are made of seconds."""

import pytest
import torch
from click.testing import CliRunner

from benchmarks.harness.report import read_report
from benchmarks.inference import main
from benchmarks.measures import inference as benchmark
from benchmarks.measures.inference import TimedGenerator, part_name, rates
from tests.benchmarks.refusals import assert_refused
from tests.tiny_models import tiny_config
from training.config import HardwareConfig, RunConfig
from training.sampling import Model


def small_config(method: str = "spatialgan", ops: str = "auto") -> RunConfig:
    return tiny_config(method).model_copy(update={"hardware": HardwareConfig(device="cpu", ops=ops)})


@pytest.mark.parametrize("method", ["spatialgan", "spatialgan-indoor", "stylegan2"])
def test_pictures_come_from_the_models_own_function(method, monkeypatch):
    calls, results = [], []
    images = Model.images

    def noted(self, seeds, **given):
        calls.append((seeds, given))
        results.append(images(self, seeds, **given))

    generator = TimedGenerator(small_config(method), [1, 3])
    monkeypatch.setattr(Model, "images", noted)
    styles = ("own styles", "one style")
    assert list(generator.parts) == [part_name(style, batch) for batch in (1, 3) for style in styles]
    assert all(generator.seconds(part) > 0 for part in generator.parts)
    assert [seeds for seeds, _ in calls] == [[0], [0], [0, 1, 2], [0, 1, 2]]
    assert [len(given["ws"]) for _, given in calls] == [1, 1, 3, 1]
    layouts = [given["layout"] for _, given in calls]
    assert [layout and len(layout) for layout in layouts] == ([None] * 4 if method == "stylegan2" else [1, 1, 3, 3])
    assert [len(result) for result in results] == [1, 1, 3, 3]
    assert torch.allclose(results[2][0], results[3][0], atol=1e-5)  # the one style is the first seed's
    assert not torch.allclose(results[2][1], results[3][1], atol=1e-2)


def test_all_operators_draw_the_same_pictures_each_in_its_own_layout():
    generators = {ops: TimedGenerator(small_config(ops=ops), [2]) for ops in ("auto", "reference")}
    weights = {ops: each.G.synthesis.blocks["8"].conv1.weight for ops, each in generators.items()}
    assert weights["auto"].is_contiguous(memory_format=torch.channels_last)
    assert weights["reference"].is_contiguous()
    first, second = (each.parts[part_name("own styles", 2)]() for each in generators.values())
    assert torch.allclose(first, second, atol=1e-4)


def test_precision_is_that_of_the_features():
    whole, half = (TimedGenerator(small_config(), [1], precision) for precision in ("float32", "bfloat16"))
    seen = {}
    for name, generator in (("float32", whole), ("bfloat16", half)):
        block = generator.G.synthesis.blocks["16"]
        block.register_forward_hook(lambda module, given, result, name=name: seen.update({name: result[0].dtype}))
    first, second = (generator.parts[part_name("own styles", 1)]() for generator in (whole, half))
    assert seen == {"float32": torch.float32, "bfloat16": torch.bfloat16}
    assert 0 < (first - second).abs().max() < 0.1 * first.abs().max()


def test_making_a_model_leaves_the_global_stream_alone():
    before = torch.get_rng_state()
    TimedGenerator(small_config(), [1])
    assert torch.equal(before, torch.get_rng_state())


def test_rates_are_of_each_round():
    samples = {
        "own styles, 1": [0.5, 0.25, 8.0], "one style, 1": [0.5], "own styles, 4": [2.0], "one style, 4": [1.0, 4.0]
    }  # fmt: skip
    found = rates(samples, [1, 4])
    assert {part: series.samples for part, series in found.items()} == {
        "own styles, 1": [2, 4, 0.125], "one style, 1": [2], "own styles, 4": [2], "one style, 4": [4, 1]
    }  # fmt: skip
    assert {series.unit for series in found.values()} == {"images/s"}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(benchmark, "peak_mib", lambda *_: 100.0)
    monkeypatch.setattr(benchmark, "resolved", lambda method, cfg, res, batch, device, ops: small_config(method, ops))


def test_report_of_one_generator(quick, tmp_path):
    path = tmp_path / "inference.json"
    result = CliRunner().invoke(main, ["--device=cpu", "--quick", "--batches=1,2", f"--json={path}"])
    assert result.exit_code == 0, result.output
    report = read_report(path)
    assert list(report.series["spatialgan"]) == ["own styles, 1", "one style, 1", "own styles, 2", "one style, 2"]
    assert report.ratios == {}
    assert report.facts == {"peak_mib": {"spatialgan": 100}}


def test_peak_memory_is_of_the_largest_batch(quick, monkeypatch):
    asked = []
    monkeypatch.setattr(benchmark, "peak_mib", lambda *given: asked.append(given) or 1.0)
    CliRunner().invoke(main, ["--device=cpu", "--quick", "--batches=1,3,2"])
    assert asked == [(benchmark._largest_batch, small_config(), 3, "trained")]
    assert benchmark._largest_batch(small_config(), 2, "trained") == torch.device("cpu")


def test_two_take_turns_and_their_ratio_is_that_of_the_rates(quick, tmp_path, monkeypatch):
    turns = []
    seconds = TimedGenerator.seconds
    monkeypatch.setattr(
        TimedGenerator, "seconds", lambda self, part: turns.append(self.config.hardware.ops) or seconds(self, part)
    )
    path = tmp_path / "inference.json"
    options = ["--device=cpu", "--quick", "--batches=2", "--vs-ops=reference", f"--json={path}"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert turns == ["auto", "reference"] * len(turns[::2])
    report = read_report(path)
    first, second = (report.series[f"spatialgan ({ops})"] for ops in ("auto", "reference"))
    for part, ratio in report.ratios["spatialgan (auto) to spatialgan (reference)"].items():
        pairs = zip(first[part].samples, second[part].samples, strict=True)
        assert ratio.samples == pytest.approx([a / b for a, b in pairs], rel=1e-5)


@pytest.mark.parametrize("arguments, text", [
    (["--batches=0,4"], "--batches '0,4': a batch has at least one picture"),
    (["--batches=1,4097"], "a batch has at most 4096 pictures"),
    (["--batches=many"], "'many' is no list of numbers"),
    (["--vs-ops=auto"], "--ops and --vs-ops are both auto"),
    (["--vs-ops=refrence"], "should be 'auto', 'native', 'direct', 'pytorch' or 'reference'"),
    (["--precision=float16"], "--precision float16 is for a GPU"),
    (["--precision=half"], "'half' is not one of 'trained', 'float32'"),
    (["--method=spatialgun"], "did you mean 'spatialgan'"),
])
def test_refusals(arguments, text):
    assert_refused(main, arguments, text)
