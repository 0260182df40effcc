"""Random layouts: reproducible, and distributed as their sampler says."""

import pytest
import scipy.stats
import torch

from tests.training.small import global_streams
from training.config import SamplerConfig
from training.layouts.layout import Layout
from training.layouts.samplers import least_distances, sample_layout

pytestmark = pytest.mark.numeric

MANY = 20000
PAPER, RELEASED = SamplerConfig(kind="paper"), SamplerConfig(kind="released")
FREE, NOISE = SamplerConfig(kind="non-hierarchical"), SamplerConfig(kind="noise")
RELEASED_FREE = SamplerConfig(kind="released-non-hierarchical")
UNIFORM = SamplerConfig(kind="uniform", margin=0.4)
OBJECTS = SamplerConfig(kind="multi-object", spread=(0.1, 0.5))
each_sampler = pytest.mark.parametrize(
    "config", [PAPER, RELEASED, UNIFORM, FREE, RELEASED_FREE, NOISE], ids=lambda config: config.kind
)


def draw(config: SamplerConfig, count: int = MANY, seed: int = 11, **options) -> Layout:
    return sample_layout(count, config, torch.Generator().manual_seed(seed), **options)


def same(a: Layout, b: Layout) -> bool:
    return all(map(torch.equal, a.centers + a.spreads, b.centers + b.spreads))


def fits(numbers: torch.Tensor, distribution) -> bool:
    """Kolmogorov-Smirnov test; the seed is fixed, so it passes always or never."""
    return scipy.stats.kstest(numbers.double().numpy(), distribution.cdf).pvalue > 1e-3


def uniform(low: float, high: float):
    return scipy.stats.uniform(low, high - low)


@each_sampler
def test_a_generator_decides_everything(config):
    assert same(draw(config, 5), draw(config, 5))
    assert not same(draw(config, 5), draw(config, 5, seed=12))
    before = global_streams()
    draw(config, 5)
    assert global_streams() == before


@each_sampler
def test_each_call_continues_the_stream(config):
    stream = torch.Generator().manual_seed(1)
    first, second = (sample_layout(3, config, stream) for _ in range(2))
    assert not same(first, second)


@each_sampler
@pytest.mark.parametrize("counts", [(1, 2, 4), (2, 1, 3)])
def test_shapes(config, counts):
    layout = draw(config, 6, counts=counts)
    assert layout.counts == counts
    assert [tuple(s.shape) for s in layout.spreads] == [(6, n) for n in counts]


@each_sampler
def test_samples_are_valid_layouts(config):
    layout = draw(config)
    assert layout.validate() is layout


@each_sampler
def test_spreads(config):
    first, second, third = draw(config).spreads
    assert first.unique().numel() == 1  # one draw a batch
    assert 0.5 <= first[0, 0] <= 1
    assert fits(second.flatten(), uniform(0.1 / 1.4, 1.1 / 1.4))
    assert fits(third.flatten(), uniform(0.05, 0.55))


@each_sampler
@pytest.mark.parametrize("low, high", [(0.5, 1.0), (0.1, 0.2)])
def test_level_0_spread_varies_between_batches_within_its_range(config, low, high):
    config = config.model_copy(update={"spread": (low, high)})
    numbers = torch.stack([draw(config, 1, seed).spreads[0][0, 0] for seed in range(300)])
    assert fits(numbers, uniform(low, high))


@pytest.mark.parametrize("axis", [0, 1])
def test_paper_level_0_is_a_normal_cut_off_at_the_border(axis):
    numbers = draw(PAPER, 5 * MANY).centers[0][:, 0, axis]
    assert fits(numbers, scipy.stats.truncnorm(-1.5, 1.5, scale=2 / 3))
    assert numbers.abs().max() <= 1


def test_paper_axes_are_independent():
    x, y = draw(PAPER).centers[0][:, 0].T.double().numpy()
    assert abs(scipy.stats.spearmanr(x, y).statistic) < 0.03


@pytest.mark.parametrize("level", [1, 2])
def test_paper_children_are_normal_around_their_level_0_centre(level):
    layout = draw(PAPER)
    assert fits((layout.centers[level] - layout.centers[0]).flatten(), scipy.stats.norm(0, 1 / 3))


def test_released_level_0_is_a_clamped_normal():
    numbers = draw(RELEASED).centers[0].flatten()
    assert numbers.abs().max() == 0.75
    normal = scipy.stats.norm(0, 0.33)
    clamped = (numbers.abs() == 0.75).double().mean().item()
    assert clamped == pytest.approx(2 * normal.sf(0.75), abs=0.003)
    inside = numbers[numbers.abs() < 0.75]
    assert fits(inside, scipy.stats.truncnorm(-0.75 / 0.33, 0.75 / 0.33, scale=0.33))


def test_uniform_level_0_keeps_its_margin():
    numbers = draw(UNIFORM).centers[0].flatten()
    assert numbers.abs().max() <= 0.6
    assert fits(numbers, uniform(-0.6, 0.6))


@pytest.mark.parametrize("config", [RELEASED, UNIFORM], ids=lambda config: config.kind)
@pytest.mark.parametrize("level, reach", [(1, 0.4), (2, 0.8)])
def test_released_children_are_uniform_around_their_level_0_centre(config, level, reach):
    layout = draw(config)
    offsets = layout.centers[level] - layout.centers[0]
    assert offsets.abs().max() <= reach + 1e-6
    assert fits(offsets.flatten(), uniform(-reach, reach))


# ---- ablations


def test_non_hierarchical_levels_are_drawn_independently():
    layout = draw(FREE)
    for level in range(3):
        fitted = scipy.stats.truncnorm(-1.5, 1.5, scale=2 / 3)
        assert fits(layout.centers[level][:, 0, 0], fitted)
        assert layout.centers[level].abs().max() <= 1
    first, second = layout.centers[0][:, 0, 0], layout.centers[1][:, 0, 0]
    assert abs(scipy.stats.spearmanr(first.numpy(), second.numpy()).statistic) < 0.03


@pytest.mark.parametrize("kind", ["noise", "impulse"])
def test_spoilt_heatmaps_have_the_centres_of_the_paper(kind):
    spoilt, paper = draw(SamplerConfig(kind=kind), 6), draw(PAPER, 6)
    assert same(spoilt, paper)
    assert spoilt.noise.seeds.unique().numel() == 6
    assert not torch.equal(spoilt.heatmaps(0, 8), paper.heatmaps(0, 8))


# ---- several objects


def test_objects_lie_anywhere_each_with_a_spread():
    layout = draw(OBJECTS, counts=(3,))
    assert layout.counts == (3,)
    assert layout.centers[0].abs().max() <= 1
    for index in range(3):
        assert fits(layout.centers[0][:, index, 1], scipy.stats.truncnorm(-1, 1))
        assert fits(layout.spreads[0][:, index], uniform(0.1, 0.5))
    a, b = layout.centers[0][:, 0, 0], layout.centers[0][:, 1, 0]
    assert abs(scipy.stats.spearmanr(a.numpy(), b.numpy()).statistic) < 0.03
    assert layout.validate() is layout


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_objects(count):
    assert draw(OBJECTS, 4, counts=(count,)).counts == (count,)


def test_several_objects_keep_their_distance_and_a_margin():
    spaced = SamplerConfig(kind="multi-object", apart=0.6, margin=0.3)
    centers = draw(spaced, 2000, counts=(3,)).centers[0]
    assert centers.abs().max() <= 0.7
    assert (least_distances(centers) >= 0.6).float().mean() > 0.999
    assert centers.mean((0, 1)).abs().max() < 0.02
    assert centers.std((0, 1)).min() > 0.38  # all over the allowed square, whose uniform deviation is 0.40
    crowded = draw(SamplerConfig(kind="multi-object", apart=1.9, margin=0.5), 50, counts=(4,)).centers[0]
    assert crowded.abs().max() <= 0.5  # no room: the most scattered of the tries
    assert least_distances(crowded).mean() > 0.45  # 0.2 for places at random


def test_without_the_hierarchy_of_the_released_sampler_only_the_hierarchy_goes():
    whole, free = draw(RELEASED), draw(RELEASED_FREE, seed=12)
    for level in range(3):
        for axis in range(2):
            pair = [layout.centers[level][:, 0, axis].numpy() for layout in (whole, free)]
            assert scipy.stats.ks_2samp(*pair).pvalue > 1e-3
    for layout, related in ((whole, True), (free, False)):
        for level in (1, 2):
            together = torch.stack([layout.centers[0][:, 0, 0], layout.centers[level][:, 0, 0]])
            assert (torch.corrcoef(together)[0, 1] > 0.5) == related
            assert related or torch.corrcoef(together)[0, 1].abs() < 0.03
