"""Named streams: independent of each other and of the global ones, and carried across a restart."""

import torch

from tests.training.small import global_streams
from torch_utils.randomness import RandomStreams


def draw(streams: RandomStreams, name: str, count: int = 5) -> list[float]:
    return torch.randn([count], generator=streams[name]).tolist()


def test_same_seed_gives_the_same_numbers():
    assert draw(RandomStreams(3, "cpu"), "noise") == draw(RandomStreams(3, "cpu"), "noise")


def test_seed_name_and_rank_each_give_other_numbers():
    numbers = [
        draw(RandomStreams(3, "cpu"), "noise"),
        draw(RandomStreams(4, "cpu"), "noise"),
        draw(RandomStreams(3, "cpu"), "latent"),
        draw(RandomStreams(3, "cpu", rank=1), "noise"),
    ]
    assert len({tuple(row) for row in numbers}) == 4


def test_streams_do_not_disturb_each_other():
    alone, disturbed = RandomStreams(3, "cpu"), RandomStreams(3, "cpu")
    expected = draw(alone, "noise"), draw(alone, "noise")
    first = draw(disturbed, "noise")
    draw(disturbed, "latent", 100)
    assert (first, draw(disturbed, "noise")) == expected


def test_global_streams_are_left_alone():
    before = global_streams()
    draw(RandomStreams(3, "cpu"), "noise")
    assert global_streams() == before


def test_state_continues_where_it_was():
    streams = RandomStreams(3, "cpu")
    draw(streams, "noise")
    draw(streams, "path", 7)
    state = {name: value.clone() for name, value in streams.state_dict().items()}
    expected = [draw(streams, name) for name in ("noise", "path")]
    resumed = RandomStreams(99, "cpu")
    resumed.load_state_dict(state)
    assert [draw(resumed, name) for name in ("noise", "path")] == expected
