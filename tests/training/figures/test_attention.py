"""D's attention in figures."""

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.figures.runs import make_run
from tests.training.small import discriminator_config, make_discriminator, real_images
from training.config import AlignConfig
from training.figures.attention import (
    attention,
    attention_figure,
    chosen_resolutions,
    describe,
    gradcam_config,
    shown_resolutions,
)
from training.figures.subject import ImagesWithLabels, ModelUnderStudy
from training.losses.attention import attention_maps

pytestmark = pytest.mark.numeric

PAPER, RELEASED = AlignConfig(), AlignConfig(gradient="loss", relu="channel")


@pytest.mark.parametrize("config", [PAPER, RELEASED])
def test_maps_are_those_of_the_alignment_loss(config):
    D, images = make_discriminator(), real_images(4)
    judged = D(images.requires_grad_(), features=(16, 8, 4))
    expected = attention_maps(judged.logits, judged.features, config, 32)
    maps = attention(D, ImagesWithLabels(images.detach(), None), config, [16, 8, 4])
    for level, r in enumerate((4, 8, 16)):
        torch.testing.assert_close(maps[r], expected[level].detach())
        assert not maps[r].requires_grad
    assert all(parameter.grad is None for parameter in D.parameters())


def test_incomplete_groups_are_filled_up():
    D, images = make_discriminator(mbstd_group_size=4), real_images(6)
    maps = attention(D, ImagesWithLabels(images, None), RELEASED, [8])[8]
    filled = attention(D, ImagesWithLabels(images[[0, 1, 2, 3, 4, 5, 0, 1]], None), RELEASED, [8])[8]
    assert maps.shape == (6, 1, 8, 8)
    torch.testing.assert_close(maps, filled[:6])


def test_pictures_made_in_inference_mode_are_taken():
    with torch.inference_mode():
        images = real_images(2) * 1
    assert attention(make_discriminator(), ImagesWithLabels(images, None), PAPER, [4])[4].shape == (2, 1, 4, 4)


def test_features_of_small_discriminators():
    assert shown_resolutions(discriminator_config(img_resolution=256)) == [64, 32, 16, 8, 4]
    assert shown_resolutions(discriminator_config(img_resolution=16)) == [8, 4]
    assert chosen_resolutions(discriminator_config(img_resolution=128), None) == [16, 8, 4]
    assert chosen_resolutions(discriminator_config(img_resolution=32), 2) == [16]
    with pytest.raises(UserError, match="D of 16x16 images has no 16x16 feature, so no level 2"):
        chosen_resolutions(discriminator_config(img_resolution=16), 2)


def test_variants_of_gradcam(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path), "cpu")
    assert gradcam_config(subject, "run") is subject.config.align
    assert (gradcam_config(subject, "released").gradient, gradcam_config(subject, "released").relu) == (
        "loss", "channel",
    )
    assert "gradient of the logits" in describe(gradcam_config(subject, "paper"))


@pytest.mark.parametrize("classes", [0, 3])
def test_figure_has_real_and_generated_rows(tmp_path, classes):
    subject = ModelUnderStudy(make_run(tmp_path, classes=classes), "cpu")
    table = attention_figure(subject, count=3, seeds=[7, 8], gradcam="released")
    assert table.columns == ["image", "16 × 16", "8 × 8", "4 × 4"]
    assert [(group.label, len(group.rows)) for group in table.groups] == [("real", 3), ("generated", 2)]
    assert all(cell.shape == (128, 128, 3) for row in table.rows for cell in row.cells)
    assert len({cell.tobytes() for row in table.rows for cell in row.cells}) == 5 * 4
