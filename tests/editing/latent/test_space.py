"""A model's Z and W as what is edited, and the methods as calc_metrics.py measures them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import edit
from dnnlib.errors import UserError
from editing.latent.auxiliary import MappingOptions, learn
from editing.latent.interface import Strength, draw_pairs, toward
from editing.latent.manipulation import (
    EVALUATION,
    TRIES,
    Manipulate,
    Manipulation,
    Scale,
    default_condition,
    evaluation_seeds,
)
from editing.latent.methods import METHODS, make_method
from editing.latent.sefa import sefa
from editing.latent.sgf import Sgf, SgfOptions
from editing.latent.space import ModelSubject
from editing.latent.styles import drawn_seeds
from editing.latent.walking import WalkOptions
from tests.editing.latent.conditions.test_files import Means, script
from tests.tiny_models import save_tiny_snapshot, tiny_model
from training.latent.directions import save_directions
from training.sampling import Model


class ChannelMeans:
    """The mean of each channel, times 10."""

    names = ("red", "green", "blue")

    def __call__(self, images: Tensor) -> Tensor:
        return 10 * images.mean((2, 3))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def subject(model: Model, **options) -> ModelSubject:
    return ModelSubject(model, ChannelMeans(), **options)


@pytest.mark.parametrize("space", ["w", "z", "w+layout"])
def test_points_are_the_pictures_of_their_seeds(model: Model, space: str):
    edited = subject(model, space=space, batch=2)
    points = edited.of_seeds([5, 6, 7])
    torch.testing.assert_close(edited.pictures(points), model.images([5, 6, 7]))
    torch.testing.assert_close(edited.measure(points), ChannelMeans()(model.images([5, 6, 7])))
    rows = torch.tensor([2, 0])
    torch.testing.assert_close(edited.pictures(points[rows]), model.images([7, 5]))
    assert list(points.values.shape) == [3, 8 + 2 * sum(points.context.layout.counts) * (space == "w+layout")]
    assert edited.width == points.values.shape[1]


def test_latents_with_the_layout_move_styles_and_centers(model: Model):
    edited, layout = subject(model, space="w+layout"), model.layout([5])
    points = edited.of_seeds([5])
    step = torch.arange(edited.width) / 100
    moved = points.at(points.values + step)
    ws, centers = model.styles([5]) + step[:8], list(layout.centers)
    torch.testing.assert_close(edited.styles(moved), ws)
    found, start = edited.layout(moved), 8
    for level, before in enumerate(centers):
        end = start + before[0].numel()
        torch.testing.assert_close(found.centers[level], before + step[start:end].reshape(1, -1, 2))
        start = end
    assert torch.equal(found.spreads[0], layout.spreads[0])
    torch.testing.assert_close(edited.pictures(moved), model.images(ws=ws, layout=found))
    again = edited.of_styles(ws, found)
    torch.testing.assert_close(again.values, moved.values)


def test_a_model_without_heatmaps_has_no_such_space():
    with pytest.raises(UserError, match=r"space w\+layout: this model has no heatmaps"):
        subject(tiny_model("stylegan2"), space="w+layout")


def test_an_edit_in_w_moves_the_chosen_layers(model: Model):
    points = subject(model).of_seeds([5])
    moved = points.at(points.values + 1.0)
    change = subject(model, layers=(1, 2)).styles(moved) - model.styles([5])
    expected = torch.zeros_like(change)
    expected[:, 1:3] = 1.0
    torch.testing.assert_close(change, expected)


def test_projected_pictures_keep_what_differs_between_layers(model: Model):
    ws, layout = torch.randn(1, *model.G.w_shape), model.layout([3])
    edited = subject(model)
    points = edited.of_styles(ws, layout)
    torch.testing.assert_close(edited.styles(points), ws)
    torch.testing.assert_close(edited.styles(points.at(points.values + 0.5)), ws + 0.5)
    torch.testing.assert_close(edited.pictures(points), model.images(ws=ws, layout=layout))
    with pytest.raises(UserError, match="final styles have no z"):
        subject(model, space="z").of_styles(ws, layout)


@pytest.mark.parametrize("space", ["w", "z", "w+layout"])
def test_gradients_are_those_of_finite_differences(model: Model, space: str):
    edited = subject(model, space=space)
    points = edited.of_seeds([5])
    values = points.values.clone().requires_grad_()
    seen = edited.measure(points.at(values), with_gradients=True)
    (gradient,) = torch.autograd.grad(seen[0, 0], values)
    for entry in {3, edited.width - 1}:
        step = 1e-2 * torch.nn.functional.one_hot(torch.tensor([entry]), edited.width)
        ends = [edited.measure(points.at(points.values + sign * step))[0, 0] for sign in (1, -1)]
        assert float(gradient[0, entry]) == pytest.approx(float(ends[0] - ends[1]) / 2e-2, rel=0.05, abs=1e-3)


def test_random_points_are_the_same_for_a_seed(model: Model):
    edited = subject(model)
    first, again, other = (edited.draw(4, seed).values for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("options, words", [
    ({"space": "x"}, "unknown space 'x'"),
    ({"layers": (0, 99)}, "this model has layers 0-"),
    ({"layers": (0, 1), "space": "z"}, "--layers are of space w"),
])  # fmt: skip
def test_spaces_that_are_none_are_refused(model: Model, options: dict, words: str):
    with pytest.raises(UserError, match=words):
        subject(model, **options)


def test_scenes_of_several_codes_are_refused():
    with pytest.raises(UserError, match="a latent for each object"):
        subject(tiny_model("spatialgan-indoor"))


@pytest.mark.parametrize("answer, words", [
    (lambda images: images.mean((2, 3))[:, :2], r"gives \[2, 2\] numbers for 2 pictures, not \[2, 3\]"),
    (lambda images: images.mean((2, 3)) / 0, "not a finite number"),
])  # fmt: skip
def test_conditions_that_give_something_else_are_refused(model: Model, answer, words: str):
    class Odd(ChannelMeans):
        def __call__(self, images: Tensor) -> Tensor:
            return answer(images)

    edited = ModelSubject(model, Odd())
    with pytest.raises(UserError, match=words):
        edited.measure(edited.of_seeds([0, 1]))


# ---- methods on a model

FEW = MappingOptions(layers=2, features=32, steps=150, batch=64)


@pytest.mark.parametrize("space", ["w", "z", "w+layout"])
@pytest.mark.parametrize("fast", [False, True])
def test_sgf_moves_a_models_pictures_towards_a_target(model: Model, space: str, fast: bool):
    edited = subject(model, space=space)
    pairs = draw_pairs(edited, 400)
    method = Sgf.fit(edited, pairs, SgfOptions(mapping=FEW, fast=fast, walk=WalkOptions(25, 10)))
    points = edited.of_seeds(range(12))
    start = edited.measure(points)
    deviation = pairs.conditions.std(0)
    target = toward(start, {0: start[:, 0] + deviation[0]}, 0.3 * deviation)
    edit = method.edit(points, target)
    torch.testing.assert_close(edited.measure(points.at(edit.values)), edit.condition, rtol=1e-4, atol=1e-4)
    assert target.distance(edit.condition).mean() < 0.7 * target.distance(start).mean()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mappings learn for a moment only."""
    monkeypatch.setattr("editing.latent.sgf.learn", lambda z, c, options, seed: learn(z, c, FEW, seed))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_scores_at_rising_strengths(model: Model, name: str):
    edited = subject(model)
    pairs = draw_pairs(edited, 200)
    method = make_method(name, edited, pairs, WalkOptions(4, 5), stops=False)
    manipulation = Manipulation(method, edited, pairs, [1])
    scores = manipulation.scores(1, 6, seed=0)
    assert len(scores) == 5 or name in ("sgf", "sgf-fast", "optimization")
    assert all(list(each.shape) == [6, 3] and each.min() >= 0 and each.max() <= 1 for each in scores)
    start = scores[0][:, 1]
    assert ((start < 0.25) | (start > 0.75)).all()
    towards = torch.where(start > 0.5, start - scores[-1][:, 1], scores[-1][:, 1] - start)
    assert towards.mean() > 0.02
    assert manipulation.about == {"method": method.name}


def test_every_seed_of_evaluation_has_pictures_of_its_own():
    of_fits = {seed for number in range(EVALUATION) for seed in (drawn_seeds(10_000, number)[i] for i in (0, -1))}
    seen: set[int] = set()
    for seed in range(40):
        for part in (0, 1, TRIES - 1):
            drawn = evaluation_seeds(2000, seed, part)
            assert len(drawn) == 2000
            assert not seen & {drawn[0], drawn[-1]}
            seen |= set(drawn)
    assert min(seen) > max(of_fits)
    assert max(seen) < 2**32


def test_scores_are_a_half_at_the_median():
    scale = Scale.of(torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]]))
    assert scale.scores(torch.tensor([[2.0]])).item() == 0.5
    assert (scale.low.item(), scale.high.item()) == (1.0, 3.5)


def test_too_few_clear_pictures_are_said(model: Model):
    edited = subject(model)
    pairs = draw_pairs(edited, 50)
    manipulation = Manipulation(make_method("interfacegan", edited, pairs, WalkOptions(2, 3)), edited, pairs)
    manipulation.scale = replace(manipulation.scale, deviation=torch.full([3], 1e9))
    with pytest.raises(UserError, match="fewer than 2 of 200 pictures are clear about 'red'"):
        manipulation.scores(0, 2, 0)


def test_a_file_of_directions_is_a_method(model: Model, tmp_path: Path):
    edited = subject(model)
    pairs = draw_pairs(edited, 100)
    found = sefa(model, 3, (0, 1))
    path = str(save_directions(tmp_path / "a.safetensors", found))
    method = make_method(path, edited, pairs, WalkOptions())
    assert method.subject.layers == (0, 1)
    named = replace(found, names=ChannelMeans.names)
    method = make_method(str(save_directions(tmp_path / "b.safetensors", named)), edited, pairs, WalkOptions())
    torch.testing.assert_close(method.ways, found.vectors * found.deviations[:, None])
    with pytest.raises(UserError, match="there are none in z"):
        make_method(path, subject(model, space="z"), pairs, WalkOptions())


@pytest.mark.usefixtures("quick")
def test_learnt_ones_are_written_by_the_command_and_measured(tmp_path: Path):
    network, means = save_tiny_snapshot(tmp_path), script(tmp_path / "mean.pt", Means())
    for method in ("interfacegan", "sgf"):
        dest = tmp_path / f"{method}.safetensors"
        words = ["directions", f"--network={network}", f"--method={method}", f"--condition={means}", f"--dest={dest}",
                 "--samples=60", "--columns=2", "--span=1", "--device=cpu"]  # fmt: skip
        result = CliRunner().invoke(edit.main, words)
        assert result.exit_code == 0, result.output
        assert result.output.startswith("9 in 10 of 60 random pictures have\n  mean0: ")
        assert dest.with_suffix(".png").exists()
        manipulation = Manipulate(str(dest), (means,), ("mean1",), samples=60)(Model.load(network, "cpu"))
        assert manipulation.about == {"method": method, "condition": means, "samples": "60"}
        assert manipulation.edited == (1,)
        assert list(manipulation.scores(1, 3, 0)[-1].shape) == [3, 3]


def test_the_kind_of_scenes_is_in_the_datas_name(model: Model):
    def named(path: str) -> tuple[str, ...]:
        config = model.config
        return default_condition(config.model_copy(update={"data": config.data.model_copy(update={"path": path})}))

    assert named("data/toy-faces32.zip") == ("scene:faces",)
    assert named("playrooms32.zip") == ("scene:playrooms",)
    with pytest.raises(UserError, match="no toy scenes are known for photos"):
        named("faces/photos.zip")


def test_strengths_of_straight_ways_are_deviations(model: Model):
    edited = subject(model)
    pairs = draw_pairs(edited, 300)
    method = make_method("interfacegan", edited, pairs, WalkOptions())
    points = edited.of_seeds([1])
    moved = method.edit(points, Strength(0, 2.0)).values - points.values
    along = pairs.values @ (moved[0] / moved.norm())
    assert float(moved.norm()) == pytest.approx(2 * float(along.std()), rel=1e-3)
