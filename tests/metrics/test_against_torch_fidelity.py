"""The same numbers as torch-fidelity's own command, on two folders of images."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from metrics.context import MetricContext, MetricOptions
from metrics.extractors import Extractors, WeightFiles
from metrics.extractors.fidelity import load_library
from metrics.features import generated_features, real_features
from metrics.image_files import ImageFiles
from metrics.neighbors import PR_NEIGHBORS, agreement
from metrics.registry import evaluate
from tests.metrics.pictures import write_pictures

COUNT = 12
# Features are float32 and rounded otherwise in batches of another size, torch-fidelity's KID is float32, and its FID of
# fewer images than features adds roots of rounding errors: together 6 times float32's 6e-8, on the processors tried.
REL = 1e-5


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(generated, real): far enough apart for torch-fidelity's rounding, near enough for neighbours."""
    root = tmp_path_factory.mktemp("folders")
    generated = write_pictures(root / "generated", 3, contrast=(0.2, 0.9), brightness=100, noise=25, count=COUNT)
    return generated, write_pictures(root / "real", 5, contrast=(0.1, 1.0), noise=5, count=COUNT)


@pytest.fixture
def command(folders, inception_weights, tmp_path, monkeypatch, capsys) -> dict[str, float]:
    """What torch-fidelity's command line prints."""
    weights = tmp_path / "inception.pth"
    torch.save(load_file(inception_weights), weights)
    program = load_library("torch_fidelity.fidelity")
    options = f"--input1 {folders[0]} --input2 {folders[1]} --isc --fid --kid --prc --cpu --json --silent"
    options += f" --kid-subsets 1 --kid-subset-size {COUNT} --save-cpu-ram"
    options += f" --feature-extractor inception-v3-compat --feature-extractor-weights-path {weights}"
    monkeypatch.setattr(sys, "argv", ["fidelity", *options.split()])
    program.main()
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def context(folders, inception_weights) -> MetricContext:
    extractors = Extractors(WeightFiles({"inception": inception_weights}))
    generated, real = map(ImageFiles, folders)
    return MetricContext(generated, real, MetricOptions(batch_size=5), extractors=extractors)


@pytest.mark.slow
def test_all_metrics_of_two_folders(command, context):
    values = {}
    for name in ("fid", "kid", "is"):
        values |= evaluate(name, context)["results"]
    assert values["fid"] == pytest.approx(command["frechet_inception_distance"], rel=REL)
    assert values["kid"] == pytest.approx(command["kernel_inception_distance_mean"], rel=REL)
    assert values["is_mean"] == pytest.approx(command["inception_score_mean"], rel=REL)
    assert values["is_std"] == pytest.approx(command["inception_score_std"], rel=REL)

    fake, real = (get(context, "inception", None)["2048"] for get in (generated_features, real_features))
    found = agreement(real, fake, PR_NEIGHBORS)
    assert found.precision == pytest.approx(command["precision"], rel=REL)
    assert found.recall == pytest.approx(command["recall"], rel=REL)
    assert 0 < found.precision < 1
    assert 0 < found.recall < 1
