"""StackGAN's text: what the encoder reads, and the distribution that conditions are drawn from, in float64."""

import copy

import pytest
import torch

from tests.training.networks.lineage import conditioned_config, conditions, generator
from tests.training.small import seeded
from training.networks.growing import set_level, settle
from training.networks.text import TextEncoder

pytestmark = pytest.mark.numeric


def test_the_encoder_reads_words_in_their_order_up_to_the_last():
    encoder = seeded(lambda: TextEncoder(4, 6, 8)).double()
    codes = encoder(torch.tensor([[1.0, 2, 3, 0], [3, 2, 1, 0], [1, 2, 3, 0], [1, 2, 3, 4]]))
    assert torch.equal(codes[0], codes[2])
    assert (codes[0] - codes[1]).abs().max() > 0.01
    assert (codes[0] - codes[3]).abs().max() > 0.01
    torch.testing.assert_close(encoder(torch.tensor([[1.0, 2, 3]])), codes[:1], atol=1e-15, rtol=0)


def test_the_encoder_is_a_gated_recurrent_network():
    encoder = seeded(lambda: TextEncoder(2, 3, 4)).double()
    cell, h = encoder.cell, torch.zeros([4], dtype=torch.float64)
    for word in (2, 1):
        given = cell.weight_ih @ encoder.embed.weight[word] + cell.bias_ih
        kept = cell.weight_hh @ h + cell.bias_hh
        reset, update = (torch.sigmoid(a + b) for a, b in zip(given.split(4)[:2], kept.split(4)[:2], strict=True))
        h = (1 - update) * torch.tanh(given[8:] + reset * kept[8:]) + update * h
    torch.testing.assert_close(encoder(torch.tensor([[2.0, 1.0]]))[0], h, atol=1e-15, rtol=0)


def test_embeddings_made_elsewhere_are_taken_as_they_are():
    encoder = seeded(lambda: TextEncoder(5, 0, 3)).double()
    c = torch.rand([2, 5], dtype=torch.float64)
    torch.testing.assert_close(encoder(c), c @ encoder.embed.weight.T + encoder.embed.bias, atol=1e-15, rtol=0)


def test_conditioning_augmentation():
    of = conditioned_config("stackgan", None)
    G, c = generator(of).double(), conditions(of).double()
    augment, e = G.synthesis.first.augment, torch.randn([2, 4], dtype=torch.float64)
    h = augment.encoder(c) @ augment.linear.weight.T + augment.linear.bias
    h = torch.where(h > 0, h, 0.2 * h)
    expected = h[:, :4] + torch.exp(h[:, 4:]) ** 0.5 * e
    torch.testing.assert_close(augment(c, e), expected, atol=1e-14, rtol=0)
    second = G.synthesis.second.augment.gaussian(c)
    assert all(map(torch.equal, G.condition_gaussian(c), second))


def test_the_second_stage_works_on_the_average_of_the_first():
    of = conditioned_config("stackgan", None)
    G, averaged = generator(of), generator(of)
    with torch.no_grad():
        for weight in averaged.parameters():
            weight.mul_(0.5)
    weights, average = dict(G.named_parameters()), averaged.state_dict()
    before = copy.deepcopy(weights)
    settle(G, averaged, 2)  # as a run begins: grown up, networks go back to their first level
    set_level(G, 2)
    settle(G, averaged, 2)
    assert all(torch.equal(weight, before[name]) for name, weight in weights.items())
    settle(G, averaged, 3)
    for name, weight in weights.items():
        assert torch.equal(weight, (average if name.startswith("synthesis.first.") else before)[name]), name
    assert not torch.equal(average["synthesis.first.begin.weight"], before["synthesis.first.begin.weight"])
