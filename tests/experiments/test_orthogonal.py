"""Orthogonal regularization's experiment: how parallel filters are, and the distances of truncated pictures."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from experiments.orthogonal import main
from experiments.studies.orthogonal import STANDING, mean_cosine, use_standing_statistics
from tests.training.data_samples import picture, write_zip
from tests.training.networks.lineage import lineage_config
from tests.training.saved import save_snapshot
from tests.training.small import make_networks
from training.runs.snapshot import snapshot_name
from training.sampling import Model


def test_how_parallel_filters_are():
    layer = nn.Linear(2, 3, bias=False)
    layer.weight.data = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    assert mean_cosine(layer) == pytest.approx((0 + 1 + 0) / 3)
    assert mean_cosine(nn.Sequential(layer, nn.Linear(3, 1))) == pytest.approx(1 / 3)


def test_normalization_is_by_statistics_of_truncated_pictures():
    of = lineage_config("biggan", None, generator={"truncation": "z"})
    model, inputs = Model(make_networks(of).G, of, "cpu"), []
    norm = next(layer for layer in model.G.modules() if isinstance(layer, nn.BatchNorm2d))
    norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0].mean((0, 2, 3))))
    use_standing_statistics(model, 0.5)
    torch.testing.assert_close(norm.running_mean, torch.stack(inputs).mean(0))
    assert len(inputs) == STANDING
    assert not model.G.training
    assert not norm.training


def test_a_plot_of_two_runs(tmp_path: Path):
    data = write_zip(tmp_path / "data.zip", {f"{n}.png": picture(n, 32) for n in range(8)})
    options = ["--count=8", f"--out={tmp_path / 'plot.png'}"]
    for name in ("with", "without"):
        of = lineage_config("biggan", None, data={"path": str(data)}, generator={"truncation": "z"})
        networks = make_networks(of)
        (tmp_path / name).mkdir()
        both = {"G": networks.G, "G_ema": networks.G, "D": networks.D}
        save_snapshot(tmp_path / name / snapshot_name(1), of, 1, both)
        options.append(f"--runs={name}={tmp_path / name}")
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].removeprefix("with") == lines[1].removeprefix("without")
    assert "distance by threshold 3: " in lines[0]
    assert (tmp_path / "plot.png").stat().st_size > 1000
    refused = CliRunner().invoke(main, [*options, "--runs=nothing"])
    assert refused.exit_code == 2
    assert "write it as NAME=RUN" in refused.stderr
