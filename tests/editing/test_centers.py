"""Centers that follow points: SpatialGAN's equation 6, and steps of descent."""

import torch

from editing.centers import MOST_ASKED, Response, descended, moved_towards
from training.layouts.layout import Layout


def layout() -> Layout:
    centers = (torch.tensor([[[0.1, 0.0]]]), torch.tensor([[[0.2, 0.1], [0.0, -0.1]]]))
    return Layout(centers, (torch.ones(1, 1), torch.ones(1, 2)))


def scene() -> Layout:
    return Layout((torch.tensor([[[0.1, 0.0], [-0.6, 0.0]]]),), (torch.ones(1, 2),))


POINT, TARGET = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.4, -0.2]])


def test_equation_6_and_followers():
    moved = moved_towards(layout(), POINT, TARGET, radius=0.3, alpha=0.5)
    torch.testing.assert_close(moved.centers[0], torch.tensor([[[0.3, -0.1]]]))
    torch.testing.assert_close(moved.centers[1], torch.tensor([[[0.4, 0.0], [0.2, -0.2]]]))


def test_centers_out_of_the_radius_stay():
    moved = moved_towards(scene(), POINT, TARGET, radius=0.3, alpha=1.0)
    torch.testing.assert_close(moved.centers[0], torch.tensor([[[0.5, -0.2], [-0.6, 0.0]]]))
    assert moved_towards(layout(), POINT + 0.9, TARGET, radius=0.3, alpha=1.0) is None


def test_a_lower_level_moves_alone_where_no_center_of_level_0_is_near():
    moved = moved_towards(layout(), torch.tensor([[0.0, -0.1]]), torch.tensor([[0.0, 0.2]]), radius=0.05, alpha=1.0)
    torch.testing.assert_close(moved.centers[0], layout().centers[0])
    torch.testing.assert_close(moved.centers[1], torch.tensor([[[0.2, 0.1], [0.0, 0.2]]]))


def test_the_mean_of_several_points():
    points, targets = torch.tensor([[0.0, 0.0], [0.2, 0.0]]), torch.tensor([[0.2, 0.0], [0.2, 0.4]])
    moved = moved_towards(scene(), points, targets, radius=0.3, alpha=1.0)
    torch.testing.assert_close(moved.centers[0][0, 0], torch.tensor([0.2, 0.2]))


def test_the_steepest_center_moves_by_the_length_and_others_in_proportion():
    gradient = torch.tensor([[[3.0, 4.0], [0.0, 0.5]]])
    after = descended(scene(), (gradient,), 0.1)
    torch.testing.assert_close(after.centers[0], torch.tensor([[[0.04, -0.08], [-0.6, -0.01]]]))
    assert descended(scene(), (None,), 0.1).centers[0].equal(scene().centers[0])


def test_centers_stay_inside_the_picture():
    far = moved_towards(scene(), torch.tensor([[0.1, 0.0]]), torch.tensor([[0.1, 0.0]]) + 5, radius=0.3, alpha=1.0)
    assert far.centers[0][0, 0].tolist() == [1.0, 1.0]


def test_what_a_jump_did_is_what_the_next_one_asks_for():
    """An object that goes half as far as its center across, and as far as it down."""
    response, way = Response(POINT), torch.tensor([[0.4, 0.0]])
    assert response.asked(way).equal(way)
    response.learn(way, torch.tensor([[0.2, 0.0]]), least=0.01)
    torch.testing.assert_close(response.asked(torch.tensor([[0.1, 0.3]])), torch.tensor([[0.2, 0.3]]))


def test_nothing_is_learned_of_points_that_stayed_and_nothing_absurd_is_asked_for():
    response, way = Response(POINT), torch.tensor([[0.4, 0.0]])
    response.learn(way, torch.tensor([[0.005, 0.0]]), least=0.01)
    assert response.asked(way).equal(way)
    response.learn(way, torch.tensor([[0.02, 0.0]]), least=0.01)
    torch.testing.assert_close(response.asked(way), MOST_ASKED * way)
