"""The benchmark of the metrics: what it reports, in small."""

import pytest
import torch
from click.testing import CliRunner

from benchmarks.harness.report import read_report
from benchmarks.measures import metrics as benchmark
from benchmarks.metrics import main
from metrics import features
from tests.benchmarks.refusals import assert_refused
from tests.benchmarks.small import small_config


def test_the_report_and_what_a_round_does(tmp_path, monkeypatch):
    """With a small network and narrow features."""
    made, read = [], []
    generate, measure_files = features._generate_features, features.file_features
    monkeypatch.setattr(features, "_generate_features", lambda *given: made.append(1) or generate(*given))
    monkeypatch.setattr(features, "file_features", lambda *given: read.append(1) or measure_files(*given))
    monkeypatch.setattr(benchmark, "resolved", lambda *_: small_config())
    for work in (benchmark.frechet_work, benchmark.neighbors_work):
        monkeypatch.setattr(work, "__defaults__", (16,))
    path = tmp_path / "report.json"
    options = ["--extractor=random", "--images=3", "--neighbours=20", "--device=cpu", "--quick", f"--json={path}"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    report = read_report(path)
    series = report.series["random"]
    assert {what: each.unit for what, each in series.items()} == {
        "extraction": "images/s", "generation": "images/s", "generation to distance": "images/s",
        "Fréchet distance": "s", "neighbours": "s",
    }  # fmt: skip
    assert all(len(each.samples) == 2 and min(each.samples) > 0 for each in series.values())
    assert report.facts == {"neighbours_mib": 768}
    assert result.stderr.startswith("metrics: 0 of 1 step")
    assert (len(made), len(read)) == (1 + 2, 1)  # images are generated anew in every round, real ones read once


def test_the_untrained_extractor_has_features_of_the_right_size():
    features = benchmark.untrained_inception()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert {name: value.shape[1] for name, value in features.items()} == {"2048": 2048, "logits_unbiased": 1008}


@pytest.mark.parametrize("arguments, text", [
    (["--images=1"], "out of range"),
    (["--neighbours=1"], "out of range"),
    (["--extractor=vgg"], "'vgg' is not one of"),
    (["--method=spatialgun"], "did you mean 'spatialgan'"),
])
def test_refusals(arguments, text):
    assert_refused(main, arguments, text)
