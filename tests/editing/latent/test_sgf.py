"""SGF on conditions of known arithmetic: the mapping's bound, its field, edits that arrive and edits that cannot."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.func import jacrev, vmap

from dnnlib.errors import UserError
from editing.latent.auxiliary import AuxiliaryMapping, MappingOptions, learn
from editing.latent.field_files import About, load_field, save_field
from editing.latent.interface import Strength, draw_pairs, toward
from editing.latent.sgf import Scale, Sgf, SgfOptions
from editing.latent.walking import WalkOptions
from tests.editing.latent.toys import WIDTH, ToySubject, curved, linear

SMALL = MappingOptions(layers=2, features=64, steps=400, batch=128)


@pytest.fixture(scope="module")
def straight() -> Sgf:
    subject = ToySubject(linear)
    return Sgf.fit(subject, draw_pairs(subject, 2000), SgfOptions(step=0.1, mapping=SMALL))


@pytest.fixture(scope="module")
def bent() -> Sgf:
    subject = ToySubject(curved)
    return Sgf.fit(subject, draw_pairs(subject, 2000), SgfOptions(step=0.1, mapping=SMALL))


def jacobians(mapping: AuxiliaryMapping, z: torch.Tensor, c: torch.Tensor, of: int) -> torch.Tensor:
    """dF/dz (of=0) or dF/dc (of=1) at each row."""
    return vmap(jacrev(lambda *each: mapping(*(x[None] for x in each))[0], argnums=of))(z, c)


@pytest.mark.parametrize("gain", [0.0, 0.1, 30.0])
def test_the_jacobian_stays_below_the_bound_whatever_is_learnt(gain: float, generator):
    mapping = AuxiliaryMapping(WIDTH, 2, MappingOptions(layers=3, features=16, contraction=0.8))
    for layer in mapping.layers:
        torch.nn.init.normal_(layer.style.weight, std=gain, generator=generator())
        torch.nn.init.normal_(layer.linear.parametrizations.weight.original, std=5.0, generator=generator(1))
    mapping.settle()
    assert mapping.bound() == pytest.approx(0.8, rel=1e-5)
    z, c = torch.randn([200, WIDTH], generator=generator(2)), torch.randn([200, 2], generator=generator(3))
    norms = torch.linalg.matrix_norm(jacobians(mapping, torch.cat([z, 0.01 * z, 30 * z]), c.repeat(3, 1), 0), 2)
    assert norms.max() <= 0.8 + 1e-5


@pytest.mark.parametrize("contraction", [0.0, 1.0, 1.2])
def test_a_mapping_that_does_not_contract_is_refused(contraction: float):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        MappingOptions(contraction=contraction)


def test_a_field_of_a_mapping_beyond_the_bound_is_refused(straight: Sgf):
    mapping = learn(torch.randn(50, WIDTH), torch.randn(50, 2), replace(SMALL, steps=1))
    with torch.no_grad():
        mapping.last.weight.mul_(2)
    with pytest.raises(ValueError, match="its bound must be below 1"):
        Sgf(straight.subject, mapping, straight.latents, straight.conditions)


def test_the_field_is_the_dense_solve(bent: Sgf):
    points = bent.subject.draw(20, 5)
    condition, rate = bent.subject.measure(points), torch.tensor([[0.3, -0.2]]).expand(20, 2)
    z, c = bent.latents.to_standard(points.values), bent.conditions.to_standard(condition)
    J, of_c = jacobians(bent.mapping, z, c, 0), jacobians(bent.mapping, z, c, 1)
    b = (of_c @ (rate / bent.conditions.deviation)[..., None])[..., 0]
    exact = torch.linalg.solve(torch.eye(WIDTH) - J, b[..., None])[..., 0] * bent.latents.deviation
    found = bent.field(points.values, condition, rate)
    assert ((found - exact).norm(dim=1) <= 1e-4 * exact.norm(dim=1)).all()


@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
def test_products_with_the_jacobian_are_those_of_automatic_differentiation(bent: Sgf, size: float, generator):
    z, c, v = (torch.randn([20, width], generator=generator(i)) for i, width in enumerate((WIDTH, 2, WIDTH)))
    expected = (jacobians(bent.mapping, size * z, c, 0) @ v[..., None])[..., 0]
    torch.testing.assert_close(bent.mapping.product(size * z, c)(v), expected, rtol=1e-4, atol=1e-6)


def test_the_mapping_has_learnt_to_reconstruct_latents(straight: Sgf):
    pairs = draw_pairs(straight.subject, 500, seed=9)
    z, c = straight.latents.to_standard(pairs.values), straight.conditions.to_standard(pairs.conditions)
    with torch.no_grad():
        error = (straight.mapping(z, c) - z).square().mean()
    assert error < 0.5  # of latents with a mean square of 1
    assert (straight.mapping(z, c.flip(0)) - straight.mapping(z, c)).square().mean() > 0.05  # it listens to c


@pytest.mark.parametrize("aim", ["measured", "start"])
def test_a_hundred_edits_arrive_and_keep_the_other_attribute(straight: Sgf, aim: str):
    options = SgfOptions(step=0.1, aim=aim)
    method = Sgf(straight.subject, straight.mapping, straight.latents, straight.conditions, options)
    points = straight.subject.draw(100, 7)
    start = straight.subject.measure(points)
    edit = method.edit(points, toward(start, {0: start[:, 0] + 1.0}, 0.1))
    end = straight.subject.measure(points.at(edit.values))
    assert edit.reached.all()
    assert (end[:, 0] - start[:, 0] - 1).abs().max() <= 0.1 + 1e-5
    torch.testing.assert_close(end, edit.condition)
    kept = (end[:, 1] - start[:, 1]).abs()
    assert kept.mean() < 0.3  # straight along attribute 0's gradient it would be 0.6
    assert 5 <= edit.steps.float().mean() <= 25
    assert edit.said().startswith("100 of 100 reached the target, after")


def test_an_unreachable_target_ends_with_the_best_latent_and_says_so(bent: Sgf):
    options = SgfOptions(step=0.1, walk=WalkOptions(max_steps=40, patience=8))
    method = Sgf(bent.subject, bent.mapping, bent.latents, bent.conditions, options)
    points = bent.subject.draw(10, 3)
    start = bent.subject.measure(points)
    target = toward(start, {0: 1.5}, 0.1)  # tanh stays below 1
    seen = [target.distance(step.condition) for step in method.path(points, target)]
    edit = method.edit(points, target)
    assert not edit.reached.any()
    assert set(edit.reasons) <= {"no progress", "step limit"}
    best = torch.stack(seen).amin(0)
    torch.testing.assert_close(target.distance(bent.subject.measure(points.at(edit.values))), best)
    assert (best < target.distance(start)).all()
    assert edit.said().startswith("0 of 10 reached the target; the others stopped at the nearest latent found (")


def test_points_that_have_arrived_stay_while_others_go_on(straight: Sgf):
    points = straight.subject.draw(2, 1)
    start = straight.subject.measure(points)
    target = toward(start, {0: start[:, 0] + torch.tensor([0.02, 2.0])}, 0.1)
    first, *_, last = straight.path(points, target)
    assert first.reached.tolist() == [True, False]
    assert last.reached.tolist() == [True, True]
    assert torch.equal(last.values[0], points.values[0])


def test_the_fast_variant_measures_twice(straight: Sgf):
    subject = ToySubject(linear)
    method = Sgf(subject, straight.mapping, straight.latents, straight.conditions, SgfOptions(step=0.1, fast=True))
    points = subject.draw(30, 7)
    start = linear(points.values)
    edit = method.edit(points, toward(start, {0: start[:, 0] + 1.0}, 0.3))
    assert len(subject.calls) == 2
    assert edit.steps.tolist() == [10] * 30
    assert ((linear(edit.values) - start)[:, 0] - 1).abs().mean() < 0.3
    assert torch.equal(edit.reached, ((linear(edit.values) - start)[:, 0] - 1).abs() <= 0.3)


def test_the_fast_variant_stays_where_it_would_not_come_nearer(straight: Sgf):
    subject = ToySubject(lambda z: -linear(z))  # it goes the wrong way
    method = Sgf(subject, straight.mapping, straight.latents, straight.conditions, SgfOptions(fast=True))
    points = subject.draw(20, 7)
    start = subject.measure(points)
    edit = method.edit(points, toward(start, {0: start[:, 0] + 1.0}, 0.3))
    assert torch.equal(edit.values, points.values)
    torch.testing.assert_close(edit.condition, start)
    assert set(edit.reasons) == {"step limit"}
    assert edit.steps.tolist() == [0] * 20


def test_the_fast_variant_takes_more_steps_to_targets_far_off(straight: Sgf):
    walk = WalkOptions(max_steps=6)
    method = Sgf(ToySubject(linear), straight.mapping, straight.latents, straight.conditions,
                 SgfOptions(step=0.5, fast=True, walk=walk))  # fmt: skip
    points = method.subject.draw(3, 7)
    start, deviation = linear(points.values), straight.conditions.deviation[0]
    ways = torch.tensor([1.0, 2.5, 1e30]) * deviation
    path = list(method.path(points, toward(start, {0: start[:, 0] + ways}, 0.01)))
    moves = torch.stack([b.values != a.values for a, b in pairwise(path)]).any(2).sum(0)
    assert moves.tolist() == [2, 3, 6]
    assert (linear(path[-1].values) - start)[2, 0] < 12 * deviation


@pytest.mark.parametrize("aim", ["measured", "start"])
@pytest.mark.parametrize("far", [50.0, 1e30, -3e38])
def test_targets_far_off_are_not_jumped_at(bent: Sgf, aim: str, far: float):
    method = Sgf(bent.subject, bent.mapping, bent.latents, bent.conditions,
                 SgfOptions(aim=aim, walk=WalkOptions(30, 5)))  # fmt: skip
    points = bent.subject.draw(10, 3)
    start = bent.subject.measure(points)
    rate = method._rate(start, start, toward(start, {0: far}, 0.1))
    torch.testing.assert_close(rate[:, 0], (bent.conditions.deviation[0] * math.copysign(1, far)).expand(10))
    edit = method.edit(points, toward(start, {1: far}, 0.1))
    assert edit.values.isfinite().all()
    torch.testing.assert_close(edit.condition, curved(edit.values))
    assert set(edit.reasons) <= {"no progress", "step limit"}
    if abs(far) < 1e9:  # beyond, a step is less than what a float32 can tell
        assert ((curved(edit.values) - start)[:, 1] > 0.5).all()


@pytest.mark.parametrize("keep", [False, True])
def test_what_has_drifted_is_taken_back_where_that_is_asked_for(bent: Sgf, keep: bool):
    method = Sgf(bent.subject, bent.mapping, bent.latents, bent.conditions, SgfOptions(keep=keep))
    condition, start = torch.tensor([[0.1, 0.5]]), torch.tensor([[0.0, 0.0]])
    rate = method._rate(condition, start, toward(start, {0: 0.8}, 0.1))
    torch.testing.assert_close(rate, torch.tensor([[0.2, -0.125 if keep else 0.0]]))


def test_a_strength_is_a_target_so_many_deviations_away(straight: Sgf):
    points = straight.subject.draw(20, 4)
    edit = straight.edit(points, Strength(1, torch.linspace(-1, 1, 20)))
    moved = linear(edit.values) - linear(points.values)
    torch.testing.assert_close(moved[:, 1], torch.linspace(-1, 1, 20) * straight.conditions.deviation[1],
                               rtol=0, atol=0.11)  # fmt: skip
    with pytest.raises(UserError, match="no attribute 2; there are 0 to 1"):
        straight.edit(points, Strength(2, 1.0))


def test_the_same_seed_learns_the_same(straight: Sgf):
    pairs = draw_pairs(straight.subject, 200)
    options = SgfOptions(mapping=replace(SMALL, steps=5))
    weights = [Sgf.fit(straight.subject, pairs, options, seed).mapping.last.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_scales_invert():
    x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    assert Scale.of(x, shared=False).to_standard(x).std(0).tolist() == pytest.approx([1.0, 1.0])
    assert float(Scale.of(x, shared=True).to_standard(x).square().mean()) == pytest.approx(1.0)


# ---- files

ABOUT = About(("a", "b"), ("scene:faces",), "w", (0, 3), "small")


def test_a_file_is_read_back_as_it_was_written(straight: Sgf, tmp_path: Path):
    saved = load_field(save_field(tmp_path / "a.safetensors", straight, ABOUT))
    assert saved.about == ABOUT
    found = saved.of(straight.subject, WIDTH)
    assert found.bound == pytest.approx(straight.bound, rel=1e-6)
    points, rate = straight.subject.draw(5, 1), torch.ones(5, 2)
    both = [each.field(points.values, linear(points.values), rate) for each in (found, straight)]
    torch.testing.assert_close(both[0], both[1])


def test_fields_of_something_else_are_refused(straight: Sgf, tmp_path: Path):
    saved = load_field(save_field(tmp_path / "a.safetensors", straight, ABOUT))
    with pytest.raises(UserError, match="latents of 6 numbers; here they have 8"):
        saved.of(straight.subject, 8)
    with pytest.raises(UserError, match="a field of a, b, not of a, c"):
        saved.of(ToySubject(linear, names=("a", "c")), WIDTH)


def test_a_file_whose_mapping_does_not_contract_is_refused(straight: Sgf, tmp_path: Path):
    mapping = learn(torch.randn(50, WIDTH), torch.randn(50, 2), replace(SMALL, steps=1))
    field = Sgf(straight.subject, mapping, straight.latents, straight.conditions)
    with torch.no_grad():
        mapping.last.weight.mul_(2)
    saved = load_field(save_field(tmp_path / "a.safetensors", field, ABOUT))
    with pytest.raises(UserError, match="its bound must be below 1"):
        saved.of(straight.subject, WIDTH)


def test_files_of_directions_and_fields_are_told_apart(straight: Sgf, tmp_path: Path):
    from training.latent.directions import load_directions

    path = save_field(tmp_path / "a.safetensors", straight, ABOUT)
    with pytest.raises(UserError, match=r"not a file of directions, but a field, for edit\.py towards --method"):
        load_directions(path)


@pytest.mark.parametrize("options, words", [({"aim": "moon"}, "aim 'moon'"), ({"step": 0.0}, "a step of 0")])
def test_options_out_of_range_are_refused(options: dict, words: str):
    with pytest.raises(UserError, match=words):
        SgfOptions(**options)


