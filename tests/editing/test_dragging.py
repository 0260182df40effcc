"""Dragging: a toy whose texture moves with center and style, and models of every kind."""

import pytest
import torch

from dnnlib.errors import UserError
from editing.dragging import DragOptions, default_feature_resolution, drag
from tests.editing.toy import SIZE, toy_layout, toy_model
from tests.tiny_models import tiny_model

WAY = [((-0.2, 0.0), (0.2, 0.1))]
HOW = {"feature_resolution": SIZE, "lr": 0.02}


def last_of(steps):
    return list(steps)[-1]


@pytest.mark.parametrize("mode", ["latent", "alternate", "hybrid"])
def test_the_texture_arrives(mode: str):
    step = last_of(drag(toy_model(), torch.zeros(1, 1, 2), toy_layout(), WAY, options=DragOptions(mode, **HOW)))
    assert (step.done, step.reason) == (True, "reached")
    middle = step.ws[0, 0] * 0.5 + step.layout.centers[0][0, 0]
    assert (middle - torch.tensor(WAY[0][1])).norm() < 0.1  # a pixel and a half


def test_two_stages_need_fewer_steps():
    counts = [
        last_of(drag(toy_model(), torch.zeros(1, 1, 2), toy_layout(), WAY, options=DragOptions(mode, **HOW))).step
        for mode in ("hybrid", "latent")
    ]
    assert counts[0] <= counts[1] / 3


@pytest.mark.parametrize("obedience", [0.6, 1.6])
def test_jumps_learn_how_far_an_object_follows(obedience: float):
    model, start = toy_model(obedience=obedience), -0.2 * obedience
    way = [((start, 0.0), (start + 0.3, 0.1))]
    steps = list(drag(model, torch.zeros(1, 1, 2), toy_layout(), way, options=DragOptions("hybrid", **HOW)))
    assert steps[-1].reason == "reached"
    assert len(steps) <= 5
    assert steps[-1].ws.equal(torch.zeros(1, 1, 2))  # by jumps alone
    middle = obedience * steps[-1].layout.centers[0][0, 0]
    assert (middle - torch.tensor(way[0][1])).norm() < 0.1


def test_latent_mode_leaves_the_layout_alone():
    step = last_of(drag(toy_model(), torch.zeros(1, 1, 2), toy_layout(), WAY, options=DragOptions("latent", **HOW)))
    assert step.layout.centers[0].equal(toy_layout().centers[0])
    assert not step.ws.equal(torch.zeros(1, 1, 2))


def test_a_mask_holds_the_rest():
    def change(mask):
        options = DragOptions("latent", max_steps=10, **HOW)
        steps = list(drag(toy_model(), torch.zeros(1, 1, 2), toy_layout(), WAY, mask, options))
        return (steps[-1].image - steps[0].image).abs().mean()

    assert change(torch.zeros(8, 8)) < 0.3 * change(None)


def test_ends_at_the_step_limit_and_without_progress():
    start = torch.zeros(1, 1, 2), toy_layout(), WAY
    limit = last_of(drag(toy_model(), *start, options=DragOptions("latent", max_steps=2, **HOW)))
    assert (limit.step, limit.done, limit.reason) == (2, True, "step limit")
    slow = HOW | {"lr": 1e-9}
    stuck = last_of(drag(toy_model(), *start, options=DragOptions("latent", patience=4, **slow)))
    assert (stuck.step, stuck.reason) == (4, "no progress for 4 steps")


@pytest.mark.parametrize(
    "method, mode", [("spatialgan", "hybrid"), ("spatialgan-indoor", "alternate"), ("stylegan2", "latent")]
)
def test_every_step_is_what_its_styles_and_layout_make(method: str, mode: str):
    model = tiny_model(method)
    with torch.inference_mode():  # as a server may call it
        steps = list(drag(model, model.styles([0]), model.layout([0]), WAY, options=DragOptions(mode, max_steps=3)))
    assert [step.step for step in steps] == list(range(len(steps)))
    for step in steps:
        again = model.images([0], ws=step.ws, layout=step.layout)
        torch.testing.assert_close(step.image, again, atol=1e-4, rtol=1e-4)


def test_styles_behind_the_feature_map_stay():
    model = tiny_model("stylegan2")
    ws = model.styles([0])
    step = list(drag(model, ws, None, WAY, options=DragOptions("latent", max_steps=2, feature_resolution=8)))[1]
    assert (step.ws != ws).any(-1)[0].tolist() == [True, True, True, False, False, False]


def test_default_feature_resolution():
    assert default_feature_resolution(tiny_model(resolution=16)) == 8


@pytest.mark.parametrize(
    "change, words",
    [
        ({"points": []}, "0 points"),
        ({"points": [((0, 0), (1.5, 0))]}, "outside"),
        ({"points": [((0, 0), (float("nan"), 0))]}, "outside"),
        ({"ws": torch.zeros(1, 3, 2)}, "shape"),
        ({"layout": None}, "layout"),
        ({"mask": torch.zeros(3, 4)}, "square"),
        ({"options": DragOptions(feature_resolution=12)}, "no features of 12"),
    ],
)
def test_bad_input_is_refused_at_once(change: dict, words: str):
    model = tiny_model()
    given = {"ws": model.styles([0]), "layout": model.layout([0]), "points": WAY} | change
    with pytest.raises(UserError, match=words):
        drag(model, **given)


def test_moving_centers_needs_a_layout():
    model = tiny_model("stylegan2")
    with pytest.raises(UserError, match="use 'latent'"):
        drag(model, model.styles([0]), None, WAY, options=DragOptions("hybrid"))


@pytest.mark.parametrize("wrong", [{"mode": "both"}, {"lr": 0}, {"r1": float("nan")}, {"max_steps": 0}])
def test_bad_options(wrong: dict):
    with pytest.raises(UserError):
        DragOptions(**wrong)
