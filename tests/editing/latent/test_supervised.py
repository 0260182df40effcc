"""Boundaries, straight ways towards targets, and direct optimisation, on conditions of known arithmetic."""

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from editing.latent.interface import Pairs, Strength, Target, draw_pairs, index_of, toward
from editing.latent.interfacegan import (
    InterFaceGan,
    InterFaceOptions,
    boundaries,
    logistic_regression,
    orthogonalised,
)
from editing.latent.linear import Linear, LinearOptions, correlation, matched
from editing.latent.optimization import Optimization, OptimizationOptions
from editing.latent.walking import WalkOptions
from tests.editing.latent.toys import WIDTH, ToySubject, curved, linear
from tests.optional import is_installed
from training.latent.directions import Directions

NORMALS = torch.tensor([[1.0, 0, 0, 0, 0, 0], [0.6, 0.8, 0, 0, 0, 0]])  # of toys.linear
UNIT = torch.eye(WIDTH)


def fitted(**options) -> InterFaceGan:
    subject = ToySubject(linear)
    return InterFaceGan.fit(subject, draw_pairs(subject, 4000), InterFaceOptions(**options))


# ---- InterFaceGAN


def test_boundaries_are_those_of_the_attributes():
    ways = fitted().ways
    cosines = (ways / ways.norm(dim=1, keepdim=True) * NORMALS).sum(1)
    assert (cosines > 0.99).all()
    torch.testing.assert_close(ways.norm(dim=1), torch.ones(2), rtol=0, atol=0.05)  # latents have deviation 1


def test_conditional_boundaries_leave_other_attributes_alone():
    ways = fitted(conditional=True).ways
    assert (ways @ NORMALS.T)[0, 1].abs() < 0.1
    assert (ways @ NORMALS.T)[1, 0].abs() < 0.1
    assert ((ways @ NORMALS.T).diagonal() > 0.5).all()


def test_a_normal_without_the_others_is_of_length_1_and_orthogonal_to_them(generator):
    normals = torch.randn([4, WIDTH], generator=generator())
    found = orthogonalised(normals, 2)
    assert float(found.norm()) == pytest.approx(1)
    assert (normals[[0, 1, 3]] @ found).abs().max() < 1e-5
    assert float(normals[2] @ found) > 0
    twice = torch.cat([normals, normals[:1]])  # the others need not be independent
    torch.testing.assert_close(orthogonalised(twice, 2), found)
    assert torch.equal(orthogonalised(2 * UNIT[:1], 0), UNIT[0])


def test_a_mixture_of_the_others_has_no_direction_of_its_own():
    mixed = torch.stack([UNIT[0], UNIT[1], UNIT[0] + UNIT[1]])
    with pytest.raises(UserError, match="attribute 2 has no direction of its own"):
        orthogonalised(mixed, 2)
    with pytest.raises(UserError, match="attribute 'sum' has no direction of its own"):
        orthogonalised(mixed, 2, "sum")


def test_an_attribute_that_never_changes_has_no_boundary():
    pairs = Pairs(torch.randn(100, WIDTH), torch.stack([torch.randn(100), torch.ones(100)], 1))
    with pytest.raises(UserError, match="attribute 'b' is the same in too many pictures"):
        boundaries(pairs, ("a", "b"), InterFaceOptions())
    with pytest.raises(UserError, match=r"extremes of 0\.6"):
        InterFaceOptions(extremes=0.6)


@pytest.mark.skipif(not is_installed("sklearn"), reason="scikit-learn is missing")
@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_the_regression_is_that_of_scikit_learn(penalty: float):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-0.4, 1, [150, 5]), rng.normal(0.5, 1.3, [250, 5])])
    labels = np.arange(400) >= 150
    expected = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-10, max_iter=10_000).fit(x, labels).coef_[0]
    np.testing.assert_allclose(logistic_regression(x, 150, penalty), expected, rtol=1e-3, atol=1e-5)


def test_directions_of_boundaries_are_unit_vectors_with_deviations():
    method = fitted()
    found = method.directions(("a", "b"), (0, 2), "small")
    torch.testing.assert_close(found.vectors * found.deviations[:, None], method.ways)
    assert (found.names, found.layers, found.method) == (("a", "b"), (0, 2), "interfacegan")


# ---- straight ways


def straight(**options) -> Linear:
    return Linear(ToySubject(linear), NORMALS, "test", LinearOptions(**options))


def test_a_strength_is_so_many_lengths_of_the_way():
    method, points = straight(), ToySubject(linear).draw(3, 0)
    edit = method.edit(points, Strength(1, torch.tensor([1.0, -2.0, 0.0])))
    torch.testing.assert_close(edit.values - points.values, torch.tensor([1.0, -2.0, 0.0])[:, None] * NORMALS[1])
    path = list(method.path(points, Strength(1, 1.0)))
    assert [step.number for step in path] == [0, 1, 2, 3, 4, 5]  # at 0.2 a step
    torch.testing.assert_close(path[2].values - points.values, 0.4 * NORMALS[1].expand(3, -1))
    with pytest.raises(UserError, match="no direction 5; there are 0 to 1"):
        method.edit(points, Strength(5, 1.0))


def test_an_edit_to_a_target_ends_when_the_measured_condition_is_there():
    method = straight()
    points = method.subject.draw(100, 0)
    start = linear(points.values)
    edit = method.edit(points, toward(start, {1: start[:, 1] - 1.0}, 0.15))
    assert edit.reached.all()
    assert ((linear(edit.values) - start)[:, 1] + 1).abs().max() <= 0.15 + 1e-5
    assert edit.steps.max() <= 6
    assert set(edit.reasons) == {"reached"}


def test_two_attributes_can_be_wished_for_at_once():
    method = straight()
    points = method.subject.draw(50, 0)
    start = linear(points.values)
    target = toward(start, {0: start[:, 0] + 0.8, 1: start[:, 1] - 0.8}, 0.15)
    edit = method.edit(points, target)
    assert edit.reached.all()
    assert (target.distance(linear(edit.values)) <= 1).all()


def test_a_path_that_does_not_stop_goes_on_for_all_steps():
    method = straight(stops=False, walk=WalkOptions(max_steps=7))
    points = method.subject.draw(4, 0)
    target = toward(linear(points.values), {0: torch.tensor([9.0, -9.0, 9.0, -9.0])}, 0.1)
    steps = list(method.path(points, target))
    assert len(steps) == 8
    moved = (steps[-1].values - points.values)[:, 0]
    torch.testing.assert_close(moved, 7 * 0.2 * torch.tensor([1.0, -1.0, 1.0, -1.0]))


def test_a_way_that_does_not_help_ends_without_progress():
    method = Linear(ToySubject(linear), torch.zeros(2, WIDTH), "test", LinearOptions(walk=WalkOptions(50, 5)))
    points = method.subject.draw(2, 0)
    edit = method.edit(points, toward(linear(points.values), {0: 9.0}, 0.1))
    assert edit.reasons == ("no progress",) * 2
    assert torch.equal(edit.values, points.values)
    assert edit.steps.tolist() == [0, 0]


def test_directions_are_matched_with_the_attributes_that_go_with_them():
    pairs = draw_pairs(ToySubject(linear), 2000)
    vectors = torch.stack([UNIT[4], -UNIT[0], NORMALS[1]])
    directions = Directions(vectors, torch.tensor([1.0, 2.0, 0.5]), "sefa", ("x", "y", "z"))
    ways, numbers, found = matched(directions, pairs)
    assert numbers == [1, 2]
    torch.testing.assert_close(ways, torch.stack([2 * UNIT[0], 0.5 * NORMALS[1]]))
    assert found[0] == pytest.approx(-1, abs=1e-5)
    assert found[1] == pytest.approx(1, abs=1e-5)


def test_correlations_are_pearsons():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=[50, 3]), rng.normal(size=[50, 2])
    found = correlation(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(found, np.corrcoef(a.T, b.T)[:3, 3:])
    assert correlation(torch.ones(5, 1), torch.randn(5, 1)).item() == 0


# ---- direct optimisation


def test_optimisation_reaches_what_can_be_reached():
    subject = ToySubject(curved)
    method = Optimization.fit(subject, draw_pairs(subject, 500))
    points = subject.draw(30, 2)
    start = subject.measure(points)
    target = toward(start, {1: start[:, 1] + 1.0}, 0.1)
    edit = method.edit(points, target)
    assert edit.reached.all()
    kept = (curved(edit.values) - start)[:, 0].abs()
    assert kept.mean() < 0.1  # it is pulled back


def test_optimisation_says_when_it_does_not_get_there():
    subject = ToySubject(curved)
    options = OptimizationOptions(walk=WalkOptions(max_steps=30, patience=10))
    method = Optimization.fit(subject, draw_pairs(subject, 500), options)
    points = subject.draw(5, 2)
    edit = method.edit(points, toward(subject.measure(points), {0: 2.0}, 0.1))
    assert not edit.reached.any()
    assert "0 of 5 reached the target" in edit.said()


@pytest.mark.parametrize("far", [100.0, 1e30, -3e38])
def test_optimisation_comes_as_near_a_target_far_off_as_it_can(far: float):
    subject = ToySubject(linear)
    method = Optimization.fit(subject, draw_pairs(subject, 500), OptimizationOptions(walk=WalkOptions(20, 5)))
    points = subject.draw(5, 2)
    start = subject.measure(points)
    edit = method.edit(points, toward(start, {0: far}, 0.1))
    moved = (linear(edit.values) - start)[:, 0]
    assert edit.values.isfinite().all()
    torch.testing.assert_close(edit.condition, linear(edit.values))  # and not what was wished for
    assert not edit.reached.any()
    assert (moved * far > 0).all() or abs(far) > 1e9  # there, a step is smaller than what a float32 can tell


def test_optimisation_needs_gradients_and_a_target():
    subject = ToySubject(lambda z: linear(z.detach()))
    method = Optimization.fit(subject, draw_pairs(subject, 100))
    points = subject.draw(2, 0)
    with pytest.raises(UserError, match="has no gradients"):
        method.edit(points, toward(linear(points.values), {0: 9.0}, 0.1))
    with pytest.raises(UserError, match="not by a strength"):
        method.edit(points, Strength(0, 1.0))


# ---- targets


def test_the_distance_of_a_target_is_that_of_its_worst_entry():
    target = Target(torch.tensor([[1.0, 2.0, 3.0]]), (0, 2), torch.tensor([0.5, 1.0, 2.0]))
    assert target.distance(torch.tensor([[1.5, 99.0, 2.0]])).tolist() == [1.0]


@pytest.mark.parametrize("values, of, tolerance", [
    ([[1.0]], (), [1.0]), ([[float("nan")]], (0,), [1.0]), ([[1.0]], (0,), [0.0]),
])  # fmt: skip
def test_targets_that_are_none_are_refused(values: list, of: tuple, tolerance: list):
    with pytest.raises(UserError, match="a target needs"):
        Target(torch.tensor(values), of, torch.tensor(tolerance))


def test_names_of_attributes():
    assert index_of(("red", "blue"), "blue") == 1
    with pytest.raises(UserError, match="no attribute 'rad'; did you mean 'red'"):
        index_of(("red", "blue"), "rad")


def test_numbers_that_are_always_the_same_have_no_deviation_but_1():
    conditions = torch.stack([torch.tensor([3.0, 3.0 + 5e-7, 3.0]), torch.tensor([1e-9, 2e-9, 3e-9])], 1)
    pairs = Pairs(torch.zeros(3, 2), conditions)
    assert pairs.deviations.tolist() == [1.0, pytest.approx(1e-9)]
    pairs.check_varies([1], ("a", "b"))
    with pytest.raises(UserError, match="attribute 'a' is the same in all 3 random pictures"):
        pairs.check_varies([1, 0], ("a", "b"))


def test_conditions_that_are_no_numbers_teach_nothing():
    with pytest.raises(UserError, match="not a finite number"):
        Pairs(torch.zeros(2, 3), torch.tensor([[1.0], [float("nan")]]))
