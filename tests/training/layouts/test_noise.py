"""Heatmaps spoilt on purpose: how much, where, and always the same."""

import pytest
import scipy.stats
import torch

from tests.training.small import make_layout
from training.config import SamplerConfig
from training.layouts.files import layout_from_json, layout_to_json
from training.layouts.layout import Layout, concatenate
from training.layouts.noise import HeatmapNoise
from training.layouts.samplers import sample_layout

pytestmark = pytest.mark.numeric

NOISE, IMPULSE = SamplerConfig(kind="noise"), SamplerConfig(kind="impulse", impulse_share=0.2)
NUMBERS = [0.57234, -0.00309, 0.46559, 0.75433]  # of seed 7 at level 1, 2x2
each = pytest.mark.parametrize("config", [NOISE, IMPULSE], ids=["noise", "impulse"])


def draw(config: SamplerConfig, count: int = 3, seed: int = 1) -> Layout:
    return sample_layout(count, config, torch.Generator().manual_seed(seed))


def plain(layout: Layout) -> Layout:
    return Layout(layout.centers, layout.spreads)


def test_gaussian_noise_is_normal_and_independent_everywhere():
    layout = draw(NOISE, 20)
    maps = torch.cat([layout.heatmaps(level, 33).flatten(2).flatten(0, 1) for level in range(3)]).double()
    assert scipy.stats.kstest(maps.flatten().numpy(), scipy.stats.norm(0.5, 0.25).cdf).pvalue > 1e-3
    between = torch.corrcoef(maps) - torch.eye(len(maps))
    assert between.abs().max() < 0.15  # 140 maps of 1089 pixels: five standard errors
    neighbours = torch.corrcoef(torch.stack([maps[:, :-1].flatten(), maps[:, 1:].flatten()]))[0, 1]
    assert abs(neighbours) < 0.01


def test_impulses_hit_their_share_with_0_or_1_and_spare_the_rest():
    layout = draw(IMPULSE, 20)
    maps, clean = layout.heatmaps(2, 33), plain(layout).heatmaps(2, 33)
    hit = maps != clean
    assert hit.float().mean().item() == pytest.approx(0.2, abs=0.005)
    assert set(maps[hit].unique().tolist()) == {0, 1}
    assert maps[hit].mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_impulses_and_nothing_else(share):
    layout = draw(SamplerConfig(kind="impulse", impulse_share=share), 2)
    maps = layout.heatmaps(1, 16)
    assert torch.equal(maps, plain(layout).heatmaps(1, 16)) if share == 0 else set(maps.unique().tolist()) == {0, 1}


@each
def test_sizes_agree_where_they_have_a_pixel_in_common(config):
    layout = draw(config)
    torch.testing.assert_close(layout.heatmaps(2, 33)[:, :, ::4, ::4], layout.heatmaps(2, 9))


@each
def test_noise_stays_where_it_is_when_a_centre_moves(config):
    layout = draw(config)
    moved = layout.moved(0, 0, 0.3, 0.1)
    noisy = (layout.heatmaps(0, 17) - plain(layout).heatmaps(0, 17)) != 0
    assert torch.equal((moved.heatmaps(0, 17) - plain(moved).heatmaps(0, 17)) != 0, noisy)


@each
def test_noise_belongs_to_its_picture(config):
    layout = draw(config, 4)
    maps = layout.heatmaps(1, 8)
    assert torch.equal(layout[[2, 0]].heatmaps(1, 8), maps[[2, 0]])
    assert torch.equal(layout[1:3].heatmaps(1, 8), maps[1:3])
    assert torch.equal(layout[:1].repeat(2).heatmaps(1, 8), maps[[0, 0]])
    assert torch.equal(concatenate([layout[2:], layout[:2]]).heatmaps(1, 8), maps[[2, 3, 0, 1]])
    assert not torch.equal(maps[0], maps[1])


@each
def test_noise_survives_a_file(config):
    layout = draw(config)
    found = layout_from_json(layout_to_json(layout))
    assert torch.equal(found.heatmaps(2, 16), layout.heatmaps(2, 16))


def test_removed_parts_have_no_noise_either():
    layout = draw(IMPULSE).with_strength(2, 1, 0.0)
    assert layout.heatmaps(2, 16)[:, 1].abs().max() == 0
    assert layout.heatmaps(2, 16)[:, 0].abs().max() > 0


def test_values_are_finite_over_the_whole_grid():
    seeds = torch.tensor([0, 1, 2**32 - 1])
    maps = HeatmapNoise("gaussian", seeds).applied(torch.zeros(3, 2, 257, 257), 0)
    assert maps.isfinite().all()


def test_numbers_stay_what_they_are():
    """Saved layouts keep their noise from one version of this program to the next."""
    found = HeatmapNoise("gaussian", torch.tensor([7])).applied(torch.zeros(1, 1, 2, 2), 1).flatten()
    torch.testing.assert_close(found, torch.tensor(NUMBERS), rtol=1e-4, atol=1e-5)


def test_layouts_of_other_samplers_have_none():
    assert draw(SamplerConfig()).noise is None
    assert make_layout().noise is None
