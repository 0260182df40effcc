"""The centroid co-move ratio, on a painter whose obedience is known."""

import math

import pytest
import torch

from dnnlib.errors import UserError
from metrics.centroid_co_move import background_change, centered, object_masks
from metrics.context import network_context
from metrics.registry import evaluate
from tests.tiny_models import NoData, tiny_config, tiny_model
from training.layouts.layout import Layout, concatenate

pytestmark = pytest.mark.numeric

SIZE = 64


class Painter:
    """Draws a disc where the level-0 centre is, times `gain` (x, y), on a background graded from top to bottom."""

    def __init__(self, gain=(1.0, 1.0), bleeding=0.0, is_blank=lambda number, centre: False):
        self.config, self.device, self.kimg = tiny_config(), torch.device("cpu"), 1.0
        self.gain, self.bleeding, self.is_blank = gain, bleeding, is_blank

    def layout(self, seeds):
        self.numbers = {seed: number for number, seed in enumerate(seeds)}
        return concatenate([self._one_layout(torch.Generator().manual_seed(seed)) for seed in seeds])

    def _one_layout(self, stream):
        centre = torch.rand([1, 1, 2], generator=stream) - 0.5
        return Layout((centre, centre.repeat(1, 2, 1)), (torch.ones(1, 1), torch.ones(1, 2)))

    def images(self, seeds, *, layout, labels, batch_size):
        pairs = zip([self.numbers[seed] for seed in seeds], layout.centers[0][:, 0].tolist(), strict=True)
        return torch.stack([self._paint(number, centre) for number, centre in pairs])

    def _paint(self, number, centre):
        axis = torch.linspace(-1, 1, SIZE)
        picture = (0.5 * axis[:, None] + self.bleeding * centre[0]).expand(SIZE, SIZE)
        if not self.is_blank(number, centre):
            x, y = (position * gain for position, gain in zip(centre, self.gain, strict=True))
            disc = (axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2 < 0.2**2
            picture = picture.where(~disc, 3.0)  # beyond 1, which the metric clamps
        return picture.expand(3, -1, -1)


def measure(painter, num=12, **settings):
    return evaluate("centroid_co_move", network_context(painter, None, NoData(), num=num, **settings))["results"]


def test_masks_hold_what_stands_out_of_its_row():
    image = torch.linspace(-1, 1, 8)[None, :, None].repeat(3, 1, 8)
    image[:, 2, 5] += 0.11  # 0.33 over the channels
    image[:, 6, 1] -= 0.12  # 0.36
    assert object_masks(image[None]).nonzero().tolist() == [[0, 6, 1]]


def test_background_change_leaves_the_objects_out():
    before, after = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    after[:, :, 0] = 9.0
    objects = torch.zeros(2, 4, 4, dtype=torch.bool)
    objects[0, 0] = True
    objects[1] = True
    change = background_change(before, after, objects)
    assert change[0].item() == pytest.approx(0.5)
    assert change[1].isnan()


def test_centred_brings_all_levels_along():
    layout = Painter().layout([3, 4])
    moved = centered(layout)
    torch.testing.assert_close(moved.centers[0], torch.zeros(2, 1, 2))
    torch.testing.assert_close(moved.centers[1] - moved.centers[0], layout.centers[1] - layout.centers[0])


@pytest.mark.parametrize("gain", [(1.0, 1.0), (0.0, 0.0), (0.8, 0.4)])
def test_a_known_obedience_is_found(gain):
    results = measure(Painter(gain))
    for start in ("from_prior", "from_centre"):
        assert results[f"{start}_horizontal"] == pytest.approx(gain[0], abs=0.02)
        assert results[f"{start}_vertical"] == pytest.approx(gain[1], abs=0.02)
        assert results[start] == pytest.approx(sum(gain) / 2, abs=0.02)
        assert results[f"{start}_background_change"] == pytest.approx(0, abs=1e-6)
        assert results[f"{start}_no_object"] == 0
        assert results[f"{start}_pictures"] == 60


def test_background_that_changes_with_the_centre_is_seen():
    results = measure(Painter(bleeding=0.5))
    horizontal_half = 0.5 * 0.5 * 0.3  # vertical moves leave the background alone
    assert results["from_centre_background_change"] == pytest.approx(horizontal_half, abs=1e-4)


def test_pictures_without_an_object_are_counted_and_left_out():
    results = measure(Painter((0.5, 0.5), is_blank=lambda number, centre: number % 4 == 0))
    assert results["from_prior_no_object"] == 15
    assert results["from_prior"] == pytest.approx(0.5, abs=0.02)
    gone_right = measure(Painter((0.5, 0.5), is_blank=lambda number, centre: centre[0] > 0.2))
    assert gone_right["from_centre_no_object"] == 12
    assert gone_right["from_centre_vertical"] == pytest.approx(0.5, abs=0.02)
    assert math.isnan(gone_right["from_centre_horizontal"])  # nothing is known of moves to the right


def test_nothing_found_is_not_a_number():
    results = measure(Painter(is_blank=lambda number, centre: True), num=2)
    assert results["from_prior_no_object"] == 10
    assert all(math.isnan(results[key]) for key in ("from_prior", "from_prior_ci95", "from_prior_background_change"))


def test_interval_is_over_latents():
    assert measure(Painter((0.7, 0.7)))["from_prior_ci95"] < 0.02
    obeys_half_the_time = Painter()
    obeys_half_the_time._paint = lambda number, centre: Painter((number % 2, number % 2))._paint(number, centre)
    results = measure(obeys_half_the_time, num=16)
    assert results["from_prior"] == pytest.approx(0.5, abs=0.02)
    assert results["from_prior_ci95"] == pytest.approx(1.96 * (0.25 * 16 / 15) ** 0.5 / 4, abs=0.02)


def test_batch_size_changes_nothing():
    painter = Painter((0.9, 0.6))
    assert measure(painter, num=7, batch_size=3) == pytest.approx(measure(painter, num=7), rel=1e-6, abs=1e-6)


def test_a_real_model_can_be_measured():
    context = network_context(tiny_model(), None, NoData(), num=3)
    first, second = (evaluate("centroid_co_move", context) for _ in range(2))
    assert first["num_latents"] == 3
    assert first["results"]["from_prior_pictures"] == 15
    assert str(first["results"]) == str(second["results"])


@pytest.mark.parametrize("options, reason", [
    ({"method": "stylegan2"}, "no heatmaps to move"),
    ({"counts": (3, 2, 4)}, "pictures of one object, this model places 3"),
])
def test_models_it_does_not_apply_to(options, reason):
    with pytest.raises(UserError, match=reason):
        evaluate("centroid_co_move", network_context(tiny_model(**options), None, NoData(), num=1))
