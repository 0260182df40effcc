"""Locality, on painters who change what they are told to, or the rest, too."""

import math

import pytest
import torch

from dnnlib.errors import UserError
from metrics.context import network_context
from metrics.locality import STEP, changes, neighborhood, shifted
from metrics.registry import check, evaluate
from tests.tiny_models import NoData, tiny_config, tiny_model
from training.layouts.layout import Layout

pytestmark = pytest.mark.numeric

SIZE = 33


class Painter:
    """The first object's Gaussian on black; where the others lie does not matter. `bleeding` brightens all with x."""

    def __init__(self, bleeding=0.0, method="spatialgan-indoor", is_deaf=False):
        self.config, self.device, self.kimg = tiny_config(method), torch.device("cpu"), 1.0
        self.bleeding, self.is_deaf = bleeding, is_deaf

    def layout(self, seeds):
        centers = torch.zeros(len(seeds), 3, 2)
        return Layout((centers,), (torch.full([len(seeds), 3], 0.05),))

    def images(self, seeds, *, layout, labels, batch_size):
        if self.is_deaf:
            return torch.zeros(len(layout), 3, SIZE, SIZE)
        picture = layout.heatmaps(0, SIZE, floor=0.0).amax(1, keepdim=True)
        ring = (picture > 0.1) * 0.5
        return (ring + self.bleeding * layout.centers[0][:, :, :1].abs().sum(1)[..., None, None]).repeat(1, 3, 1, 1)


def measure(painter, num=16, **settings):
    return evaluate("locality", network_context(painter, None, NoData(), num=num, **settings))["results"]


def test_changes_near_the_centre_only_are_perfect():
    found = measure(Painter())
    assert found["locality"] == 0
    assert found["change_inside"] > 0.1
    assert found["unchanged"] == 0


def test_remote_changes_are_measured_against_near_ones():
    little, much = measure(Painter(0.05)), measure(Painter(0.3))
    assert 0 < little["locality"] < much["locality"]
    assert little["change_outside"] == pytest.approx(0.05 * 4 / math.pi * STEP / 2 * 1.0, rel=0.5)


def test_pictures_that_do_not_change_are_counted_and_left_out():
    found = measure(Painter(is_deaf=True))
    assert found["unchanged"] == 16
    assert math.isnan(found["locality"])


def test_value_does_not_depend_on_the_batch_size():
    assert measure(Painter(0.1), batch_size=3) == pytest.approx(measure(Painter(0.1), batch_size=16), rel=1e-6)


@pytest.mark.parametrize("method", ["spatialgan", "spatialgan-indoor"])
def test_real_models_of_both_kinds(method):
    found = evaluate("locality", network_context(tiny_model(method), None, NoData(), num=4))
    assert found["num_latents"] == 4
    assert found["results"]["locality"] > 0


def test_parts_have_values_of_their_own():
    class PartPainter(Painter):
        """Two centres of level 1, and nothing but the first of them is drawn; the second one tints everything."""

        def layout(self, seeds):
            zeros, spreads = torch.zeros(len(seeds), 1, 2), torch.full([len(seeds), 1], 0.05)
            return Layout((zeros, zeros.repeat(1, 2, 1)), (spreads, spreads.repeat(1, 2)))

        def images(self, seeds, *, layout, labels, batch_size):
            part = layout.heatmaps(1, SIZE, floor=0.0)[:, :1]
            tint = layout.centers[1][:, 1].norm(dim=1) - layout.centers[0][:, 0].norm(dim=1)
            return (part + 0.3 * tint[:, None, None, None]).repeat(1, 3, 1, 1)

    found = measure(PartPainter(method="spatialgan"), num=64)
    assert found["locality"] < 0.02  # the whole moves, and the tint does not change
    assert found["change_inside_level1"] > 0.05
    assert found["locality_level1"] > 0.1  # half of the centres of level 1 change all of the picture
    assert not any(key.endswith("level2") for key in found)


def test_models_without_heatmaps_are_refused():
    with pytest.raises(UserError, match="'locality' does not apply: a model of method stylegan2 has no heatmaps"):
        check(["locality"], tiny_config("stylegan2"))


def test_neighbourhood_covers_where_the_object_was_and_is():
    layout = Painter().layout([0, 1])
    moved = shifted(layout, torch.tensor([0, 2]), torch.tensor([0.0, math.pi / 2]))
    torch.testing.assert_close(moved.centers[0][0, 0], torch.tensor([STEP, 0.0]))
    torch.testing.assert_close(moved.centers[0][1, 2], torch.tensor([0.0, STEP]))
    mask = neighborhood(layout, moved, torch.tensor([0, 2]), SIZE)
    middle, step = SIZE // 2, round(STEP * (SIZE - 1) / 2)
    seen = [[mask[n, middle, middle + 2 * step].item(), mask[n, middle + 2 * step, middle].item()] for n in (0, 1)]
    assert mask[:, middle, middle].all()
    assert seen == [[True, False], [False, True]]


def test_the_neighborhood_of_a_part_is_that_of_its_own_heatmap():
    zeros, spreads = torch.zeros(1, 1, 2), torch.full([1, 1], 0.05)
    layout = Layout((zeros, zeros - 0.5), (spreads, spreads))
    moved = shifted(layout, torch.tensor([0]), torch.tensor([0.0]), level=1)
    assert torch.equal(moved.centers[0], layout.centers[0])
    torch.testing.assert_close(moved.centers[1], torch.tensor([[[STEP - 0.5, -0.5]]]))
    mask = neighborhood(layout, moved, torch.tensor([0]), SIZE, level=1)
    quarter = SIZE // 4
    assert mask[0, quarter, quarter]
    assert not mask[0, SIZE // 2, SIZE - quarter]


def test_change_is_averaged_over_each_region():
    before, after = torch.zeros(1, 2, 2, 2), torch.tensor([[[[1.0, 0.5], [0, 0]], [[0.0, 0.5], [0, 0]]]])
    inside = torch.tensor([[[True, False], [False, False]]])
    near, far = changes(before, after, inside)
    assert near.item() == 0.5
    assert far.item() == pytest.approx(0.5 / 3)
