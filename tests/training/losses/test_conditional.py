"""Losses about conditions against plain formulas in float64."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.training.networks.lineage import lineage_config
from tests.training.small import make_batch, make_networks
from torch_utils.randomness import RandomStreams
from training.losses.adversarial import ADVERSARIAL_LOSSES
from training.losses.conditional import (
    feature_distance,
    kl_to_standard_normal,
    matching_aware,
    wrong_conditions,
)
from training.losses.phases import g_main

pytestmark = pytest.mark.numeric


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_three_scores():
    logits = {name: noise(5, 1, seed=n) for n, name in enumerate("frw")}
    s = {name: 1 / (1 + torch.exp(-value)) for name, value in logits.items()}
    expected = -(torch.log(s["r"]) + (torch.log(1 - s["w"]) + torch.log(1 - s["f"])) / 2)
    loss = ADVERSARIAL_LOSSES["logistic"].discriminator
    found = matching_aware(loss, logits["f"], logits["r"], logits["w"], torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(found, expected, atol=1e-14, rtol=0)


def test_where_the_other_image_has_the_same_condition_it_is_not_called_wrong():
    f, r, w = (noise(2, 1, seed=n) for n in range(3))
    loss = ADVERSARIAL_LOSSES["hinge"].discriminator
    found = matching_aware(loss, f, r, w, torch.tensor([True, False]))
    expected = [max(1 - r[n].item(), 0) + (max(1 + a[n].item(), 0) + max(1 + f[n].item(), 0)) / 2
                for n, a in ((0, w), (1, f))]  # fmt: skip
    torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-14, rtol=0)
    assert wrong_conditions(torch.tensor([[1], [2], [3]])).tolist() == [[3], [1], [2]]


def test_divergence_from_a_standard_normal_distribution():
    mean, log_variance = noise(3, 2), noise(3, 2, seed=4)
    x = torch.linspace(-60, 60, 60001, dtype=torch.float64)
    for n in range(3):
        expected = 0.0
        for m, v in zip(mean[n].tolist(), log_variance[n].exp().tolist(), strict=True):
            log_p = -((x - m) ** 2) / (2 * v) - math.log(2 * math.pi * v) / 2
            log_q = -(x**2) / 2 - math.log(2 * math.pi) / 2
            expected += torch.trapezoid(torch.exp(log_p) * (log_p - log_q), x).item()
        assert kl_to_standard_normal(mean, log_variance)[n].item() == pytest.approx(expected, abs=1e-8)


def test_features_are_matched_image_by_image_or_on_average():
    fake, real = ({8: noise(2, 3, 8, 8, seed=n), 4: noise(2, 5, 4, 4, seed=n + 9)} for n in (0, 1))
    each = [sum((fake[r][n] - real[r][n]).abs().mean() for n in range(2)) / 2 for r in (8, 4)]
    torch.testing.assert_close(feature_distance(fake, real), sum(each) / 2, atol=1e-14, rtol=0)
    means = [((fake[r][0] + fake[r][1]) / 2 - (real[r][0] + real[r][1]) / 2).abs().mean() for r in (8, 4)]
    torch.testing.assert_close(feature_distance(fake, real, "batches"), sum(means) / 2, atol=1e-14, rtol=0)


@pytest.mark.parametrize("backbone", ["stylegan2", "biggan", "progan", "r3gan"])
def test_any_backbone_can_match_features(backbone: str):
    of = lineage_config(backbone, loss={"feature_matching": 1, "matched": "batches"})
    networks = make_networks(of)
    batch = make_batch(networks, of)
    loss, terms = g_main(networks, batch, of, RandomStreams(0, "cpu"))
    without, _ = g_main(networks, batch, lineage_config(backbone), RandomStreams(0, "cpu"))
    assert terms["loss/G_features"] > 0
    torch.testing.assert_close(loss - without, terms["loss/G_features"], atol=1e-5, rtol=0)


def test_matching_needs_conditions():
    with pytest.raises(ValidationError, match="matching_aware is about conditions, and there are none"):
        lineage_config("stylegan2", loss={"matching_aware": True})
