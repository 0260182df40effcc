"""GradCAM of the discriminator and the alignment loss."""

import pytest
import torch
from torch import Tensor

from tests.training.small import RESOLUTION, make_discriminator, make_layout, real_images
from training.config import AlignConfig
from training.layouts.layout import LEVEL_RESOLUTIONS, Layout
from training.layouts.registration import resize
from training.losses.attention import (
    alignment_loss,
    attention_map,
    attention_maps,
    candidate_maps,
    channel_weights,
    level_distance,
    nearest_distance,
    normalize,
    target_map,
    truncated_distance,
)
from training.networks.discriminator import Discriminator, DiscriminatorOutput

pytestmark = pytest.mark.numeric

CONFIGS = [
    AlignConfig(),
    AlignConfig(gradient="loss", relu="channel", resolution="image"),
    AlignConfig(gradient="logits", relu="channel", level_weights=(0.5, 2, 1), tau=0.1),
    AlignConfig(match="best"),
    AlignConfig(match="best", gradient="loss", relu="channel", resolution="image", tau=0.1),
]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=["papers", "released", "mixed", "best", "best-released"])


def judge(images: Tensor, net: Discriminator | None = None) -> DiscriminatorOutput:
    return (net or make_discriminator())(images, features=LEVEL_RESOLUTIONS)


def loss_of(judged: DiscriminatorOutput, config: AlignConfig) -> Tensor:
    return alignment_loss(judged.logits, judged.features, make_layout(), config, RESOLUTION)


# ---- channel weights


@pytest.mark.parametrize("gradient", ["logits", "loss"])
def test_weights_are_mean_gradients_as_constants(gradient):
    judged = judge(real_images())
    y = judged.logits.sum() if gradient == "logits" else torch.nn.functional.softplus(-judged.logits).sum()
    weights = channel_weights(judged.logits, judged.features, gradient)
    for r, feature in judged.features.items():
        (expected,) = torch.autograd.grad(y, feature, retain_graph=True)
        torch.testing.assert_close(weights[r], expected.mean((2, 3), keepdim=True))
        assert not weights[r].requires_grad


def test_papers_and_release_differ_in_sign():
    judged = judge(real_images()[:1].expand(4, -1, -1, -1))
    logits, loss = (channel_weights(judged.logits, judged.features, g) for g in ("logits", "loss"))
    for r in LEVEL_RESOLUTIONS:
        torch.testing.assert_close(loss[r], -logits[r] * judged.logits.detach().neg().sigmoid()[:, :, None, None])


def test_no_gradient_passes_through_the_weights():
    """What lies between the features and the logits takes part only in the weights: it gets no gradient."""
    net = make_discriminator()
    judged = judge(real_images(), net)
    loss = loss_of(judged, AlignConfig())
    after = torch.autograd.grad(loss, list(net.epilogue.parameters()), allow_unused=True, retain_graph=True)
    before = torch.autograd.grad(loss, list(net.blocks["32"].parameters()))
    assert all(g is None for g in after)
    assert all(g.abs().max() > 0 for g in before)


# ---- maps


def test_relu_after_or_before_the_sum():
    weights = torch.tensor([1.0, -2.0])[None, :, None, None]
    feature = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]])[None]
    assert attention_map(weights, feature, "sum").flatten().tolist() == [1, 0]
    assert attention_map(weights, feature, "channel").flatten().tolist() == [3, 1]


def test_normalised_maps_span_0_to_1_and_constant_ones_become_0(generator):
    maps = torch.rand([3, 1, 5, 5], generator=generator()) * 7 + 2
    maps[1] = 4.0
    found = normalize(maps)
    assert found.amin((1, 2, 3)).tolist() == [0, 0, 0]
    assert found.amax((1, 2, 3)).tolist() == [1, 0, 1]
    assert torch.equal(normalize(torch.zeros(1, 1, 2, 2)), torch.zeros(1, 1, 2, 2))


def test_normalising_takes_minimum_and_maximum_as_constants():
    maps = torch.tensor([[[[1.0, 2.0, 5.0]]]], requires_grad=True)
    normalize(maps).sum().backward()
    assert maps.grad.flatten().tolist() == [0.25] * 3


def test_target_is_the_heatmap_or_the_normalised_mean_of_several():
    layout = make_layout()
    assert torch.equal(target_map(layout, 0, 8), layout.heatmaps(0, 8))
    several = target_map(layout, 2, 8)
    torch.testing.assert_close(several, normalize(layout.heatmaps(2, 8).mean(1, keepdim=True)))
    assert several.amax((1, 2, 3)).tolist() == [1] * 4


@each_config
def test_attention_maps_are_in_range_at_the_resolution_to_compare_at(config):
    judged = judge(real_images())
    maps = attention_maps(judged.logits, judged.features, config, RESOLUTION)
    sizes = [RESOLUTION] * 3 if config.resolution == "image" else list(LEVEL_RESOLUTIONS)
    assert [tuple(maps[level].shape) for level in range(3)] == [(4, 1, r, r) for r in sizes]
    assert all(0 <= m.min() <= m.max() <= 1 for m in maps.values())


def test_levels_without_a_feature_are_left_out():
    net = make_discriminator(img_resolution=16)
    judged = judge(real_images()[:, :, :16, :16], net)
    assert list(attention_maps(judged.logits, judged.features, AlignConfig(), 16)) == [0, 1]


# ---- distance


DIFFERENCES = [0.0, 0.1, 0.3, -0.8, 0.5]


@pytest.mark.parametrize(
    "tau, expected",
    [
        (0.25, (0.3 + 0.8 + 0.5) / 3),
        (0.0, (0.1 + 0.3 + 0.8 + 0.5) / 4),  # those that differ at all
        (0.6, 1.7 / 5),  # one element is above: plain mean
        (100.0, 1.7 / 5),  # none is
    ],
)
def test_truncated_distance(tau, expected):
    attention = torch.tensor(DIFFERENCES)
    assert truncated_distance(attention, torch.zeros(5), tau).item() == pytest.approx(expected)


@pytest.mark.parametrize("match", ["all", "best"])
@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_extreme_thresholds(match, tau, generator):
    """tau = 0 forgives nothing; above 1, where differences end, nothing is selected and the plain mean serves."""
    attention = torch.rand([4, 1, 4, 4], generator=generator())
    layout = make_layout(counts=(1, 1, 1))
    config = AlignConfig(match=match, tau=tau)
    apart = (attention - target_map(layout, 0, 4)).abs().mean((1, 2, 3))
    if match == "best":  # the only part, or its normalized form, whichever is nearer
        normalized = (attention - normalize(layout.heatmaps(0, 4))).abs().mean((1, 2, 3))
        apart = torch.minimum(apart, normalized)
    torch.testing.assert_close(level_distance(attention, layout, 0, config), apart.mean())


def test_only_selected_elements_are_pushed():
    attention = torch.tensor(DIFFERENCES, requires_grad=True)
    truncated_distance(attention, torch.zeros(5), 0.25).backward()
    torch.testing.assert_close(attention.grad, torch.tensor([0, 0, 1, -1, 1]) / 3)


def test_perfect_attention_has_no_loss():
    target = torch.rand([2, 1, 4, 4])
    assert truncated_distance(target, target, 0.25) == 0


# ---- scenes of objects: the nearest candidate


def test_candidates_are_the_parts_and_the_whole():
    layout = make_layout(counts=(3,))
    for level in range(3):  # the one level of the layout serves all
        found = candidate_maps(layout, level, 8)
        assert torch.equal(found[:, :3], layout.heatmaps(0, 8))
        assert torch.equal(found[:, 3:], target_map(layout, 0, 8))


def test_each_sample_is_compared_with_what_is_nearest_to_it():
    candidates = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)]).expand(3, -1, -1, -1)
    attention = torch.tensor([0.1, 0.7, 1.0])[:, None, None, None].expand(-1, 1, 2, 2).clone().requires_grad_()
    distance = nearest_distance(attention, candidates, 0.0)
    assert distance.item() == pytest.approx((0.1 + 0.3 + 0.0) / 3)
    distance.backward()
    assert attention.grad.mean((1, 2, 3)).sign().tolist() == [1, -1, 0]  # each away from or towards its own


def test_what_is_nearest_can_be_told_by_all_pixels():
    """One candidate is wrong by 0.3 at two pixels, the other by 0.24 at all but two, where it is wrong by 0.26."""
    attention, tau = torch.zeros(1, 1, 4, 4), 0.25
    few, many = torch.zeros(16), torch.full([16], 0.24)
    few[:2], many[:2] = 0.3, 0.26
    candidates = torch.stack([few, many]).view(1, 2, 4, 4)
    assert nearest_distance(attention, candidates, tau).item() == pytest.approx(0.26)
    assert nearest_distance(attention, candidates, tau, "l1").item() == pytest.approx(0.3)


@pytest.mark.parametrize("tau", [0.0, 0.25, 0.6])
def test_nearest_of_one_candidate_is_the_truncated_distance(tau):
    attention = torch.tensor(DIFFERENCES).view(1, 1, 1, 5)
    expected = truncated_distance(attention, torch.zeros(5), tau)
    torch.testing.assert_close(nearest_distance(attention, torch.zeros(1, 1, 1, 5), tau), expected)


def test_order_of_objects_does_not_matter_to_the_loss(generator):
    attention, layout = torch.rand([4, 1, 8, 8], generator=generator()), make_layout(counts=(3,))
    turned = Layout((layout.centers[0][:, [1, 2, 0]],), (layout.spreads[0][:, [1, 2, 0]],))
    config = AlignConfig(match="best")
    expected = level_distance(attention, layout, 1, config)
    torch.testing.assert_close(level_distance(attention, turned, 1, config), expected)


# ---- the loss


@each_config
def test_loss_is_the_weighted_sum_over_levels(config):
    judged = judge(real_images())
    maps = attention_maps(judged.logits, judged.features, config, RESOLUTION)
    levels = [level_distance(maps[i], make_layout(), i, config) for i in range(3)]
    expected = sum(w * d for w, d in zip(config.level_weights, levels, strict=True))
    torch.testing.assert_close(loss_of(judged, config), expected)


def test_discriminator_that_does_not_learn_gets_no_gradient():
    net, images = make_discriminator().requires_grad_(False), real_images().requires_grad_()
    loss_of(judge(images, net), AlignConfig()).backward()
    assert all(p.grad is None for p in net.parameters())
    assert images.grad.abs().max() > 0


def features64(net: Discriminator, images: Tensor) -> dict[int, Tensor]:
    """Block outputs in float64."""
    x, img, found = None, images, {}
    for r in net.resolutions:
        x, img = net.blocks[str(r)](x, img, torch.float64)
        found[r // 2] = x
    return found


class Frozen:
    """The alignment loss of features in float64, where weights, minima and maxima keep their values at `images`."""

    def __init__(self, net: Discriminator, images: Tensor, config: AlignConfig):
        judged = judge(images.float().requires_grad_(), net.float())
        weights = channel_weights(judged.logits, judged.features, config.gradient)
        self.config, self.net = config, net.double()
        self.weights = {r: w.double() for r, w in weights.items()}
        maps = {r: self.raw(f, r) for r, f in features64(self.net, images).items()}
        self.low = {r: m.amin((1, 2, 3), keepdim=True) for r, m in maps.items()}
        self.span = {r: m.amax((1, 2, 3), keepdim=True) - self.low[r] for r, m in maps.items()}

    def raw(self, feature: Tensor, r: int) -> Tensor:
        weighted = feature * self.weights[r]
        over_channels = weighted.sum(1, keepdim=True)
        m = over_channels.relu() if self.config.relu == "sum" else weighted.relu().sum(1, keepdim=True)
        return resize(m, RESOLUTION) if self.config.resolution == "image" else m

    def __call__(self, images: Tensor) -> float:
        total = 0.0
        for level, r in enumerate(LEVEL_RESOLUTIONS):
            m = (self.raw(features64(self.net, images)[r], r) - self.low[r]) / self.span[r]
            total += self.config.level_weights[level] * self.distance(m, level)
        return total

    def distance(self, m: Tensor, level: int) -> float:
        """By a loop over samples and candidates."""
        tau, layout, r = self.config.tau, make_layout(), m.shape[2]
        if self.config.match == "all":
            distance = (m - target_map(layout, level, r)).abs()
            return distance[distance > tau].mean().item()
        nearest = []
        for sample, candidates in zip(m, candidate_maps(layout, level, r), strict=True):
            apart = [(sample[0] - candidate).abs() for candidate in candidates]
            nearest.append(min(d[d > tau].mean().item() if (d > tau).sum() > 1 else d.mean().item() for d in apart))
        return sum(nearest) / len(nearest)


@each_config
def test_gradient_towards_the_images_against_finite_differences(config, generator):
    net, images = make_discriminator().requires_grad_(False), real_images().requires_grad_()
    loss = loss_of(judge(images, net), config)
    (gradient,) = torch.autograd.grad(loss, images)
    at = images.detach().double()
    frozen = Frozen(net, at, config)
    assert frozen(at) == pytest.approx(loss.item(), rel=1e-5)
    for seed in range(3):
        direction = torch.randn(at.shape, generator=generator(seed), dtype=torch.float64)
        measured = (frozen(at + 1e-7 * direction) - frozen(at - 1e-7 * direction)) / 2e-7
        assert (gradient * direction).sum().item() == pytest.approx(measured, rel=1e-3)
