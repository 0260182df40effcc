"""Scenes of several objects: n + 1 latents through the whole generator and through a step of training."""

import copy

import pytest
import torch
from torch import Tensor

from tests.training.small import INDOOR, OBJECTS, make_batch, make_generator, make_layout, make_networks, run_config
from torch_utils.randomness import RandomStreams
from training.augment.layouts import warped
from training.augment.pipeline import make_pipe
from training.config import RunConfig
from training.inputs import draw_inputs
from training.layouts.layout import LEVEL_RESOLUTIONS, Layout
from training.losses.attention import alignment_loss
from training.losses.phases import d_main, d_r1, g_main, g_move, g_path, make_phases
from training.networks.generator import Generator, set_memory_format
from training.networks.synthesis import Noise

pytestmark = pytest.mark.numeric

CODES = 4


def scenes(count: int = 2, seed: int = 2) -> Layout:
    return make_layout(count, (3,), seed)


def latents(count: int = 2, seed: int = 7) -> Tensor:
    return torch.randn([count, CODES, 8], generator=torch.Generator().manual_seed(seed))


def network(**changes) -> Generator:
    return make_generator(**{"encoding": INDOOR, **changes})


def removed(layout: Layout, *indices: int) -> Layout:
    for index in indices:
        layout = layout.with_strength(0, index, 0.0)
    return layout


def double(layout: Layout) -> Layout:
    return Layout(*(tuple(part.double() for part in parts) for parts in (layout.centers, layout.spreads)))


def objects_config(**changes) -> RunConfig:
    return run_config(**{**OBJECTS, **changes})


# ---- latents and styles


def test_each_code_is_mapped_by_itself():
    net, z = network(), latents()
    ws = net.styles(z)
    assert ws.shape == (2, net.num_ws, CODES, 8)
    assert ws.shape[1:] == net.w_shape
    for code in range(CODES):
        torch.testing.assert_close(ws[:, 0, code], net.mapping(z[:, code]))
    assert all(torch.equal(ws[:, 0], ws[:, i]) for i in range(net.num_ws))


def test_codes_of_an_image_share_its_label():
    net, c = network(c_dim=2), torch.eye(2)
    ws = net.styles(latents(), c)
    for code in range(CODES):
        torch.testing.assert_close(ws[:, 0, code], net.mapping(latents()[:, code], c))


@pytest.mark.parametrize("psi, cutoff", [(0.0, None), (0.3, None), (0.3, 2)])
def test_truncation_pulls_every_code_to_the_common_mean(psi, cutoff):
    net = network()
    net.mapping.w_avg.copy_(torch.linspace(-1, 1, 8))
    full, pulled = net.styles(latents()), net.styles(latents(), truncation_psi=psi, truncation_cutoff=cutoff)
    mean = net.mapping.w_avg
    torch.testing.assert_close(pulled[:, :cutoff], mean + psi * (full[:, :cutoff] - mean))
    assert cutoff is None or torch.equal(pulled[:, cutoff:], full[:, cutoff:])


def test_mean_style_follows_all_codes():
    net = network()
    ws = net.styles(latents(), update_w_avg=True)
    torch.testing.assert_close(net.mapping.w_avg, ws[:, 0].mean((0, 1)) * (1 - 0.995))


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 3, 8), (2, 7, 4, 8)])
def test_styles_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"ws must be \[N, 8, 4, w_dim\], not"):
        network().synthesis(torch.zeros(shape), scenes())


# ---- what the picture depends on


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("limit", [None, 16])
def test_without_objects_it_is_plain_stylegan2_with_the_background_code(architecture, limit):
    """Every weight that both have is the same: only the affine maps of objects are more."""
    how = {"synthesis": {"architecture": architecture}}
    net = network(encoding={**INDOOR, "max_resolution": limit}, **how)
    plain = make_generator(encoding=None, **how)
    others = plain.load_state_dict(net.state_dict(), strict=False)
    assert others.missing_keys == []
    assert all(".objects.affine." in key for key in others.unexpected_keys)
    ws = net.styles(latents()).double()
    torch.testing.assert_close(ws[:, :, -1].float(), plain.styles(latents()[:, -1]))
    full = double(scenes())
    without = net.double().synthesis(ws, removed(full, 0, 1, 2))
    assert torch.equal(without, plain.double().synthesis(ws[:, :, -1]))
    assert not torch.allclose(without, net.synthesis(ws, full))


def test_order_of_objects_does_not_matter():
    net, z, layout = network(), latents(), scenes()
    order = [2, 0, 1]
    turned = Layout((layout.centers[0][:, order],), (layout.spreads[0][:, order],))
    torch.testing.assert_close(net(z[:, [*order, 3]], layout=turned), net(z, layout=layout), rtol=1e-4, atol=1e-5)


def test_restyling_changes_one_object_where_it_is():
    net, z = network(synthesis={"use_noise": False}), latents(1)
    layout = Layout((torch.tensor([[[-0.7, -0.7], [0.7, 0.7], [0.7, -0.7]]]),), (torch.full([1, 3], 0.02),))
    other = z.clone()
    other[:, 1] = latents(1, seed=9)[:, 1]
    change = (net(other, layout=layout) - net(z, layout=layout)).abs().mean((0, 1))
    near, far = change[20:, 20:].mean(), change[:12, :12].mean()
    assert near > 4 * far


def test_code_of_a_removed_object_does_not_matter():
    net, z = network(), latents()
    other = z.clone()
    other[:, 1] += 1
    layout = removed(scenes(), 1)
    assert torch.equal(net(z, layout=layout), net(other, layout=layout))
    assert not torch.allclose(net(z, layout=scenes()), net(other, layout=scenes()))


def test_channels_last_gives_the_same():
    net = network()
    expected = net(latents(), layout=scenes())
    set_memory_format(net, True)
    torch.testing.assert_close(net(latents(), layout=scenes()), expected, rtol=1e-4, atol=1e-5)


def test_blocks_above_the_limit_use_the_background_alone():
    net = network(encoding={**INDOOR, "max_resolution": 8})
    with_objects = {name.split(".")[1] for name, _ in net.synthesis.named_parameters() if ".objects." in name}
    assert with_objects == {"4", "8"}
    ws = net.styles(latents())
    late = ws.clone()
    late[:, 5:, :3] += 1  # styles of objects in layers of the blocks above
    noise = Noise("none")
    assert torch.equal(net.synthesis(ws, scenes(), noise), net.synthesis(late, scenes(), noise))


# ---- training


@pytest.mark.parametrize("phase", [g_main, g_path, g_move, d_main, d_r1])
@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_phases(phase, mixing):
    config = objects_config(loss={"style_mixing_prob": mixing, "move_weight": 1})
    networks = make_networks(config)
    loss, _ = phase(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))
    loss.backward()
    trained = networks.D if phase in (d_main, d_r1) else networks.G
    assert loss.isfinite()
    assert all(p.grad is not None for name, p in trained.named_parameters() if "bias" not in name)
    assert all(p.grad is not None for name, p in trained.named_parameters() if ".objects." in name)


def test_batches_have_a_latent_for_each_object_and_the_background():
    config = objects_config()
    networks = make_networks(config)
    labels = torch.zeros(4, 0)
    inputs = draw_inputs(networks.G, config, RandomStreams(1, "cpu"), labels)
    assert torch.equal(inputs.z, torch.randn([4, CODES, 8], generator=RandomStreams(1, "cpu")["latent"]))
    assert inputs.layout.counts == (3,)


def test_codes_are_mixed_each_by_itself():
    config = objects_config(loss={"style_mixing_prob": 1.0}, align={"weight": 0})
    networks, seen = make_networks(config), []
    networks.G.synthesis.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        g_main(networks, make_batch(networks, config, 8), config, RandomStreams(0, "cpu"))
    same = (seen[0] == seen[0][:, :1]).all(3)  # [N, num_ws, codes]
    crossover = same.sum(1)
    assert (crossover >= 1).all()
    assert (crossover < seen[0].shape[1]).all()
    assert (crossover != crossover[:, :1]).any()


def test_path_length_counts_all_codes_as_one_vector():
    config = objects_config()
    networks = make_networks(config)
    batch = make_batch(networks, config)
    _, statistics = g_path(networks, batch, config, RandomStreams(0, "cpu"))
    streams = RandomStreams(0, "cpu")
    ws = networks.G.styles(batch.inputs.z, batch.inputs.c)
    images = networks.G.synthesis(ws, batch.inputs.layout, Noise("random", streams["noise"]))
    y = torch.randn(images.shape, generator=streams["path"]) / 32
    (gradient,) = torch.autograd.grad((images * y).sum(), ws)
    expected = gradient.square().sum((2, 3)).mean(1).sqrt()
    torch.testing.assert_close(statistics["path_length"], expected, rtol=1e-4, atol=1e-6)


def test_objects_learn_and_their_average_follows():
    """One step of Adam moves the affine maps of objects; the moving average of weights takes them along."""
    config = objects_config()
    networks = make_networks(config)
    average = copy.deepcopy(networks.G).requires_grad_(False)
    optimizer = torch.optim.Adam(networks.G.parameters(), lr=0.01)
    g_main(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))[0].backward()
    optimizer.step()
    torch._foreach_lerp_(list(average.parameters()), list(networks.G.parameters()), 0.5)
    names = [name for name, _ in average.named_parameters() if ".objects." in name]
    assert len(names) == 2 * 11  # weight and bias of every styled layer
    before = dict(make_networks(config).G.named_parameters())
    after = dict(average.named_parameters())
    assert all(not torch.equal(before[name], after[name]) for name in names)


def test_candidates_move_with_augmented_images():
    """Every candidate of the alignment is where the augmented image shows it."""
    config = objects_config(augment={"mode": "fixed", "p": 1.0})
    networks = make_networks(config)
    networks.augment = make_pipe(config.augment, 4)
    batch, seen = make_batch(networks, config), []
    networks.D.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    _, statistics = g_main(networks, batch, config, RandomStreams(0, "cpu"))
    judged = networks.D(seen[0], batch.inputs.c, features=LEVEL_RESOLUTIONS)
    inputs = alignment_loss(judged.logits, judged.features, batch.inputs.layout, config.align, 32)
    streams = RandomStreams(0, "cpu")
    geometry = networks.augment(torch.zeros(4, 3, 32, 32), streams["augment"]).geometry
    moved = warped(batch.inputs.layout, geometry)
    expected = alignment_loss(judged.logits, judged.features, moved, config.align, 32)
    torch.testing.assert_close(statistics["loss/align"], expected)
    assert not torch.allclose(expected, inputs)


def test_phases_of_a_run():
    names = [phase.name for phase in make_phases(objects_config(loss={"move_weight": 0.1}))]
    assert names == ["G_main", "G_path", "G_move", "D_main", "D_r1"]


@pytest.mark.gpu
@pytest.mark.parametrize("channels_last", [False, True])
def test_half_precision_on_a_gpu_gives_the_same_picture(channels_last):
    net = network(synthesis={"num_fp16_res": 3})
    expected = net(latents(), layout=scenes())
    net = net.cuda()
    set_memory_format(net, channels_last)
    found = net(latents().cuda(), layout=scenes().to("cuda"))
    torch.testing.assert_close(found.cpu(), expected, rtol=0.05, atol=0.05)
