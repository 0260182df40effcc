"""What a training step starts on a GPU, counted; and that the ways that only GPUs go give what the others give."""

import pytest
import torch

from tests.training.small import RESOLUTION, make_batch, make_networks, real_images, run_config
from torch_utils.devices import treat_as
from torch_utils.randomness import RandomStreams
from training.cost import launches
from training.cost.launches import Recorder, Work, work_of_step
from training.inputs import draw_inputs
from training.losses.phases import logits_of_both, make_phases
from training.networks.stylegan2 import StyleGAN2
from training.networks.synthesis import Noise
from training.presets.resolve import DataFacts, Options, resolve

# Launches of a pass through all phases of paper256's spatialgan, lazy ones by their share, before layers scaled their
# weights together and D saw both kinds of images at once; then a step on one GPU had 8 such passes.
BEFORE, PASSES_BEFORE = 5550, 8
NOW = 3000


def paper256(*settings: str, batch_gpu: int) -> launches.RunConfig:
    """With few channels: they do not change what is launched."""
    narrow = ("networks.channel_base=1024", "networks.channel_max=16", f"schedule.batch_gpu={batch_gpu}", *settings)
    return resolve(Options(data="x", cfg="paper256", settings=narrow), DataFacts("x", 256, 3, 1000))


@pytest.fixture(scope="module")
def step() -> dict[str, Work]:
    return work_of_step(paper256(batch_gpu=64))


def test_most_arithmetic_of_paper256_is_in_half_precision(step):
    work = sum(step.values(), Work())
    assert 0.8 < work.half_flops / (work.half_flops + work.flops) < 1


def test_launches_of_a_step(step):
    """One pass a phase, which is what fits a GPU of 16 GiB: at most half of what it was, optimizers included."""
    total = sum(work.launches for work in step.values())
    assert 0.8 * NOW < total < NOW
    assert total < BEFORE * PASSES_BEFORE / 2
    assert step["average"].launches <= 6


@pytest.mark.slow
def test_passes_multiply_launches():
    """All but the optimizers' step."""
    once, twice = (work_of_step(run_config(schedule={"batch_size": 8, "batch_gpu": n}))["D_main"] for n in (8, 4))
    assert 1.8 < twice.launches / once.launches < 2.0
    assert twice.flops == pytest.approx(once.flops, rel=1e-3)


@pytest.mark.parametrize("sampler", ["paper", "released", "non-hierarchical"])
def test_no_number_of_the_host_is_waited_for(sampler):
    """Neither when layouts are drawn nor in a phase: a copy of a number to a GPU, or back, stops the host."""
    config = run_config(sampler={"kind": sampler}, loss={"move_weight": 1.0})
    networks = make_networks(config)
    with treat_as("cuda", "cpu"):
        make_batch(networks, config)  # constants are made once
        with Recorder() as recorder:
            batch = make_batch(networks, config)
            for phase in make_phases(config):
                loss, _ = phase.loss(networks, batch, config, RandomStreams(0, "cpu"))
                loss.backward()
    waits = {"lift_fresh", "_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal"}
    assert not waits & set(recorder.by_name)


# ---- the ways of a GPU, on a CPU


@pytest.mark.parametrize("phase_name", ["G_main", "G_path", "G_move", "D_main", "D_r1"])
def test_gradients_of_the_ways_of_a_gpu(phase_name):
    """Weights scaled together, gains late, noise at once, two kinds of images in one pass, and so on."""
    config = run_config(loss={"style_mixing_prob": 0.5, "move_weight": 1.0}, align={"weight": 1.0})
    phase = next(phase for phase in make_phases(config) if phase.name == phase_name)
    found = []
    for kind in ("cpu", "cuda"):
        networks = make_networks(config)
        networks.G.requires_grad_(phase.trained == "G")
        networks.D.requires_grad_(phase.trained == "D")
        with treat_as(kind, "cpu"):
            loss, _ = phase.loss(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))
            loss.backward()
        trained = getattr(networks, phase.trained)
        # The noise is another one, drawn in another way; its strength is 0 so far.
        found.append({n: p.grad for n, p in trained.named_parameters() if "noise_strength" not in n} | {"loss": loss})
        assert networks.G.mapping.w_avg.abs().max() > 0 or not phase.batch_shrink
    ours, theirs = found
    allowed = 5e-3 if phase_name == "G_move" else 2e-4  # differences of two pictures that differ little
    for name, expected in theirs.items():
        if ours[name] is None or expected is None:  # native derivatives leave out what is 0
            assert expected is None or not expected.any(), name
            continue
        error = (ours[name] - expected).abs().max() / expected.abs().max().clamp_min(1e-8)
        assert error < allowed, f"{name}: {error:.2g}"


def test_the_mean_style_of_one_pass_is_that_of_two():
    config = run_config(loss={"style_mixing_prob": 0.9})
    means = []
    for kind in ("cpu", "cuda"):
        networks = make_networks(config)
        phase = next(phase for phase in make_phases(config) if phase.name == "D_main")
        with treat_as(kind, "cpu"):
            phase.loss(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))
        means.append(networks.G.mapping.w_avg)
    torch.testing.assert_close(*means)


@pytest.mark.parametrize("group, together", [(4, True), (2, True), (1, True), (8, False), (None, False)])
def test_two_kinds_of_images_keep_their_groups(group, together):
    config = run_config(discriminator={"img_resolution": RESOLUTION, "channel_base": 256, "channel_max": 8,
                                       "mbstd_group_size": group}, schedule={"batch_size": 4})  # fmt: skip
    networks, labels = make_networks(config), torch.zeros([4, 0])
    assert StyleGAN2.scores_both_at_once(config.discriminator, 4) == together
    images = real_images(seed=1), labels, real_images(seed=2), labels
    apart = logits_of_both(networks.D, config.discriminator, *images)
    with treat_as("cuda", "cpu"):
        at_once = logits_of_both(networks.D, config.discriminator, *images)
    for a, b in zip(apart, at_once, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_noise_at_once_is_standard_normal_and_each_layers_own():
    maps = [torch.zeros(4, 4), torch.zeros(8, 8), torch.zeros(32, 32)]
    with treat_as("cuda", "cpu"):
        drawn = Noise("random", torch.Generator().manual_seed(0)).at_once(maps, 16)
    found = [drawn.draw(constant, 16) for constant in maps]
    assert [list(noise.shape) for noise in found] == [[16, 1, 4, 4], [16, 1, 8, 8], [16, 1, 32, 32]]
    assert found[2].std().item() == pytest.approx(1, abs=0.03)
    assert found[2].mean().item() == pytest.approx(0, abs=0.03)
    assert Noise("const").at_once(maps, 16).mode == "const"


def test_inputs_are_drawn_alike(generator):
    config = run_config()
    G = make_networks(config).G
    plain = draw_inputs(G, config, RandomStreams(0, "cpu"), torch.zeros(4, 0))
    with treat_as("cuda", "cpu"):
        other = draw_inputs(G, config, RandomStreams(0, "cpu"), torch.zeros(4, 0))
    assert torch.equal(plain.layout.centers[0], other.layout.centers[0])
