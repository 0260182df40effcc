"""Perceptual path length: what it holds fixed, and that its value is that of a generator whose path is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metrics.context import network_context
from metrics.features import image_seeds
from metrics.path_length import (
    SIDE,
    _ends_of_steps,
    path_length,
    point_on_path,
    prepare,
    slerp,
    step_lengths,
    trimmed_mean,
)
from metrics.registry import evaluate
from tests.metrics.test_registry import Data
from tests.tiny_models import tiny_model
from tests.training.networks.lineage import generator, lineage_config
from torch_utils.distributed import World
from training.sampling import Model

pytestmark = pytest.mark.numeric


class SquaredDifference:
    """In the place of LPIPS: mean squared difference of two pictures, in units of their range."""

    about = {"name": "squared difference"}

    def __call__(self, a, b):
        return ((a - b) / 127.5).square().mean((1, 2, 3))


class SquaredDifferences:
    """In the place of Extractors."""

    def perceptual_distance(self, device):
        return SquaredDifference()


def make_context(method="spatialgan", model=None, **settings):
    model = model or tiny_model(method)
    return network_context(model, None, Data(), extractors=SquaredDifferences(), **settings)


@pytest.mark.parametrize("method", ["spatialgan", "stylegan2"])
@pytest.mark.parametrize("space", ["z", "w"])
def test_a_step_of_zero_has_length_zero(method, space):
    lengths = step_lengths(make_context(method, batch_size=3), 5, 0.0, space, full=True, crop=False)
    assert lengths.tolist() == [0.0] * 5


def test_layout_noise_and_class_are_those_of_the_path():
    """With them fixed, a shorter step is as much shorter as it should be: squared lengths go by the square."""
    long, short = (step_lengths(make_context(), 6, e, "w", full=False, crop=False) for e in (1e-2, 1e-3))
    assert np.allclose(long / short, 100, rtol=0.2)


class Line:
    """A model whose pictures are as bright as the first number of w."""

    is_layout_conditioned = False
    G = SimpleNamespace(synthesis=None)
    device = torch.device("cpu")
    config = tiny_model().config

    def latents(self, seeds):
        return torch.stack([torch.randn(2, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def layout(self, seeds):
        return None

    def styles(self, seeds, *, z, labels, layout, truncation_psi):
        return z[:, None].double() * truncation_psi

    def images(self, seeds, *, ws, layout, noise_mode, batch_size):
        return ws[:, 0, 0, None, None, None].expand(-1, 3, 8, 8)


@pytest.mark.parametrize("psi", [1.0, 0.5])
def test_the_value_of_a_straight_path(psi):
    context = make_context(model=Line(), truncation_psi=psi, seed=3)
    found = step_lengths(context, 4, 1e-4, "w", full=True, crop=False) / 1e-8
    assert len(found) == 4
    context = make_context(model=Line(), seed=3)
    whole = step_lengths(context, 4, 1.0, "w", full=False, crop=False)
    assert found == pytest.approx(whole * psi**2, rel=1e-3)


def test_path_number_i_is_the_same_in_every_batch():
    lengths = [step_lengths(make_context(batch_size=b, seed=1), 7, 1e-3, "z", full=True, crop=True) for b in (1, 3, 7)]
    assert np.allclose(lengths[0], lengths[1], rtol=1e-2)
    assert np.allclose(lengths[0], lengths[2], rtol=1e-2)


@pytest.mark.parametrize("name", ["ppl2_wend", "ppl_zfull", "ppl_wfull", "ppl_zend", "ppl_wend"])
def test_by_name(name):
    result = evaluate(name, make_context(num=4))
    assert result["results"][name] > 0
    assert result["num_images"] == 4
    assert result["extractor"] == SquaredDifference.about


def test_another_seed_gives_another_value():
    a, b = (path_length(make_context(seed=seed), 4, "w", full=False, crop=False) for seed in (0, 1))
    assert a != b


@pytest.mark.parametrize("name", ["biggan", "r3gan", "stylegan", "spatialgan-indoor", "stylegan2"])
def test_a_path_begins_with_the_picture_of_its_latents(name: str):
    if name in ("biggan", "r3gan", "stylegan"):
        of = lineage_config(name, None)
        model = Model(generator(of), of, "cpu")
    else:
        model = tiny_model(name)
    context = make_context(model=model, seed=2)
    labels = context.labels_of([0, 1])
    seeds = image_seeds(2, [0, 2])
    expected = model.images(seeds, layout=context.layout_of([0, 1], seeds), labels=labels, noise_mode="random")
    for space in ("z", "w"):
        assert torch.allclose(_ends_of_steps(context, [0, 1], 0.0, space, full=False)[0], expected, atol=1e-4)


def test_steps_are_taken_in_single_precision():
    model = tiny_model()
    synthesis = model.G.synthesis
    synthesis.set_half(synthesis.resolutions, 2, "bfloat16")
    seen, half, images = [], set(synthesis.half_resolutions), model.images

    def noting(*given, **named):
        seen.append(set(synthesis.half_resolutions))
        return images(*given, **named)

    model.images = noting
    step_lengths(make_context(model=model), 2, 1e-4, "w", full=False, crop=False)
    assert seen == [set(), set()]
    assert synthesis.half_resolutions == half == {8, 16}


def test_ends_of_paths():
    z0, z1 = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).double()

    def nothing(z):
        return z[:, None]

    for t, end in ((0.0, z0), (1.0, z1)):
        times = torch.full([5], t).double()
        assert torch.allclose(point_on_path(z0, z1, times, "w", nothing)[:, 0], end)
        direction = end / end.norm(dim=1, keepdim=True)
        assert torch.allclose(point_on_path(z0, z1, times, "z", nothing)[:, 0], direction)


def test_half_way_on_a_circle():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert torch.allclose(slerp(a, b, torch.tensor([[0.5]])), torch.full([1, 2], math.sqrt(0.5)))


def test_preparation():
    image = torch.linspace(-1, 1, 16)[None, None, :, None].expand(1, 3, 16, 16)
    assert prepare(image, crop=False)[0, 0, :, 0].tolist() == pytest.approx([i * 17.0 for i in range(16)], abs=1e-4)
    assert prepare(image, crop=True).shape == (1, 3, 8, 8)
    assert prepare(image, crop=True)[0, 0, 0, 0].item() == pytest.approx(6 * 17, abs=1e-4)
    assert prepare(torch.zeros(1, 3, 512, 512), crop=False).shape == (1, 3, SIDE, SIDE)


def test_the_trimmed_mean_leaves_out_the_ends():
    values = np.arange(1000.0)
    assert trimmed_mean(np.append(values, [1e9, -1e9])) == pytest.approx(values.mean(), rel=0.01)
    assert trimmed_mean(np.array([5.0])) == 5


def test_ranks_share_the_paths(monkeypatch):
    whole = step_lengths(make_context(batch_size=2), 6, 1e-3, "w", full=False, crop=False)
    gathered = [torch.from_numpy(whole)[[0, 1, 4, 5]], torch.from_numpy(whole)[[2, 3]]]
    monkeypatch.setattr(World, "gather_rows", lambda self, rows: torch.cat([rows, gathered[1]]))
    first = step_lengths(make_context(batch_size=2, world=World(0, 2)), 6, 1e-3, "w", full=False, crop=False)
    assert first == pytest.approx(whole, rel=1e-9)
