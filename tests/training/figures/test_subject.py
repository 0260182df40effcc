"""What figures are made of."""

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.figures.runs import make_run
from training.figures.subject import ModelUnderStudy, early_steps, kimg_text, over_training
from training.sampling import Model


def test_pictures_are_those_of_the_model(tmp_path):
    run = make_run(tmp_path)
    subject = ModelUnderStudy(run, "cpu")
    assert (subject.kimg, subject.name) == (4, "small, 4 kimg")
    generated = subject.generated([3, 5])
    assert torch.equal(generated.images, Model.load(run, "cpu").images([3, 5]))
    assert generated.labels is None


def test_real_images_are_chosen_by_seed(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path), "cpu")
    first, again, other = (subject.real(4, seed).images for seed in (0, 0, 1))
    assert first.shape == (4, 3, 32, 32)
    assert first.min() >= -1
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(UserError, match="holds 8 images, 9 were asked for"):
        subject.real(9)


def test_missing_data_are_named_when_they_are_needed(tmp_path):
    run = make_run(tmp_path)
    (tmp_path / "data32.zip").unlink()
    subject = ModelUnderStudy(run, "cpu")
    assert len(subject.generated([0]).images) == 1
    with pytest.raises(UserError, match="the training data is no longer there; say where it is with --data"):
        subject.real(1)


def test_classes_take_turns(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path, classes=3), "cpu")
    seen = subject.generated([4, 5])
    assert seen.labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert torch.equal(seen.images, subject.model.images([4, 5], labels=[1, 2]))
    assert subject.real(2).labels.shape == (2, 3)


def test_a_model_without_layouts_says_so(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path, "stylegan2"), "cpu")
    with pytest.raises(UserError, match="method stylegan2 takes no layout"):
        subject.layout([0])


def test_snapshots_over_training_end_with_the_one_that_was_opened(tmp_path):
    run = make_run(tmp_path, kimg=(0, 1, 2, 3, 4, 5, 6, 7))
    assert [one.kimg for one in over_training(run, 6, 4)] == [0, 1, 3, 6]
    assert [one.kimg for one in over_training(run, 7, 99)] == [0, 1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(UserError, match="two or more are needed"):
        over_training(run, 0, 4)


def test_steps_are_closer_early_on():
    assert early_steps(26, 6) == [0, 1, 3, 6, 13, 25]
    assert early_steps(2, 6) == [0, 1]
    assert early_steps(7, 6) == [0, 1, 2, 3, 4, 6]


def test_kimg_are_whole_from_one_on():
    said = [kimg_text(kimg) for kimg in (0.0, 0.064, 5.024, 25000.0)]
    assert said == ["0 kimg", "0.064 kimg", "5 kimg", "25000 kimg"]
