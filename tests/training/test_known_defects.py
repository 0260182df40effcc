"""Defects of the released EqGAN-SA code (and of others of this family), each with the test that keeps it out.

| defect | test |
| --- | --- |
| 1. heatmaps come from a global random stream: the same z gives different pictures | tests/training/test_sampling.py |
| 2. PPL draws new heatmaps for the two ends of a step | here (in training: test_phases.py, fixed layouts) |
| 3. training with alignment off crashes; "style mixing off = False" still switches it off | here |
| 4. with augmentation, images are transformed and heatmaps are not | here, and tests/training/augment/test_layouts.py |
| 5. no way to give centres on the command line | tests/test_generate.py |
| 6. GradCAM costs a second forward and backward pass of D | here |
"""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from metrics.context import network_context
from metrics.path_length import step_lengths
from tests.tiny_models import tiny_model
from tests.training.small import (
    generator_config,
    make_batch,
    make_discriminator,
    make_networks,
    real_images,
    run_config,
)
from torch_utils.randomness import RandomStreams
from training.augment import geometry
from training.augment.affine import Affine
from training.augment.pipeline import AugmentPipe
from training.augment.strength import Strength
from training.layouts.layout import LEVEL_RESOLUTIONS
from training.losses import phases
from training.losses.attention import channel_weights
from training.losses.phases import Networks, g_main, g_path, make_phases

pytestmark = pytest.mark.numeric


def count_passes(module: nn.Module) -> list[str]:
    """Notes every later "forward" and "backward" pass of `module`."""
    passes: list[str] = []
    module.register_forward_hook(lambda *_: passes.append("forward"))
    module.register_full_backward_hook(lambda *_: passes.append("backward"))
    return passes


# ---- 2. heatmaps within path lengths


class Difference:
    """Mean absolute difference of pictures, as a perceptual distance that needs no weights."""

    def perceptual_distance(self, device):
        return lambda a, b: (a - b).abs().mean((1, 2, 3))


@pytest.mark.parametrize("space", ["z", "w"])
def test_a_path_length_of_no_step_is_exactly_zero(space):
    context = network_context(tiny_model(), None, None, extractors=Difference(), batch_size=4)
    still, moved = (step_lengths(context, 6, epsilon, space, full=True, crop=False) for epsilon in (0.0, 0.1))
    assert still.tolist() == [0.0] * 6
    assert (moved > 0).all()
    layouts = context.model.layout([1, 2])
    assert not torch.equal(layouts.centers[0][0], layouts.centers[0][1])  # each path has a layout of its own


# ---- 3. switching things off


@pytest.mark.parametrize("encoding", [{"hidden_channels": 8}, None], ids=["with encoding", "without"])
def test_training_with_alignment_off(encoding):
    config = run_config(align={"weight": 0}, generator=generator_config(encoding=encoding))
    networks = make_networks(config)
    for phase in make_phases(config):
        loss, statistics = phase.loss(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))
        loss.backward()
        assert loss.isfinite()
        assert "loss/align" not in statistics


def mixed(phase: Callable, probability: float) -> tuple[bool, RandomStreams]:
    """Whether any sample had more than one w, and the streams that were used."""
    config = run_config(loss={"style_mixing_prob": probability})
    networks, streams, seen = make_networks(config), RandomStreams(0, "cpu"), []
    networks.G.synthesis.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    phase(networks, make_batch(networks, config), config, streams)
    return any((ws != ws[:, :1]).any().item() for ws in seen), streams


@pytest.mark.parametrize("phase", [g_main, g_path])
def test_style_mixing_is_on_when_on_and_off_when_off(phase):
    assert mixed(phase, 1.0)[0]
    off, streams = mixed(phase, 0.0)
    assert not off
    assert "mixing" not in streams.state_dict()


# ---- 4. augmentation without the heatmaps


def test_heatmaps_are_compared_as_the_augmented_image_shows_them(monkeypatch):
    """Alignment meets the very images that D sees: mirrored images with mirrored heatmaps."""
    config = run_config(augment={"mode": "fixed", "p": 1, "transforms": {"xflip": 1}})
    mirror = AugmentPipe(config.augment.transforms, Strength(1.0))
    networks, layouts = make_networks(config), []
    networks.augment = mirror
    batch = make_batch(networks, config)
    monkeypatch.setattr(phases, "alignment_loss", lambda *args: layouts.append(args[2]) or args[0].mean())
    monkeypatch.setattr(geometry, "draw_geometry", lambda *args: mirrored(4))
    g_main(networks, batch, config, RandomStreams(0, "cpu"))
    for level, resolution in enumerate(LEVEL_RESOLUTIONS):
        seen, made = layouts[0].heatmaps(level, resolution), batch.inputs.layout.heatmaps(level, resolution)
        torch.testing.assert_close(seen, made.flip(3), rtol=0, atol=1e-4)
        assert not torch.allclose(seen, made, atol=0.1)


def mirrored(count: int) -> Affine:
    one = torch.ones(count)
    return Affine.identity(count, torch.float32, one.device).scaled(-one, one)


# ---- 6. the price of GradCAM


def g_step(networks: Networks, weight: float) -> None:
    config = run_config(align={"weight": weight})
    g_main(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))[0].backward()


@pytest.mark.parametrize("weight", [0.0, 1.0], ids=["without alignment", "with alignment"])
def test_a_generator_step_passes_the_discriminator_once(weight):
    networks = make_networks(run_config())
    whole, first_block = count_passes(networks.D), count_passes(networks.D.blocks["32"])
    g_step(networks, weight)
    assert whole.count("forward") == 1
    assert first_block == ["forward", "backward"]


def test_gradcam_goes_back_no_further_than_the_features():
    net, images = make_discriminator(), real_images().requires_grad_()
    above, below = count_passes(net.blocks["32"]), count_passes(net.epilogue)
    judged = net(images, features=LEVEL_RESOLUTIONS)
    channel_weights(judged.logits, judged.features, "logits")
    assert above == ["forward"]
    assert below == ["forward", "backward"]
    assert images.grad is None
    assert torch.equal(judged.logits, net(images).logits)
