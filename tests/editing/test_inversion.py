"""Inversion on untrained models: what is said of a step is true, and steps lead nearer."""

import pytest
import torch

from dnnlib.errors import UserError
from editing.inversion import DONE, InversionOptions, invert, pyramid, ramp, shown_difference
from tests.tiny_models import tiny_model

QUICK = {"steps": 25, "candidates": 16}


@pytest.mark.parametrize("method", ["spatialgan", "spatialgan-indoor", "stylegan2"])
def test_the_last_step_is_the_nearest_and_makes_its_picture(method: str):
    model = tiny_model(method)
    target = model.images([5, 6]).clone()
    steps = list(invert(model, target, InversionOptions(**QUICK)))
    last = steps[-1]
    assert [step.step for step in steps] == [*range(len(steps) - 1), 25]  # it may be done before
    assert (last.rms <= torch.stack([step.rms for step in steps]).amin(0).clamp_min(DONE) + 1e-6).all()
    assert (last.rms < 0.9 * steps[0].rms).all()
    again = model.images([5, 6], ws=last.ws, layout=last.layout)
    torch.testing.assert_close(again, last.image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(shown_difference(again, target).sqrt(), last.rms, atol=1e-4, rtol=1e-3)


def test_a_picture_is_found_alike_alone_and_among_others():
    model = tiny_model()
    target = model.images([5, 6]).clone()
    both, alone = (list(invert(model, t, InversionOptions(steps=5, candidates=8)))[-1] for t in (target, target[1:]))
    torch.testing.assert_close(both.ws[1:], alone.ws, atol=1e-3, rtol=1e-3)


def test_space_w_has_one_style_and_a_fixed_layout_stays():
    model = tiny_model()
    target = model.images([5]).clone()
    options = InversionOptions(space="w", optimize_layout=False, second_order=0, **QUICK)
    steps = list(invert(model, target, options))
    assert steps[-1].ws.equal(steps[-1].ws[:, :1].expand_as(steps[-1].ws))
    assert steps[-1].layout.centers[0].equal(steps[0].layout.centers[0])


@pytest.mark.parametrize("second_order", [0, 3])
def test_a_layout_that_is_given_stays(second_order: int):
    model = tiny_model()
    given = model.layout([11]).moved(0, 0, 0.2, -0.1)
    options = InversionOptions(optimize_layout=False, second_order=second_order, steps=6, candidates=8)
    for step in invert(model, model.images([5], layout=given).clone(), options, layout=given):
        torch.testing.assert_close(step.layout.centers, given.centers)
        torch.testing.assert_close(step.layout.spreads, given.spreads)


def test_a_picture_of_the_models_own_is_found_and_the_search_ends_early():
    model = tiny_model("stylegan2")
    steps = list(invert(model, model.images([5]).clone(), InversionOptions(steps=90, candidates=64)))
    assert steps[-1].rms < DONE
    assert steps[-1].step == 90
    assert len(steps) < 60


def test_pictures_are_compared_as_they_are_shown():
    a = torch.tensor([3.0, 0.5, -1.0]).view(1, 3, 1, 1)
    b = torch.tensor([1.0, 0.0, -7.0]).view(1, 3, 1, 1)
    assert shown_difference(a, b).tolist() == pytest.approx([0.25 / 3])


def test_ramp_and_pyramid():
    assert ramp(0.0) < 0.05
    assert ramp(0.3) == 1
    assert ramp(1.0) == 0
    difference = torch.ones(1, 3, 16, 16)
    difference[..., ::2] = -1
    assert [square.item() for square in pyramid(difference)] == [1, 0, 0]


@pytest.mark.parametrize("shape", [[1, 3, 8, 8], [3, 16, 16], [0, 3, 16, 16], [1, 1, 16, 16]])
def test_pictures_of_another_shape_are_refused_at_once(shape: list[int]):
    with pytest.raises(UserError, match="must have the shape"):
        invert(tiny_model(), torch.zeros(shape))
