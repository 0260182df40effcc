"""The Co-move Ratio, on a painter whose obedience is known, and its parts."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from metrics import co_move
from metrics.co_move import (
    LOST,
    NO_OBJECT,
    allowed,
    ceiling,
    draw_commands,
    kept_inside,
    moved_one_each,
    ratio,
    summarize,
    under,
)
from metrics.context import network_context
from metrics.detectors.instances import Instances
from metrics.registry import check, evaluate
from tests.tiny_models import tiny_config, tiny_model
from tests.training.small import make_layout
from training.config import SamplerConfig
from training.layouts.layout import Layout, concatenate
from training.layouts.samplers import least_distances, sample_layout

pytestmark = pytest.mark.numeric

SIZE = 64
COLORS = ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0))


class KnownScenes:
    """What a result says of the data set, and how many objects its scenes have."""

    name, mirror = "none", False

    def __init__(self, objects):
        self.scenes = {"0.png": {"objects": [{}] * objects}}

    def content_hash(self):
        return "0"

    def __len__(self):
        return 0


class Painter:
    """Draws a disc of a colour of its own at each level-0 centre; disc i makes gains[i] of its centre's moves.

    `hides(seed, centre)`: discs that are not drawn. `stray`: discs are drawn this far to the right of their centres.
    """

    def __init__(self, gains, hides=lambda seed, centre: False, stray=0.0):
        config = tiny_config(counts=(len(gains), 2, 4))
        self.config, self.device, self.kimg = config, torch.device("cpu"), 1.0
        self.gains, self.hides, self.stray = gains, hides, stray

    def layout(self, seeds):
        return concatenate([self._one_layout(torch.Generator().manual_seed(seed)) for seed in seeds])

    def _one_layout(self, stream):
        """Centres of several discs keep apart."""
        columns = torch.linspace(-1, 1, 2 * len(self.gains) + 1)[1::2] * 0.9
        centers = torch.stack([columns, torch.rand([len(self.gains)], generator=stream) - 0.5], 1)[None]
        return Layout((centers, centers[:, :1]), (torch.ones(1, len(self.gains)), torch.ones(1, 1)))

    def images(self, seeds, *, layout, labels, batch_size):
        starts = self.layout(seeds).centers[0]
        pairs = zip(seeds, starts, layout.centers[0], strict=True)
        return torch.stack([self._paint(seed, start, now) for seed, start, now in pairs])

    def _paint(self, seed, start, now):
        axis = torch.linspace(-1, 1, SIZE)
        picture = (0.2 * axis[:, None]).expand(3, SIZE, SIZE)
        for gain, color, begun, center in zip(self.gains, COLORS, start, now, strict=False):
            x, y = begun + gain * (center - begun)
            disc = (axis[None, :] - x - self.stray) ** 2 + (axis[:, None] - y) ** 2 < 0.2**2
            if not self.hides(seed, center):
                picture = torch.where(disc, torch.tensor(color)[:, None, None], picture)
        return picture


def measure(painter, num=40, name="co_move", **settings):
    data = KnownScenes(len(painter.gains))
    return evaluate(name, network_context(painter, None, data, num=num, **settings))


@pytest.mark.parametrize("gain", [1.0, 0.6, 0.0])
def test_a_known_obedience_is_found(gain):
    result = measure(Painter([gain]))
    values = result["results"]
    assert values["co_move"] == pytest.approx(gain, abs=0.03)
    assert values["co_move_ci95"] < 0.06
    assert values["co_move_counted"] == 40
    assert values["co_move_no_object"] == values["co_move_lost"] == 0
    assert result["detector"] == "color, one object"
    assert result["num_samples"] == 40


def test_any_of_several_centres_is_moved_and_its_own_object_followed():
    result = measure(Painter([0.9, 0.3, 0.9]), num=90)
    assert result["detector"] == "color"
    assert result["results"]["co_move"] == pytest.approx(0.7, abs=0.08)
    assert result["results"]["co_move_counted"] > 80
    one_gain = measure(Painter([0.5, 0.5, 0.5]), num=30)["results"]
    assert one_gain["co_move"] == pytest.approx(0.5, abs=0.05)


def test_centres_beside_the_object_do_not_count():
    values = measure(Painter([1.0], stray=0.4))["results"]
    assert values["co_move_no_object"] == 1
    assert values["co_move_counted"] == 0
    assert math.isnan(values["co_move"])
    assert math.isnan(values["co_move_ci95"])


def test_the_share_of_pictures_without_objects_is_told():
    values = measure(Painter([0.7], hides=lambda seed, centre: seed % 4 == 0), num=80)["results"]
    assert 0.1 < values["co_move_no_object"] < 0.4
    assert values["co_move_counted"] == 80 - round(80 * values["co_move_no_object"])
    assert values["co_move"] == pytest.approx(0.7, abs=0.03)


def test_objects_that_vanish_when_moved_are_lost():
    middle = Painter([1.0]).layout([0]).centers[0][0, 0, 0].item()
    values = measure(Painter([1.0], hides=lambda seed, centre: centre[0] != middle))["results"]
    assert values["co_move_lost"] == 1
    assert values["co_move_counted"] == 0


def test_batch_size_changes_nothing():
    first, second = (measure(Painter([0.8]), num=7, batch_size=size)["results"] for size in (3, 7))
    assert first == pytest.approx(second)


@pytest.mark.parametrize("name", ["co_move", "co_move5k", "co_move50k"])
def test_three_sizes_of_one_metric(name):
    result = measure(Painter([1.0]), num=3, name=name)
    assert result["metric"] == ("co_move" if name == "co_move" else "co_move3")  # 3 samples are not 5,000
    assert result["results"]["co_move_counted"] == 3


@pytest.mark.parametrize(
    "method, counts",
    [
        ("spatialgan", (1, 2, 4)),
        ("spatialgan", (3, 2, 4)),
        ("spatialgan-indoor", (3,)),
    ],
)
def test_a_real_model_can_be_measured(method, counts):
    context = network_context(tiny_model(method, counts=counts), None, KnownScenes(counts[0]), num=4)
    first, second = (evaluate("co_move", context)["results"] for _ in range(2))
    assert str(first) == str(second)
    assert first["co_move_counted"] + 4 * (first["co_move_no_object"] + first["co_move_lost"]) == pytest.approx(4)


def test_models_without_centres_are_refused():
    with pytest.raises(UserError, match=r"'co_move' does not apply.*stylegan2 has no heatmaps to move"):
        check(["co_move"], tiny_config("stylegan2"))


def test_photographs_without_weights_are_refused(tmp_path):
    data = SimpleNamespace(scenes={})
    context = network_context(Painter([1.0]), None, data, num=1, detector_weights=str(tmp_path / "absent"))
    with pytest.raises(UserError, match="no weights for Mask R-CNN"):
        co_move.co_move(context, 1)


# ---- its parts


def test_commands_are_as_said():
    seeds, centers, offsets = draw_commands(500, 3, np.random.default_rng(0))
    lengths = offsets.norm(dim=1)
    assert lengths.min() >= 0.1
    assert lengths.max() <= 0.4
    assert set(centers) == {0, 1, 2}
    assert len(set(seeds)) == 500
    assert offsets.mean(0).abs().max() < 0.05


def test_commands_stay_within_the_picture():
    centers = torch.tensor([[0.9, -0.9], [0.9, 0.0], [0.0, 0.0]])
    offsets = torch.tensor([[0.3, 0.3], [0.2, 0.1], [0.3, -0.3]])
    kept = kept_inside(centers, offsets)
    torch.testing.assert_close(kept, torch.tensor([[-0.3, 0.3], [-0.2, 0.1], [0.3, -0.3]]))


def test_each_layout_has_its_own_move():
    layout = make_layout(3, counts=(3, 2, 4))
    offsets = torch.tensor([[0.1, 0.0], [0.0, 0.2], [-0.3, 0.3]])
    moved = moved_one_each(layout, [2, 0, 1], offsets)
    for n, index in enumerate([2, 0, 1]):
        expected = layout[[n]].moved(0, index, *offsets[n].tolist())
        for level in range(3):
            torch.testing.assert_close(moved.centers[level][[n]], expected.centers[level])


def boxes(*corners, side=16):
    """bool [n, side, side]: 4x4 boxes at (x, y)."""
    masks = torch.zeros(len(corners), side, side, dtype=torch.bool)
    for mask, (x, y) in zip(masks, corners, strict=True):
        mask[y : y + 4, x : x + 4] = True
    return masks


def test_the_object_under_a_centre():
    masks = boxes((0, 0), (10, 2))
    assert under(masks, torch.tensor([-1.0, -1.0])) == 0
    assert under(masks, torch.tensor([11 / 7.5 - 1, 3 / 7.5 - 1])) == 1
    assert under(masks, torch.tensor([1.0, 1.0])) is None
    assert under(masks[:0], torch.tensor([0.0, 0.0])) is None


def test_an_object_is_recognised_by_its_features_not_by_its_place():
    features = torch.tensor([[0.0], [5.0]])
    before = Instances(boxes((0, 0), (10, 10)), features)
    swapped = Instances(boxes((0, 2), (4, 0)), features.flip(0) + 0.1)
    offset = torch.tensor([4, 0]) / 7.5
    assert ratio(before, swapped, torch.tensor([-0.9, -0.9]), offset) == pytest.approx(1)
    assert ratio(before, Instances(boxes(), features[:0]), torch.tensor([-0.9, -0.9]), offset) == LOST
    assert ratio(before, swapped, torch.tensor([0.0, 0.0]), offset) == NO_OBJECT


def test_summary_is_over_what_counts():
    values = summarize([1.0, 0.0, NO_OBJECT, LOST])
    assert values["co_move"] == 0.5
    assert values["co_move_ci95"] == pytest.approx(1.96 * 0.5**0.5 / 2**0.5)
    assert values["co_move_counted"] == 2
    assert values["co_move_no_object"] == values["co_move_lost"] == 0.25


# ---- beside a perfect follower


class Follower:
    """Layouts of the method for several objects, as its sampler draws them; it never makes a picture."""

    def __init__(self, sampler: SamplerConfig, count: int = 3):
        self.config = SimpleNamespace(sampler=sampler)
        self.registration, self.count, self.sampler = "cells", count, sampler

    def layout(self, seeds):
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [sample_layout(1, self.sampler, stream, (self.count,)) for stream in streams]
        return concatenate(drawn).registered(self.registration)


SPACED = SamplerConfig(kind="multi-object", spread=(0.1, 0.5), apart=0.6, margin=0.3)
PAPERS = SamplerConfig(kind="multi-object", spread=(0.1, 0.5))


def perfect(sampler: SamplerConfig) -> float:
    commands = draw_commands(300, 3, np.random.default_rng(0))
    return ceiling(Follower(sampler), commands, 64, 64)


def test_discs_where_they_are_told_to_be_make_the_whole_move():
    assert perfect(SPACED) >= 0.97
    assert perfect(PAPERS) < 0.93  # where discs hide each other, and are cut off at the borders


def test_moves_lead_to_layouts_that_the_sampler_draws():
    layout = Follower(SPACED).layout(range(200))
    commands = draw_commands(200, 3, np.random.default_rng(1))
    _, offsets = allowed(layout, commands, SPACED)
    torch.testing.assert_close(offsets.abs(), commands.offsets.abs())
    end = moved_one_each(layout, commands.centers, offsets).centers[0]
    assert (end.abs() <= 0.7 + 1e-6).float().mean() > 0.98
    blind = moved_one_each(layout, commands.centers, commands.offsets).centers[0]
    assert (least_distances(end) >= 0.59).float().mean() > (least_distances(blind) >= 0.59).float().mean() + 0.05
