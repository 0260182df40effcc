"""SN-DCGAN: shapes, heatmaps, labels, spectral norms, and that it goes through training, snapshots and sampling."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from tests.training.saved import save_snapshot
from tests.training.small import global_streams, make_batch, make_layout, make_networks, run_config, seeded
from torch_utils.randomness import RandomStreams
from training.config import DiscriminatorConfig, GeneratorConfig, OptimizerConfig, RunConfig
from training.layouts.layout import LEVEL_RESOLUTIONS
from training.losses.attention import alignment_loss
from training.losses.phases import d_main, d_r1, g_main, g_move
from training.networks.backbones import make_discriminator, make_generator
from training.networks.sndcgan import DCGANGenerator, SNDiscriminator
from training.presets.choices import check_choices
from training.runs.snapshot import snapshot_name
from training.sampling import Model
from training.state import _adam

pytestmark = pytest.mark.numeric

WIDTH = {"channel_base": 256, "channel_max": 16}
ENCODING = {"hidden_channels": 8, "concat_channels": 8}


def config(encoding: dict | None = ENCODING, c_dim: int = 0, resolution: int = 32, **changes) -> RunConfig:
    shape = {"backbone": "sndcgan", "img_resolution": resolution, "c_dim": c_dim}
    generator = {**shape, "z_dim": 8, "encoding": encoding, "synthesis": WIDTH, "mapping": {"w_avg_beta": None}}
    discriminator = {**shape, **WIDTH, "mbstd_group_size": 1}
    loss = {"style_mixing_prob": 0, "pl_weight": 0, **changes.pop("loss", {})}
    return run_config(generator=generator, discriminator=discriminator, loss=loss, **changes)


def generator(of: RunConfig) -> DCGANGenerator:
    return seeded(lambda: make_generator(of.generator))


def discriminator(of: RunConfig) -> SNDiscriminator:
    return seeded(lambda: make_discriminator(of.discriminator))


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def buffers(network: torch.nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in network.buffers()]


# ---- the networks


@pytest.mark.parametrize("resolution", [8, 32, 64])
@pytest.mark.parametrize("encoding", [None, ENCODING, {**ENCODING, "layer": "concat"}])
def test_shapes(resolution, encoding):
    of = config(encoding, resolution=resolution, align={"weight": 0})
    layout = make_layout(2) if encoding else None
    images = generator(of)(noise(2, 8), layout=layout)
    assert images.shape == (2, 3, resolution, resolution)
    assert images.abs().max() <= 1
    judged = discriminator(of)(images, features=[resolution // 2, 4])
    assert judged.logits.shape == (2, 1)
    assert [f.shape[2] for f in judged.features.values()] == sorted({resolution // 2, 4}, reverse=True)


def test_paper_size():
    """The standard CNN of the paper: 512 channels at 4x4, 64 at 32x32."""
    shape = {"backbone": "sndcgan", "img_resolution": 32}
    width = {"channel_base": 2048, "channel_max": 512}
    with torch.device("meta"):
        G = DCGANGenerator(GeneratorConfig(**shape, z_dim=128, synthesis=width))
        blocks = DiscriminatorConfig(**shape, **width)
    assert G.synthesis.first.out_features == 512 * 16
    assert [block.conv.out_channels for block in G.synthesis.blocks.values()] == [256, 128, 64]
    D = seeded(lambda: SNDiscriminator(blocks))
    assert [block.conv0.out_channels for block in D.blocks.values()] == [64, 128, 256]
    assert D.conv.out_channels == 512


def test_heatmaps_are_used_in_front_of_the_layers_at_4_8_and_16():
    G = generator(config()).eval()
    assert list(G.synthesis.sel) == ["4", "8", "16"]
    layout, z = make_layout(2), noise(2, 8)
    before = G(z, layout=layout)
    for level in range(3):
        assert not torch.equal(G(z, layout=layout.moved(level, 0, 0.3, 0.3)), before)


@pytest.mark.parametrize("encoding, layout", [(ENCODING, None), (None, make_layout(2))])
def test_missing_and_unwanted_layouts_are_refused(encoding, layout):
    with pytest.raises(ValueError, match="needs a layout" if encoding else "is not conditioned on a layout"):
        generator(config(encoding))(noise(2, 8), layout=layout)


def test_labels_matter_to_both():
    of = config(c_dim=3)
    G, D, z = generator(of).eval(), discriminator(of).eval(), noise(2, 8)
    for parameter in (*G.parameters(), *D.parameters()):
        parameter.data.mul_(5)  # far enough from the first weights' silence
    rows = torch.eye(3)
    images = [G(z, rows[[k, k]], make_layout(2)) for k in range(3)]
    assert not torch.allclose(images[0], images[1])
    scores = [D(images[0], rows[[k, k]]).logits for k in range(3)]
    assert not torch.allclose(scores[0], scores[1])


def test_truncation_is_refused():
    with pytest.raises(ValueError, match="no mean style"):
        generator(config()).styles(noise(2, 8), truncation_psi=0.5)


def test_path_lengths_need_a_mapping_network():
    with pytest.raises(UserError, match=r"loss\.pl_weight must be 0 with backbone sndcgan"):
        check_choices(config(loss={"pl_weight": 2}))


def test_every_layer_of_the_discriminator_has_spectral_norm_1():
    D = discriminator(config(c_dim=3))
    for _ in range(20):
        D(noise(2, 3, 32, 32), torch.eye(3)[:2])
    D.eval()
    weights = [module.weight for module in D.modules() if hasattr(module, "parametrizations")]
    assert len(weights) == 3 * 2 + 3
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_scoring_without_gradients_leaves_the_discriminator_as_it_is():
    D, images = discriminator(config()), noise(2, 3, 32, 32)
    before = buffers(D)
    with torch.no_grad():
        first = D(images).logits
        second = D(images).logits
    with torch.inference_mode():
        D(images)
    assert torch.equal(first, second)
    assert all(map(torch.equal, before, buffers(D)))
    assert D.training
    D(images)
    assert not all(map(torch.equal, before, buffers(D)))


def test_layers_can_be_frozen_from_the_image_on():
    D = discriminator(config())
    D.freeze_layers(3)
    frozen = {name.rsplit(".parametrizations")[0] for name, p in D.named_parameters() if not p.requires_grad}
    assert {name.removesuffix(".bias") for name in frozen} == {"blocks.32.conv0", "blocks.32.conv1", "blocks.16.conv0"}


# ---- training


@pytest.mark.parametrize("phase", [g_main, g_move, d_main, d_r1])
@pytest.mark.parametrize("adversarial", ["logistic", "hinge"])
def test_phases(phase, adversarial):
    of = config(loss={"adversarial": adversarial, "move_weight": 1})
    networks = make_networks(of)
    before = global_streams()
    loss, _ = phase(networks, make_batch(networks, of), of, RandomStreams(0, "cpu"))
    loss.backward()
    assert loss.isfinite()
    assert global_streams() == before


def test_alignment_teaches_the_encoding_through_features_of_the_one_pass():
    of = config()
    networks = make_networks(of)
    networks.D.requires_grad_(False)
    loss, terms = g_main(networks, make_batch(networks, of), of, RandomStreams(0, "cpu"))
    loss.backward()
    assert terms["loss/align"] > 0
    assert networks.G.synthesis.sel["4"].output.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in networks.D.parameters())


def test_alignment_loss_takes_its_features():
    of = config()
    judged = discriminator(of)(noise(4, 3, 32, 32), features=LEVEL_RESOLUTIONS)
    loss = alignment_loss(judged.logits, judged.features, make_layout(4), of.align, 32)
    assert loss.isfinite()


# ---- snapshots and sampling


@pytest.mark.parametrize("c_dim", [0, 3])
def test_snapshot_and_sampling(tmp_path: Path, c_dim: int):
    of = config(c_dim=c_dim)
    networks = make_networks(of)
    save_snapshot(tmp_path / snapshot_name(1), of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    model = Model.load(tmp_path, "cpu")
    labels = {"labels": 1} if c_dim else {}
    images = model.images([1, 2], **labels)
    assert images.shape == (2, 3, 32, 32)
    torch.testing.assert_close(model.images([2], **labels), images[1:])
    torch.testing.assert_close(model.images(ws=model.styles([1, 2], **labels), layout=model.layout([1, 2])), images)
    moved = model.layout([1]).moved(0, 0, 0.4, 0)
    assert not torch.equal(model.images([1], layout=moved, **labels), images[:1])
    with pytest.raises(UserError, match="trained without a mean style"):
        model.images([1], truncation_psi=0.5, **labels)


def test_block_outputs_are_handed_out_where_asked_for():
    model, outputs = Model(generator(config()), config(), "cpu"), {}
    images = model.images([0, 1], block_outputs=outputs)
    assert {r: tuple(x.shape) for r, x in outputs.items()} == {r: (2, min(256 // r, 16), r, r) for r in (4, 8, 16, 32)}
    assert torch.equal(images, model.images([0, 1]))


def test_the_encoding_learns_at_a_speed_of_its_own():
    """Adam's steps are as large as its rate: those of encoder and spatial encoding layers are 12.5 times as large."""
    settings = OptimizerConfig(lr=1e-3, reg_interval=10**6, encoding_lr=12.5)
    torch.manual_seed(0)
    parts = {name: nn.Linear(2, 2) for name in ("encoder", "last")}  # StackGAN has another encoder, of captions
    synthesis = nn.ModuleDict({**parts, "sel": nn.ModuleDict({"4": nn.Linear(2, 2)})})
    net = nn.ModuleDict({"encoder": nn.Linear(2, 2), "synthesis": synthesis})
    optimizer, before = _adam(net, settings), {name: p.detach().clone() for name, p in net.named_parameters()}
    numbered = [p for group in optimizer.param_groups for p in group["params"]]
    assert all(ours is theirs for ours, theirs in zip(numbered, net.parameters(), strict=True))
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    steps = {name: (p - before[name]).abs().max().item() for name, p in net.named_parameters()}
    for name, step in steps.items():
        is_faster = name.startswith(("synthesis.encoder", "synthesis.sel"))
        assert step == pytest.approx(1e-3 * (12.5 if is_faster else 1), rel=1e-3)
    assert len(_adam(net, settings.model_copy(update={"encoding_lr": 1.0})).param_groups) == 1
