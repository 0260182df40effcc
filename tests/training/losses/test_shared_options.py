"""Options that any backbone has: the relativistic loss, R2, penalties at every step, several D steps to one of G."""

import math
from dataclasses import replace

import pytest
import torch

from tests.training.networks.lineage import lineage_config
from tests.training.small import make_batch, make_networks
from torch_utils.randomness import RandomStreams
from training.losses.adversarial import ADVERSARIAL_LOSSES
from training.losses.phases import d_main, d_r1, d_r2, g_main, make_phases
from training.losses.regularizers import r1_penalty
from training.networks.synthesis import Noise

pytestmark = pytest.mark.numeric


def test_the_relativistic_loss_compares_pairs():
    fake, real = torch.tensor([[0.5], [-2.0]]).double(), torch.tensor([[1.5], [3.0]]).double()
    loss = ADVERSARIAL_LOSSES["relativistic"]
    for i, (a, b) in enumerate([(0.5, 1.5), (-2.0, 3.0)]):
        assert loss.generator(fake, real)[i].item() == pytest.approx(math.log(1 + math.exp(b - a)), rel=1e-12)
        assert loss.discriminator(fake, real)[i].item() == pytest.approx(math.log(1 + math.exp(a - b)), rel=1e-12)


def test_the_generator_is_compared_with_the_real_images_of_its_batch():
    of = lineage_config("stylegan2", None, loss={"adversarial": "relativistic"})
    networks = make_networks(of)
    batch = make_batch(networks, of)
    loss, terms = g_main(networks, batch, of, RandomStreams(0, "cpu"))
    real = networks.D(batch.real_images, batch.real_c).logits
    expected = torch.nn.functional.softplus(real - terms["scores/fake_G"]).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_pairs_of_the_relativistic_loss_have_one_condition():
    of = lineage_config("stylegan2", None, c_dim=2, loss={"adversarial": "relativistic"})
    networks, seen = make_networks(of), []
    batch = make_batch(networks, of)
    generated, real = torch.tensor([[1.0, 0.0]]).expand(4, -1), torch.tensor([[0.0, 1.0]]).expand(4, -1)
    batch = replace(batch, inputs=replace(batch.inputs, c=generated), real_c=real)
    for network in (networks.G.mapping, networks.D):
        network.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    for phase in (g_main, d_main):
        phase(networks, batch, of, RandomStreams(0, "cpu"))
    assert len(seen) == 6  # G once and D twice in each
    assert all(torch.equal(c, real) for c in seen)


def test_r2_is_r1_of_generated_images():
    of = lineage_config("r3gan", None, loss={"r2_gamma": 3})
    networks = make_networks(of)
    batch = make_batch(networks, of)
    images = networks.G.synthesis(networks.G.styles(batch.inputs.z, batch.inputs.c), None, Noise("none"))
    images = images.detach().requires_grad_()
    expected = 1.5 * r1_penalty(networks.D(images, batch.real_c).logits, images).mean()
    assert d_r2(networks, batch, of, RandomStreams(0, "cpu"))[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_penalties_that_are_not_lazy_are_a_part_of_the_loss():
    penalties = {"r1_gamma": 2, "r2_gamma": 3}
    lazy, joint = (lineage_config("r3gan", None, loss={**penalties, "lazy": lazy}) for lazy in (True, False))
    networks = make_networks(joint)
    batch = make_batch(networks, joint)
    parts = [phase(networks, batch, lazy, RandomStreams(0, "cpu"))[0].item() for phase in (d_main, d_r1, d_r2)]
    loss, terms = d_main(networks, batch, joint, RandomStreams(0, "cpu"))
    assert loss.item() == pytest.approx(sum(parts), rel=1e-5)
    assert {"loss/r1_penalty", "loss/r2_penalty"} <= terms.keys()
    assert [phase.name for phase in make_phases(joint)] == ["G_main", "D_main"]
    assert not make_phases(joint)[-1].uses_compiled_D
    names = [phase.name for phase in make_phases(lazy)]
    assert names == ["G_main", "D_main", "D_r1", "D_r2"]


def test_several_steps_of_the_discriminator_to_one_of_the_generator():
    of = lineage_config("stylegan2", loss={"n_dis": 3, "pl_weight": 2, "move_weight": 1, "move_interval": 2})
    phases = {phase.name: (phase.interval, phase.grad_scale) for phase in make_phases(of)}
    assert phases == {
        "G_main": (3, 1), "G_path": (12, 4), "G_move": (6, 2), "D_main": (1, 1), "D_r1": (16, 16),
    }  # fmt: skip
