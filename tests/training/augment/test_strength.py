"""Adaptive p: direction, size and limits of its steps."""

import pytest
import torch

from torch_utils.distributed import World
from training.augment.strength import Strength


def adapted(strength: Strength, *logits: float) -> float:
    strength.observe(torch.tensor(logits))
    strength.adapt()
    return strength.p.item()


def test_p_rises_when_real_images_are_recognised_too_often_and_falls_otherwise():
    strength = Strength(0.5, target=0.6, step=0.1)
    assert adapted(strength, 3.0, 2.0, 0.1) == pytest.approx(0.6)  # mean sign 1
    assert adapted(strength, 3.0, 2.0, -0.1) == pytest.approx(0.5)  # mean sign 1/3
    assert adapted(strength, *[1.0] * 8, *[-1.0] * 2) == pytest.approx(0.5)  # at the target


def test_all_signs_since_the_last_change_count():
    strength = Strength(0.5, target=0.6, step=0.1)
    for logits in ([1.0, 1.0], [-1.0], [1.0] * 17):
        strength.observe(torch.tensor(logits)[:, None])
    assert strength.signs.tolist() == [18, 20]
    strength.adapt()
    assert strength.p.item() == pytest.approx(0.6)
    assert strength.signs.tolist() == [0, 0]


def test_p_stays_within_0_and_1():
    strength = Strength(0.95, target=0.6, step=0.1)
    assert adapted(strength, 1.0) == 1
    assert adapted(strength, 1.0) == 1
    strength = Strength(0.05, target=0.6, step=0.1)
    assert adapted(strength, -1.0) == 0
    assert adapted(strength, -1.0) == 0


def test_p_stays_where_nothing_was_observed():
    strength = Strength(0.5, target=0.6, step=0.1)
    strength.adapt()
    assert strength.p.item() == 0.5


def test_what_is_not_a_number_has_no_sign():
    strength = Strength(0.5, target=0.6, step=0.1)
    strength.observe(torch.tensor([float("nan"), 2.0, float("inf")]))
    assert strength.signs.tolist() == [2, 2]


class TwoRanks(World):
    """A world in which the other rank has seen the same."""

    def reduce_(self, tensors, operation="sum"):
        assert operation == "sum"
        for tensor in tensors:
            tensor.mul_(2)


def test_signs_are_those_of_all_ranks():
    strength = Strength(0.5, target=0.6, step=0.1)
    strength.observe(torch.tensor([1.0, -1.0, 1.0]), TwoRanks())
    assert strength.signs.tolist() == [2, 6]


def test_a_fixed_p_comes_from_the_configuration_not_from_a_checkpoint():
    assert not Strength(0.3).state_dict()
    assert set(Strength(0.3, target=0.6).state_dict()) == {"p", "signs"}


def test_a_fixed_p_stays():
    strength = Strength(0.3)
    assert adapted(strength, 1.0, 1.0) == pytest.approx(0.3)
    assert strength.signs.tolist() == [0, 0]


def test_a_restored_strength_goes_on_where_it_was():
    strength = Strength(0.0, target=0.6, step=0.25)
    adapted(strength, 1.0)
    strength.observe(torch.tensor([1.0, -1.0]))
    other = Strength(0.0, target=0.6, step=0.25)
    other.load_state_dict(strength.state_dict())
    assert other.p.item() == 0.25
    assert adapted(other, 1.0) == adapted(strength, 1.0) == 0
