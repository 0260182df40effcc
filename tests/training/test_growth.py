"""When networks grow, and what real images look like meanwhile."""

import pytest
import torch
from pydantic import ValidationError

from dnnlib.errors import UserError
from tests.training.networks.lineage import lineage_config
from training.config import GrowthConfig
from training.growth import at_level, level_at, same_layers
from training.presets.choices import check_choices

pytestmark = pytest.mark.numeric


def test_the_schedule():
    growth = GrowthConfig(start_resolution=8, fade_kimg=2, stable_kimg=1)
    levels = {0: 1, 999: 1, 1000: 1, 1500: 1.25, 3000: 2, 3500: 2, 4000: 2, 5000: 2.5, 6000: 3, 10**9: 3}
    assert {images: level_at(growth, images, 32) for images in levels} == levels


def test_a_schedule_without_fading():
    growth = GrowthConfig(fade_kimg=0, stable_kimg=1)
    assert [level_at(growth, images, 32) for images in (0, 999, 1000, 1999, 2000, 3000, 9000)] == [0, 0, 1, 1, 2, 3, 3]


def test_a_schedule_that_begins_at_half_the_size():
    growth = GrowthConfig(start_resolution=None, fade_kimg=0, stable_kimg=1)
    assert [level_at(growth, images, r) for images in (0, 1000) for r in (32, 256)] == [2, 5, 3, 6]


def test_real_images_have_the_detail_of_the_level():
    images = torch.randn([2, 3, 16, 16], dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def seen(r):
        means = images.unflatten(3, (r, -1)).unflatten(2, (r, -1)).mean((3, 5))
        return means.repeat_interleave(16 // r, 2).repeat_interleave(16 // r, 3)

    assert torch.equal(at_level(images, 2), images)
    torch.testing.assert_close(at_level(images, 1), seen(8))
    torch.testing.assert_close(at_level(images, 0.25), 0.75 * seen(4) + 0.25 * seen(8))
    torch.testing.assert_close(at_level(images, 1.5), 0.5 * seen(8) + 0.5 * images)


def test_layers_change_where_a_fade_begins_and_ends():
    assert [same_layers(a, b) for a, b in ((1, 1), (1, 1.1), (1.1, 1.9), (1.9, 2), (2, 2))] == [
        True, False, True, False, True,
    ]  # fmt: skip


def test_what_cannot_grow_is_refused():
    with pytest.raises(UserError, match="growth must be null with backbone r3gan, which does not grow"):
        check_choices(lineage_config("r3gan", growth={}))
    with pytest.raises(ValidationError, match="start_resolution 64 is above the images' 32"):
        lineage_config("progan", growth={"start_resolution": 64})
    with pytest.raises(ValidationError, match="power of two"):
        lineage_config("progan", growth={"start_resolution": 12})
