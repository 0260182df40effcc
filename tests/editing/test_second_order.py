"""The rounds of a search by steps of second order: what each picture does next, and that they end."""

import pytest
import torch
from torch import Tensor

from editing import second_order
from editing.candidates import draw_candidates
from editing.inversion import shown_difference
from editing.second_order import FIRST, FOUND, POSSIBLE, ROUND, STARTS, Approach
from tests.tiny_models import tiny_model
from training.sampling import Model

CANDIDATES = 64


def approach(model: Model, target: Tensor) -> Approach:
    return Approach(model, target, draw_candidates(model, CANDIDATES, seed=0), optimize_layout=True)


@pytest.mark.slow
def test_pictures_of_the_models_own_come_nearer_round_by_round_and_are_found():
    model = tiny_model()
    target = model.images([5, 6]).clone()
    search = approach(model, target)
    seen = [search.rms for _ in zip(search.steps(), range(60), strict=False)]
    rounds = torch.stack(seen[1 + FIRST :])
    assert (rounds.diff(dim=0) <= 1e-6).all()
    assert (search.rms < POSSIBLE).all()
    assert (search.rms < FOUND).any()
    ws, layout = search.places()
    again = shown_difference(model.images(ws=ws, layout=layout), target)
    torch.testing.assert_close(again.sqrt(), search.rms, atol=1e-4, rtol=1e-2)


@pytest.mark.slow
def test_pictures_that_stay_far_begin_again_so_many_times_and_no_more(monkeypatch: pytest.MonkeyPatch):
    """Noise, which the model cannot make."""
    monkeypatch.setattr(second_order, "AGAIN", 1)
    monkeypatch.setattr(second_order, "FRUITLESS", 1)
    model = tiny_model()
    noise = torch.rand([1, 3, 16, 16], generator=torch.Generator().manual_seed(0)) * 2 - 1
    search = approach(model, noise)
    count = len(list(search.steps()))
    assert (search.rms > POSSIBLE).all()
    assert search.pictures[0].begun == 2 * STARTS
    assert count <= 1 + 2 * (FIRST + 4 * ROUND)


def test_no_start_is_used_twice():
    model = tiny_model()
    candidates, target = draw_candidates(model, 8, seed=0), model.images([5]).clone()
    ws = [candidates.nearest(target, 4, passed)[0] for passed in (0, 4)]
    both, _ = candidates.nearest(target, 8)
    assert torch.cat(ws).equal(both)


def test_few_candidates_are_enough():
    model = tiny_model()
    search = Approach(model, model.images([5]).clone(), draw_candidates(model, 2, seed=0), optimize_layout=True)
    for _ in zip(search.steps(), range(12), strict=False):
        pass
    assert search.pictures[0].begun == 2
