"""The mapping network: shapes, labels, the moving mean of w, truncation."""

import pytest
import torch

from tests.training.small import seeded
from training.config import MappingConfig
from training.networks.mapping import MappingNetwork, truncate


def network(z_dim: int = 5, c_dim: int = 3, **settings) -> MappingNetwork:
    return seeded(lambda: MappingNetwork(z_dim, c_dim, 7, MappingConfig(num_layers=2, **settings)))


def inputs(generator, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn([count, 5], generator=generator()), torch.eye(3)[torch.arange(count) % 3]


def test_styles_depend_on_latents_and_labels(generator):
    net, (z, c) = network(), inputs(generator)
    w = net(z, c)
    assert w.shape == (4, 7)
    assert not torch.equal(w, net(z, c.roll(1, 0)))
    assert not torch.equal(w, net(z.flip(0), c))


def test_length_of_a_latent_does_not_matter(generator):
    net, (z, c) = network(), inputs(generator)
    torch.testing.assert_close(net(z, c), net(3 * z, c))


@pytest.mark.parametrize("z_dim, c_dim", [(5, 0), (0, 3)])
def test_either_input_may_be_absent(z_dim, c_dim, generator):
    net, (z, c) = network(z_dim, c_dim), inputs(generator)
    assert net(z if z_dim else None, c if c_dim else None).shape == (4, 7)


def test_neither_input_is_refused():
    with pytest.raises(ValueError, match="z_dim and c_dim are both 0"):
        network(0, 0)


@pytest.mark.parametrize(
    "z, c, named",
    [
        (torch.zeros(4, 6), torch.zeros(4, 3), "z"),
        (torch.zeros(5), torch.zeros(4, 3), "z"),
        (None, torch.zeros(4, 3), "z"),
        (torch.zeros(4, 5), torch.zeros(4, 2), "c"),
        (torch.zeros(4, 5), None, "c"),
    ],
)
def test_wrong_shapes_are_refused(z, c, named):
    with pytest.raises(ValueError, match=rf"\b{named}\b"):
        network()(z, c)


def test_mean_of_styles_moves_only_when_asked(generator):
    net, (z, c) = network(w_avg_beta=0.9), inputs(generator)
    w = net(z, c)
    assert net.train().w_avg.tolist() == [0] * 7
    net(z, c, update_w_avg=True)
    torch.testing.assert_close(net.w_avg, 0.1 * w.detach().mean(0))
    assert not net.w_avg.requires_grad


def test_no_mean_is_kept_without_a_decay(generator):
    net = network(w_avg_beta=None)
    net(*inputs(generator), update_w_avg=True)
    assert "w_avg" not in net.state_dict()


def test_truncation_pulls_the_first_layers_towards_the_mean(generator):
    ws, mean = torch.randn([2, 4, 7], generator=generator()), torch.randn([7], generator=generator(1))
    torch.testing.assert_close(truncate(ws, mean, 0.3), mean + 0.3 * (ws - mean))
    part = truncate(ws, mean, 0.3, cutoff=1)
    assert torch.equal(part[:, 1:], ws[:, 1:])
    torch.testing.assert_close(part[:, :1], mean + 0.3 * (ws[:, :1] - mean))


def test_truncation_at_its_ends(generator):
    ws, mean = torch.randn([2, 4, 7], generator=generator()), torch.randn([7], generator=generator(1))
    assert torch.equal(truncate(ws, mean, 1.0), ws)
    torch.testing.assert_close(truncate(ws, mean, 0.0), mean.expand_as(ws))
