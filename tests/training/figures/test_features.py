"""Mean features of G."""

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.figures.runs import make_run
from training.figures.features import features_figure, mean_features
from training.figures.subject import ModelUnderStudy


def test_means_are_of_each_blocks_output(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path), "cpu")
    images, means = mean_features(subject, [0, 1])
    assert {r: tuple(mean.shape) for r, mean in means.items()} == {r: (2, 1, r, r) for r in (4, 8, 16, 32)}
    assert torch.equal(images, subject.generated([0, 1]).images)
    outputs = {}
    subject.model.images([0, 1], block_outputs=outputs)
    torch.testing.assert_close(means[8], outputs[8].mean(1, keepdim=True))


def test_figure_of_one_model(tmp_path):
    table = features_figure([ModelUnderStudy(make_run(tmp_path), "cpu")], [2, 3])
    assert table.columns == ["image", "layout", "4 × 4", "8 × 8", "16 × 16", "32 × 32"]
    assert [row.label for row in table.rows] == ["seed 2", "seed 3"]


def test_a_baseline_without_layouts_stands_below(tmp_path):
    subjects = [ModelUnderStudy(make_run(tmp_path, method), "cpu") for method in ("spatialgan", "stylegan2")]
    ours, baseline = features_figure(subjects, [0]).groups
    assert ours.rows[0].cells[1] is not None
    assert baseline.rows[0].cells[1] is None
    assert "layout" not in features_figure(subjects[1:], [0]).columns


def test_sizes_must_agree(tmp_path):
    subjects = [ModelUnderStudy(make_run(tmp_path, method, resolution=r), "cpu")
                for method, r in (("spatialgan", 16), ("stylegan2", 32))]
    with pytest.raises(UserError, match="models of 16x16 and 32x32 pictures do not compare"):
        features_figure(subjects)
