"""The benchmark of the metrics: what it reports, in small."""

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks import metrics as benchmark


@pytest.fixture
def quick(monkeypatch):
    """Narrow features, so that distances take no time."""
    monkeypatch.setattr(benchmark, "FRECHET_WIDTH", 16)
    monkeypatch.setattr(benchmark.frechet_seconds, "__defaults__", (16,))
    monkeypatch.setattr(benchmark.neighbours_seconds, "__defaults__", (16,))


def test_the_report(quick, tmp_path):
    options = "--res 32 --cfg auto --extractor random --images 6 --batch 4 --neighbours 20 --device cpu"
    result = CliRunner().invoke(benchmark.main, [*options.split(), "--json", str(tmp_path / "out" / "a.json")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    rates = report["images_per_second"]
    assert rates.keys() == {"extraction", "generation", "run"}
    assert rates["run"] == pytest.approx(6 / report["run_seconds"])
    assert min(rates.values()) > 0
    assert report["frechet_seconds"] > 0
    assert report["neighbours_seconds"] > 0
    assert report["neighbours_mb"] == 768
    assert report["machine"]["torch"] == torch.__version__
    for word in ("extraction", "generation", "images/s", "Fréchet"):
        assert word in result.output


def test_the_untrained_extractor_has_features_of_the_right_size():
    features = benchmark.untrained_inception()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert {name: value.shape[1] for name, value in features.items()} == {"2048": 2048, "logits_unbiased": 1008}
