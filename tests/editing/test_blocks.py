"""Centers of some levels put elsewhere, on untrained models: wrong ones are found, right ones stay."""

import pytest
import torch

from editing.blocks import STARTS, STEPS, TOGETHER, _Block, _Others, _starts, search_block
from editing.candidates import draw_candidates
from editing.levenberg_marquardt import Coordinates, Pictures, Search
from tests.tiny_models import tiny_model
from training.layouts.layout import Layout
from training.sampling import Model


def search_at(model: Model, layout: Layout) -> Search:
    """Where everything but the layout is that of the picture of seed 5."""
    candidates = draw_candidates(model, 64, seed=0)
    found = Coordinates(candidates.ws, candidates.layout, True)
    vectors = found.vectors(model.styles([5]), layout)
    return Search(Pictures(model, found), model.images([5]).clone(), vectors, layout)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_center_in_the_wrong_place_is_put_elsewhere(level: int):
    model = tiny_model()
    layout = model.layout([5])
    way = 0.9 if layout.centers[level][0, 0, 0] < 0 else -0.9
    search = search_at(model, layout.moved(level, 0, way, 0.0))
    before = search.squared.clone()
    pauses = len(list(search_block(search, [level], seed=0)))
    assert pauses == 1 + STEPS + TOGETHER
    assert search.squared < 0.1 * before
    ws, places = search.places()
    again = (model.images(ws=ws, layout=places).clamp(-1, 1) - search.target).square().mean()
    torch.testing.assert_close(again, search.squared[0], atol=1e-6, rtol=1e-2)


def test_right_ones_stay():
    model = tiny_model()
    search = search_at(model, model.layout([5]))
    before = search.vectors.clone()
    list(search_block(search, [1, 2], seed=0))
    torch.testing.assert_close(search.vectors, before, atol=2e-2, rtol=0)


def test_what_the_others_explain_is_no_difference():
    model = tiny_model()
    search = search_at(model, model.layout([5]))
    search.differentiate()
    places = torch.tensor(search.coordinates.places_of_levels([2]))
    others = _Others(search, places)
    way = torch.randn(search.vectors.shape, generator=torch.Generator().manual_seed(0))
    by_others, by_block = way.clone(), torch.zeros_like(way)
    by_others[:, places], by_block[:, places] = 0, way[:, places]
    changes = [(search.jacobian @ each[..., None]).mT for each in (by_others, by_block)]
    left = [others.unexplained(change).norm() / change.norm() for change in changes]
    assert left[0] < 0.2
    assert left[1] > 2 * left[0]


def test_starts_differ_in_whole_centers_of_the_block_alone():
    vectors, places = torch.zeros(2, 20), torch.arange(5, 14)  # three centers: x and y of each, then the spreads
    found = _starts(vectors, places, torch.Generator().manual_seed(0))
    assert found.shape == (2, STARTS, 20)
    is_new = found != 0
    assert not is_new[:, 0].any()
    assert not is_new[..., :5].any()
    assert not is_new[..., 14:].any()
    assert is_new[..., 5:11:2].equal(is_new[..., 6:11:2])
    assert is_new[..., 5:11:2].equal(is_new[..., 11:14])
    assert 0.2 < is_new[:, 1:, 5:14].float().mean() < 0.8


def test_no_step_of_a_block_costs_more():
    model = tiny_model()
    search = search_at(model, model.layout([6]))
    search.differentiate()
    block = _Block(search, torch.tensor(search.coordinates.places_of_levels([2])), torch.Generator().manual_seed(0))
    costs = [block.cost.clone()]
    for _ in range(3):
        block.step()
        costs.append(block.cost.clone())
    assert (torch.stack(costs).diff(dim=0) <= 0).all()
    assert (costs[-1] < costs[0]).any()
