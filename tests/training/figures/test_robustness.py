"""D's attention under noise, over bad samples, and over training."""

import numpy as np
import pytest

from dnnlib.errors import UserError
from tests.training.figures.runs import make_run
from training.figures.cells import image_cells
from training.figures.robustness import bad_samples_figure, consistency_figure, noise_figure
from training.figures.subject import ModelUnderStudy


@pytest.fixture
def subject(tmp_path):
    return ModelUnderStudy(make_run(tmp_path), "cpu")


def test_noise_columns_begin_with_the_clean_picture(subject):
    table = noise_figure(subject, count=2, amplitudes=(0, 0.5), gradcam="released")
    assert table.columns == ["σ = 0", "σ = 0.5"]
    assert [[row.label for row in group.rows] for group in table.groups] == [["image", "16 × 16", "8 × 8", "4 × 4"]] * 2
    np.testing.assert_array_equal(table.groups[0].rows[0].cells[0], image_cells(subject.real(2, 0).images)[0])
    for row in table.rows:
        assert not np.array_equal(*row.cells)
    assert all(row.notes[0] == "r = 1.00" for group in table.groups for row in group.rows[1:])


def test_noise_is_drawn_by_seed_alone(subject):
    first, again, other = (noise_figure(subject, seed=seed, amplitudes=(0.3,)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rows[0].cells[0], again.rows[0].cells[0])
    assert not np.array_equal(first.rows[0].cells[0], other.rows[0].cells[0])


def test_one_level_can_be_chosen(subject):
    table = noise_figure(subject, count=1, level=0)
    assert [row.label for row in table.rows] == ["image", "4 × 4"]


def test_negative_noise_is_refused(subject):
    with pytest.raises(UserError, match=r"noise of amplitude -0.1 cannot be"):
        noise_figure(subject, amplitudes=(0, -0.1))


def test_bad_samples_are_of_younger_generators_with_the_same_seed(subject):
    table = bad_samples_figure(subject, seeds=[3], steps=3)
    assert table.columns == ["1 kimg", "2 kimg", "4 kimg"]
    (group,) = table.groups
    assert group.label == "seed 3"
    np.testing.assert_array_equal(group.rows[0].cells[-1], image_cells(subject.generated([3]).images)[0])
    assert not np.array_equal(group.rows[0].cells[0], group.rows[0].cells[-1])


def test_consistency_compares_each_age_with_the_last(subject):
    table = consistency_figure(subject, count=1, seeds=[0, 1], level=1, gradcam="released")
    assert table.columns == ["image", "1 kimg", "2 kimg", "4 kimg"]
    (group,) = table.groups
    assert [row.label for row in group.rows] == ["real", "generated", "generated"]
    assert all(row.notes[0] == "" and row.notes[-1] == "r = 1.00" for row in group.rows)
    assert all(row.notes[1] != "r = 1.00" for row in group.rows)


@pytest.mark.parametrize("figure", [bad_samples_figure, consistency_figure])
def test_one_snapshot_shows_no_training(tmp_path, figure):
    with pytest.raises(UserError, match="one snapshot shows no training"):
        figure(ModelUnderStudy(make_run(tmp_path, kimg=(1,)), "cpu"))
