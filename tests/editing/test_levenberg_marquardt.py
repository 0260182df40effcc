"""Levenberg-Marquardt steps on untrained models: derivatives are right, and what the model made is found again."""

import pytest
import torch

from editing.candidates import draw_candidates
from editing.levenberg_marquardt import Coordinates, Pictures, Search
from editing.observation import Observer, detached, leaf, with_gradients
from tests.tiny_models import tiny_model
from training.sampling import Model


def coordinates(model: Model, has_places: bool = True) -> Coordinates:
    candidates = draw_candidates(model, 64, seed=0)
    return Coordinates(candidates.ws, candidates.layout, has_places)


def search_near(model: Model, seeds: list[int], has_places: bool = True) -> Search:
    """Starts that are near the pictures of these seeds, and no more."""
    found, layout = coordinates(model, has_places), model.layout(seeds)
    vectors = found.vectors(model.styles(seeds), layout)
    shift = 0.2 * torch.randn(vectors.shape, generator=torch.Generator().manual_seed(1))
    return Search(Pictures(model, found), model.images(seeds).clone(), vectors + shift, layout)


@pytest.mark.parametrize("method", ["spatialgan", "spatialgan-indoor", "stylegan2"])
def test_vectors_stand_for_styles_and_places(method: str):
    model = tiny_model(method)
    found, ws, layout = coordinates(model), model.styles([5, 6]), model.layout([5, 6])
    back, places = found(found.vectors(ws, layout), layout)
    torch.testing.assert_close(back, ws, atol=1e-4, rtol=1e-4)
    if layout is not None:
        torch.testing.assert_close(places.centers, layout.centers, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(places.spreads, layout.spreads, atol=1e-4, rtol=1e-4)


def test_vectors_of_random_pictures_are_about_standard_normal():
    model = tiny_model()
    seeds = list(range(200))
    vectors = coordinates(model).vectors(model.styles(seeds), model.layout(seeds))
    assert vectors.mean(0).abs().mean() < 0.3
    assert 0.7 < vectors.std(0).mean() < 1.3


@pytest.mark.parametrize("method", ["spatialgan", "spatialgan-indoor", "stylegan2"])
def test_what_the_model_made_is_found_again(method: str):
    model = tiny_model(method)
    search = search_near(model, [5, 6])
    before = search.squared.sqrt()
    for number in range(24):
        search.step(anew=number % 2 == 0)
    assert (search.squared.sqrt() < 0.1 * before).all()
    ws, layout = search.places()
    again = model.images(ws=ws, layout=layout).clamp(-1, 1) - search.target
    torch.testing.assert_close(again.square().mean((1, 2, 3)), search.squared, atol=1e-6, rtol=1e-2)


def test_derivatives_are_those_of_the_network():
    model = tiny_model()
    search = search_near(model, [5])
    search.differentiate()
    way = torch.randn(search.vectors.shape, generator=torch.Generator().manual_seed(2))
    ends = [search.residuals((search.vectors + sign * 1e-3 * way)[:, None])[0, 0] for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / 2e-3
    assert (search.jacobian[0] @ way[0] - expected).norm() < 0.1 * expected.norm()


def test_the_slope_is_the_gradient_of_the_difference():
    """To a part of it that differences of pictures do not reach: the weakest unknowns hang on that."""
    model = tiny_model()
    search = search_near(model, [5])
    search.differentiate()
    slope = (search.jacobian.mT @ search.residual[..., None])[..., 0]
    with with_gradients():
        vectors = leaf(search.vectors)
        seen = Observer(model)(*search.coordinates(vectors, detached(search.layout)))
        (0.5 * (seen.image.clamp(-1, 1) - search.target.clone()).square().sum()).backward()
    assert vectors.grad is not None
    assert (slope - vectors.grad).norm() < 1e-4 * slope.norm()


def test_broydens_update_says_what_the_last_way_did():
    search = search_near(tiny_model(), [5])
    search.differentiate()
    way = 0.1 * torch.ones_like(search.vectors)
    residual = search.residuals((search.vectors + way)[:, None])[:, 0]
    search._learn(way, residual)
    torch.testing.assert_close((search.jacobian @ way[..., None])[..., 0], residual - search.residual)


def test_places_that_are_fixed_stay():
    model = tiny_model()
    search = search_near(model, [5, 6], has_places=False)
    search.step(anew=True)
    _, layout = search.places()
    assert layout.centers[1].equal(model.layout([5, 6]).centers[1])


def test_a_level_has_its_places_among_the_numbers():
    model = tiny_model()
    found, layout = coordinates(model), model.layout([5])
    vectors = found.vectors(model.styles([5]), layout)
    numbers = found.numbers(vectors)[0]
    for level, count in enumerate(layout.counts):
        own = numbers[found.places_of_levels([level])].float()
        torch.testing.assert_close(own[: 2 * count], layout.centers[level].flatten(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(own[2 * count :].exp(), layout.spreads[level][0], atol=1e-4, rtol=1e-4)
    assert sorted(found.places_of_levels([0, 1, 2])) == list(range(model.G.w_shape[-1], found.count))
