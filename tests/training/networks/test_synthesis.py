"""The synthesis network: layers and their ws, architectures, noise, with layouts and without."""

import pytest
import torch

from tests.training.small import global_streams, make_generator, make_layout
from training.networks.generator import set_memory_format
from training.networks.synthesis import Noise, SynthesisNetwork

pytestmark = pytest.mark.numeric

each_architecture = pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])


def network(architecture: str = "skip", **changes) -> SynthesisNetwork:
    """Without spatial encoding, unless asked for."""
    synthesis = {"architecture": architecture, **changes.pop("synthesis", {})}
    return make_generator(synthesis=synthesis, **{"encoding": None, **changes}).synthesis


def styles(net: SynthesisNetwork, count: int = 2, seed: int = 4) -> torch.Tensor:
    return torch.randn([count, net.num_ws, 8], generator=torch.Generator().manual_seed(seed))


# ---- ws


@each_architecture
@pytest.mark.parametrize("resolution", [4, 8, 32, 64])
def test_number_of_ws(architecture, resolution):
    net = network(architecture, img_resolution=resolution)
    assert net.num_ws == 2 * (resolution.bit_length() - 1) - 2
    assert net(styles(net)).shape == (2, 3, resolution, resolution)


@each_architecture
def test_every_w_matters_and_belongs_to_its_sample(architecture):
    net = network(architecture)
    ws = styles(net)
    before = net(ws)
    for i in range(net.num_ws):
        changed = ws.clone()
        changed[0, i] += 0.5
        after = net(changed)
        assert not torch.allclose(after[0], before[0])
        torch.testing.assert_close(after[1], before[1])


@each_architecture
def test_to_rgb_layers_of_each_architecture(architecture):
    net = network(architecture)
    with_rgb = [r for r, block in net.blocks.items() if block.to_rgb is not None]
    assert with_rgb == (["4", "8", "16", "32"] if architecture == "skip" else ["32"])


def test_first_layer_of_a_block_shares_the_w_of_the_last_to_rgb():
    """With skip architecture, w number 1 reaches the first block's to_rgb and the second block's conv0."""
    net = network()
    seen = {}
    for name, module in net.named_modules():
        if name.endswith("affine"):
            module.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, args[0]))
    ws = styles(net)
    net(ws)
    assert torch.equal(seen["blocks.4.to_rgb.affine"], ws[:, 1])
    assert torch.equal(seen["blocks.8.conv0.affine"], ws[:, 1])
    assert torch.equal(seen["blocks.32.to_rgb.affine"], ws[:, 7])


@pytest.mark.parametrize("shape", [(2, 7, 8), (2, 9, 8), (2, 8)])
def test_wrong_number_of_ws_is_refused(shape):
    with pytest.raises(ValueError, match=r"ws must be \[N, 8, w_dim\]"):
        network()(torch.zeros(shape))


# ---- layouts


def test_missing_layout_is_refused():
    net = make_generator().synthesis
    with pytest.raises(ValueError, match="needs a layout"):
        net(styles(net))


def test_layout_that_is_not_taken_is_refused():
    net = network()
    with pytest.raises(ValueError, match="is not conditioned on a layout"):
        net(styles(net), make_layout(2))


@each_architecture
@pytest.mark.parametrize("mode", ["coarse", "fine"])
@pytest.mark.parametrize("limit", [8, 16, None])
def test_layout_changes_the_image_through_the_encoded_layers_only(architecture, mode, limit):
    encoding = {"hidden_channels": 8, "mode": mode, "max_resolution": limit}
    net = network(architecture, encoding=encoding)
    assert net.encoded == [r for r in net.resolutions if limit is None or r <= limit]
    encoded = {name.split(".")[1] for name, _ in net.named_parameters() if ".sel." in name}
    assert encoded == {str(r) for r in net.encoded}
    layout = make_layout(2)
    assert not torch.allclose(net(styles(net), layout), net(styles(net), layout.moved(0, 0, 0.5, 0)))


def test_every_styled_layer_of_an_encoded_block_has_its_own_encoding():
    net = make_generator().synthesis
    for r in net.resolutions:
        found = [layer.sel is not None for layer in net.blocks[str(r)].styled_layers()]
        assert found == [r <= 16] * len(found)
    encodings = [layer.sel for r in (4, 8, 16) for layer in net.blocks[str(r)].styled_layers()]
    assert len(set(map(id, encodings))) == len(encodings) == 8


def test_layout_of_one_picture_moves_only_that_picture():
    net, layout = make_generator().synthesis, make_layout(2)
    before = net(styles(net), layout)
    after = net(styles(net), layout.moved(0, 0, torch.tensor([0.0, 0.4]), torch.tensor([0.0, 0.4])))
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1])


# ---- noise


def test_constant_noise_is_the_same_every_time_and_differs_from_none():
    net = network()
    ws = styles(net)
    assert torch.equal(net(ws), net(ws))
    assert not torch.allclose(net(ws), net(ws, noise=Noise("none")))


def test_random_noise_comes_from_its_generator(generator):
    net = network()
    ws = styles(net)
    before = global_streams()
    first, again, other = (net(ws, noise=Noise("random", generator(seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert global_streams() == before


def test_random_noise_without_a_generator_is_refused():
    net = network()
    with pytest.raises(ValueError, match=r"random noise needs a torch\.Generator"):
        net(styles(net), noise=Noise("random"))


def test_one_generator_per_sample_makes_noise_independent_of_the_batch(generator):
    net = network()
    ws = styles(net, 3)
    together = net(ws, noise=Noise("random", [generator(seed) for seed in (7, 8, 9)]))
    for i, seed in enumerate((7, 8, 9)):
        alone = net(ws[i : i + 1], noise=Noise("random", [generator(seed)]))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_without_noise_parameters_the_mode_does_not_matter(generator):
    net = network(synthesis={"use_noise": False})
    assert not [name for name, _ in net.named_parameters() if "noise" in name]
    assert torch.equal(net(styles(net)), net(styles(net), noise=Noise("random", generator())))


# ---- memory format


@each_architecture
def test_channels_last_gives_the_same(architecture):
    net, layout = network(architecture, encoding={"hidden_channels": 8}), make_layout(2)
    expected = net(styles(net), layout)
    set_memory_format(net, True)
    torch.testing.assert_close(net(styles(net), layout), expected, rtol=1e-4, atol=1e-5)
    assert net.blocks["32"].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    set_memory_format(net, False)
    torch.testing.assert_close(net(styles(net), layout), expected, rtol=1e-5, atol=1e-6)


def test_half_precision_blocks_are_the_highest_and_never_the_first():
    assert network(synthesis={"num_fp16_res": 2}).half_resolutions == {16, 32}
    assert network(synthesis={"num_fp16_res": 9}).half_resolutions == {8, 16, 32}
    assert network().half_resolutions == set()


def test_cpu_computes_in_float32_whatever_the_setting():
    net = network(synthesis={"num_fp16_res": 3})
    assert torch.equal(net(styles(net)), network()(styles(net)))
