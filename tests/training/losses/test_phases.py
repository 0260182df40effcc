"""The phases of a training step: what each computes, trains and draws."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.training.small import (
    discriminator_config,
    generator_config,
    global_streams,
    make_batch,
    make_networks,
    real_images,
    run_config,
)
from torch_utils.randomness import RandomStreams
from training.augment.layouts import WarpedLayout
from training.augment.pipeline import make_pipe
from training.config import RunConfig
from training.inputs import Batch, draw_inputs
from training.layouts.layout import LEVEL_RESOLUTIONS
from training.losses import adversarial, regularizers
from training.losses.attention import alignment_loss
from training.losses.phases import Networks, d_main, d_r1, g_main, g_move, g_path, make_phases

pytestmark = pytest.mark.numeric

PHASES = {"g_main": g_main, "g_path": g_path, "d_main": d_main, "d_r1": d_r1}
each_phase = pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
MIXING = {"loss": {"style_mixing_prob": 1.0}}


def streams(seed: int = 0) -> RandomStreams:
    return RandomStreams(seed, "cpu")


def run(phase: Callable, networks: Networks | None = None, seed: int = 0, **changes) -> tuple[Tensor, dict]:
    """One phase of a small run; `changes` as for run_config."""
    config = run_config(**changes)
    networks = networks or make_networks(config)
    return phase(networks, make_batch(networks, config), config, streams(seed))


def calls(module: nn.Module) -> list[tuple]:
    """The positional arguments of every later call of `module`."""
    seen: list[tuple] = []
    module.register_forward_pre_hook(lambda _, args: seen.append(args))
    return seen


# ---- which phases there are


def test_phases_in_order_with_their_intervals_and_gains():
    found = [(p.name, p.trained, p.interval, p.grad_scale) for p in make_phases(run_config())]
    assert found == [("G_main", "G", 1, 1), ("G_path", "G", 4, 4), ("D_main", "D", 1, 1), ("D_r1", "D", 16, 16)]


def test_regularisers_of_weight_0_are_left_out():
    phases = make_phases(run_config(loss={"pl_weight": 0, "r1_gamma": 0}))
    assert [p.name for p in phases] == ["G_main", "D_main"]


def test_intervals_come_from_the_optimisers():
    config = run_config(generator_optimizer={"reg_interval": 8}, discriminator_optimizer={"reg_interval": 2})
    assert [p.interval for p in make_phases(config)] == [1, 8, 1, 2]


# ---- what they draw


def test_inputs_draw_latents_and_layouts_from_their_streams():
    config = run_config()
    inputs = draw_inputs(make_networks(config).G, config, streams(1), torch.zeros(4, 0))
    assert torch.equal(inputs.z, torch.randn([4, 8], generator=streams(1)["latent"]))
    assert inputs.layout.counts == (1, 2, 4)
    assert len(inputs.layout) == len(inputs) == 4


def test_batches_of_a_network_without_encoding_have_no_layout():
    config = run_config(generator=generator_config(encoding=None))
    assert make_batch(make_networks(config), config).inputs.layout is None


@each_phase
def test_same_streams_give_the_same_bits(phase):
    first, second = run(phase, **MIXING), run(phase, **MIXING)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(value, second[1][name]) for name, value in first[1].items())


@each_phase
def test_global_random_streams_are_left_alone(phase):
    networks = make_networks(run_config())
    before = global_streams()
    run(phase, networks, **MIXING)[0].backward()
    assert global_streams() == before


@each_phase
def test_layouts_are_those_of_the_batch(phase):
    """No phase draws a layout: the one of the batch serves the whole path, and latent and layout stay together."""
    config = run_config()
    networks, used = make_networks(config), streams()
    batch, seen = make_batch(networks, config), calls(networks.G.synthesis)
    phase(networks, batch, config, used)
    for ws, layout, _ in seen:
        expected = batch.inputs.layout[: len(ws)]
        assert all(map(torch.equal, layout.centers + layout.spreads, expected.centers + expected.spreads))
    assert "layout" not in used.state_dict()


# ---- G main


def alignment_by_hand(networks: Networks, batch: Batch, images: Tensor, align) -> Tensor:
    judged = networks.D(images, batch.inputs.c, features=LEVEL_RESOLUTIONS)
    return alignment_loss(judged.logits, judged.features, batch.inputs.layout, align, images.shape[3])


def test_g_main_is_adversarial_loss_plus_weighted_alignment():
    config = run_config(align={"weight": 0.7})
    networks = make_networks(config)
    batch, seen = make_batch(networks, config), calls(networks.D)
    loss, statistics = g_main(networks, batch, config, streams())
    images = seen[0][0]
    alignment = alignment_by_hand(networks, batch, images, config.align)
    fooling = adversarial.generator_loss(networks.D(images, batch.inputs.c).logits)
    torch.testing.assert_close(statistics["loss/align"], alignment)
    torch.testing.assert_close(statistics["loss/G"], fooling)
    torch.testing.assert_close(loss, fooling.mean() + 0.7 * alignment)


def test_g_main_trains_every_part_of_the_generator_but_not_the_discriminator():
    networks = make_networks(run_config())
    networks.D.requires_grad_(False)
    run(g_main, networks)[0].backward()
    assert all(p.grad is not None for p in networks.G.parameters())
    assert all(p.grad is None for p in networks.D.parameters())


def test_alignment_changes_the_gradient():
    def gradient(weight: float) -> Tensor:
        networks = make_networks(run_config())
        run(g_main, networks, align={"weight": weight})[0].backward()
        return networks.G.synthesis.blocks["4"].conv1.sel.output.weight.grad

    assert not torch.allclose(gradient(0.0), gradient(1.0))


# ---- style mixing


def styles_of(phase: Callable, probability: float, networks: Networks) -> Tensor:
    seen = calls(networks.G.synthesis)
    run(phase, networks, loss={"style_mixing_prob": probability})
    return seen[0][0]


@pytest.mark.parametrize("phase", [g_main, g_path, d_main])
def test_mixing_takes_the_later_layers_from_a_second_latent(phase):
    networks = make_networks(run_config())
    plain, mixed = (styles_of(phase, p, networks) for p in (0.0, 1.0))
    for before, after in zip(plain, mixed, strict=True):
        same = (before == after).all(1)
        first_other = same.logical_not().nonzero()[0].item()
        assert first_other >= 1
        assert not same[first_other:].any()
        assert torch.equal(after[first_other:], after[first_other].expand_as(after[first_other:]))


def test_mixing_probability_is_the_share_of_mixed_samples():
    small = {"img_resolution": 8}
    config = run_config(
        loss={"style_mixing_prob": 0.3},
        generator=generator_config(**small, encoding=None),
        discriminator=discriminator_config(**small),
    )
    networks = make_networks(config)
    seen = calls(networks.G.synthesis)
    with torch.no_grad():
        g_main(networks, make_batch(networks, config, 600), config, streams())
    ws = seen[0][0]
    share = (ws != ws[:, :1]).any(2).any(1).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.06)


# ---- G path


def test_only_g_path_generates_less_than_a_batch():
    assert [p.generated(8) for p in make_phases(run_config())] == [8, 4, 8, 0]
    assert make_phases(run_config(loss={"pl_batch_shrink": 16}))[1].generated(8) == 1


def test_g_path_moves_the_mean():
    networks = make_networks(run_config())
    loss, statistics = run(g_path, networks)
    lengths = statistics["path_length"]
    assert lengths.shape == (4,)
    assert networks.pl_mean.item() == pytest.approx(0.01 * lengths.mean().item())
    assert loss.item() == pytest.approx(2 * (lengths - networks.pl_mean).square().mean().item())
    assert not networks.pl_mean.requires_grad


def test_the_mean_moves_as_far_in_several_passes_as_in_one():
    config = run_config(loss={"pl_decay": 0.19, "move_weight": 1.0})
    networks = make_networks(config)
    batch = replace(make_batch(networks, config), passes=2)
    for phase, mean in ((g_path, networks.pl_mean), (g_move, networks.move_mean)):
        measured = phase(networks, batch, config, streams())[1]
        one = next(measured[name] for name in ("path_length", "move_speed") if name in measured).mean().item()
        assert mean.item() == pytest.approx(0.1 * one)  # twice 0.1 is 1 - 0.9^2 = 0.19
        mean.fill_(1.0)
        phase(networks, replace(batch, passes=1), config, streams())
        assert mean.item() == pytest.approx(1 + 0.19 * (one - 1), rel=1e-4)


def test_g_path_keeps_its_mean_when_a_length_is_not_finite(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(regularizers, "path_lengths", lambda images, ws, noise: images.sum((1, 2, 3)) * torch.nan)
    networks = make_networks(run_config())
    networks.pl_mean.fill_(0.5)
    assert run(g_path, networks)[0].isnan()
    assert networks.pl_mean == 0.5


def test_g_path_of_one_image():
    config = run_config()
    networks = make_networks(config)
    loss, statistics = g_path(networks, make_batch(networks, config, 1), config, streams())
    assert statistics["path_length"].shape == (1,)
    assert loss.isfinite()


# ---- G move


MOVE = {"loss": {"move_weight": 3.0, "style_mixing_prob": 0}}


def test_g_move_is_off_unless_weighed_and_needs_heatmaps():
    assert "G_move" not in [p.name for p in make_phases(run_config())]
    found = {p.name: p for p in make_phases(run_config(loss={"move_weight": 1, "move_interval": 6}))}
    assert (found["G_move"].trained, found["G_move"].interval, found["G_move"].batch_shrink) == ("G", 6, 2)
    plain = run_config(generator=generator_config(encoding=None), loss={"move_weight": 1})
    assert "G_move" not in [p.name for p in make_phases(plain)]


def test_g_move_wants_one_change_of_the_image_for_one_step():
    config = run_config(**MOVE)
    networks = make_networks(config)
    batch, seen = make_batch(networks, config), calls(networks.G.synthesis)
    loss, statistics = g_move(networks, batch, config, streams())
    (ws, layout, _), (again, moved, _) = seen
    assert ws is again
    steps = [(b - a).norm(dim=2) for a, b in zip(layout.centers, moved.centers, strict=True)]
    for step in steps:  # levels 1 and 2 follow
        torch.testing.assert_close(step, torch.full_like(step, 0.1))
    speeds = statistics["move_speed"]
    assert networks.move_mean.item() == pytest.approx(0.01 * speeds.mean().item())
    assert loss.item() == pytest.approx(3 * (speeds - networks.move_mean).square().mean().item())


def test_g_move_draws_the_same_noise_twice():
    """Where heatmaps change nothing, nothing changes."""
    config = run_config(**MOVE)
    networks = make_networks(config)
    for name, parameter in networks.G.named_parameters():
        parameter.data.fill_(1.0) if name.endswith("noise_strength") else None
        parameter.data.zero_() if ".sel.output." in name else None
    _, statistics = g_move(networks, make_batch(networks, config), config, streams())
    assert statistics["move_speed"].max() < 1e-4


def test_g_move_trains_what_hears_the_heatmaps():
    config = run_config(**MOVE)
    networks = make_networks(config)
    g_move(networks, make_batch(networks, config), config, streams())[0].backward()
    trained = {name for name, p in networks.G.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert "synthesis.blocks.4.conv1.sel.output.weight" in trained
    assert "synthesis.encoder.levels.0.conv0.weight" in trained
    assert all(p.grad is None for p in networks.D.parameters())


# ---- D


def test_d_main_trains_the_discriminator_only():
    networks = make_networks(run_config())
    loss, statistics = run(d_main, networks)
    loss.backward()
    assert all(p.grad is None for p in networks.G.parameters())
    assert all(p.grad is not None for p in networks.D.parameters())
    expected = adversarial.discriminator_loss(statistics["scores/fake"], statistics["scores/real"])
    assert torch.equal(statistics["loss/D"], expected)
    assert loss.item() == expected.mean().item()
    assert torch.equal(statistics["signs/real"], statistics["scores/real"].sign())


def test_d_r1_penalises_the_gradient_at_real_images_and_spares_them():
    networks, config = make_networks(run_config()), run_config(loss={"r1_gamma": 3})
    batch = make_batch(networks, config)
    loss, statistics = d_r1(networks, batch, config, streams())
    images = batch.real_images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(networks.D(images, batch.real_c).logits.sum(), images)
    torch.testing.assert_close(statistics["loss/r1_penalty"], gradient.square().sum((1, 2, 3)))
    assert loss.item() == pytest.approx(1.5 * statistics["loss/r1_penalty"].mean().item())
    assert not batch.real_images.requires_grad
    assert batch.real_images.grad is None


# ---- augmentation

AUGMENTED = {"augment": {"mode": "ada", "p": 1, "transforms": {"rotate90": 0}}}


def augmented(p: float = 1.0, **changes) -> tuple[RunConfig, Networks]:
    config = run_config(**{**AUGMENTED, **changes})
    networks = make_networks(config)
    networks.augment = make_pipe(config.augment, 4)
    networks.augment.strength.p.fill_(p)
    return config, networks


@each_phase
def test_p_of_0_is_no_augmentation(phase):
    config, networks = augmented(p=0.0)
    loss, statistics = phase(networks, make_batch(networks, config), config, streams())
    expected, plain = run(phase)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)  # heatmaps are read from a finer rendering
    assert statistics.keys() == plain.keys()


@each_phase
def test_discriminator_sees_augmented_images_only(phase):
    config, networks = augmented()
    batch, seen, made = make_batch(networks, config), calls(networks.D), []
    networks.augment.register_forward_hook(lambda _, args, result: made.append(result.images))
    phase(networks, batch, config, streams())
    assert len(seen) == len(made) == {g_main: 1, g_path: 0, d_main: 2, d_r1: 1}[phase]
    assert all(args[0] is images for args, images in zip(seen, made, strict=True))
    assert all(not torch.allclose(images, batch.real_images) for images in made)


@each_phase
def test_augmentation_draws_from_its_own_stream(phase):
    config, networks = augmented()
    used = streams()
    phase(networks, make_batch(networks, config), config, used)
    assert ("augment" in used.state_dict()) == (phase is not g_path)
    plain = streams()
    phase(make_networks(run_config()), make_batch(networks, config), run_config(), plain)
    assert "augment" not in plain.state_dict()
    rest = {name: state for name, state in used.state_dict().items() if name != "augment"}
    assert all(torch.equal(state, plain.state_dict()[name]) for name, state in rest.items())


def test_g_main_aligns_with_the_heatmaps_as_shown():
    config, networks = augmented(align={"weight": 0.7})
    batch, shown = make_batch(networks, config), []
    networks.augment.register_forward_hook(lambda _, args, result: shown.append(result))
    _, statistics = g_main(networks, batch, config, streams())
    judged = networks.D(shown[0].images, batch.inputs.c, features=LEVEL_RESOLUTIONS)
    layout = WarpedLayout(batch.inputs.layout, shown[0].geometry)
    by_hand = alignment_loss(judged.logits, judged.features, layout, config.align, 32)
    still = alignment_loss(judged.logits, judged.features, batch.inputs.layout, config.align, 32)
    torch.testing.assert_close(statistics["loss/align"], by_hand)
    assert not torch.allclose(by_hand, still)


def test_g_main_trains_through_augmentation():
    config, networks = augmented()
    networks.D.requires_grad_(False)
    g_main(networks, make_batch(networks, config), config, streams())[0].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in networks.G.parameters())


def test_d_r1_penalises_the_gradient_at_the_images_before_augmentation():
    config, networks = augmented(loss={"r1_gamma": 3, "style_mixing_prob": 0})
    batch = make_batch(networks, config)
    loss, statistics = d_r1(networks, batch, config, streams())
    images = batch.real_images.clone().requires_grad_()
    seen = networks.augment(images, streams()["augment"]).images
    (gradient,) = torch.autograd.grad(networks.D(seen, batch.real_c).logits.sum(), images)
    torch.testing.assert_close(statistics["loss/r1_penalty"], gradient.square().sum((1, 2, 3)))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in networks.D.parameters() if p.grad is not None)
    assert networks.D.blocks["32"].conv0.weight.grad.abs().sum() > 0


def test_only_d_main_observes_signs_of_real_images():
    config, networks = augmented()
    for phase in PHASES.values():
        before = networks.augment.strength.signs.clone()
        _, statistics = phase(networks, make_batch(networks, config), config, streams())
        seen = networks.augment.strength.signs - before
        expected = [statistics["signs/real"].sum().item(), 4.0] if phase is d_main else [0.0, 0.0]
        assert seen.tolist() == expected


# ---- labels, other networks


@each_phase
def test_conditional_networks(phase):
    config = run_config(generator=generator_config(c_dim=2), discriminator=discriminator_config(c_dim=2))
    networks, labels = make_networks(config), torch.eye(2)[[0, 1, 1, 0]]
    batch = Batch(draw_inputs(networks.G, config, streams(), labels), real_images(), labels.flip(0))
    seen = calls(networks.D)
    loss, _ = phase(networks, batch, config, streams())
    loss.backward()
    given = [args[1].tolist() for args in seen]
    fake, real = labels.tolist(), labels.flip(0).tolist()
    assert given == {g_main: [fake], g_path: [], d_main: [fake, real], d_r1: [real]}[phase]


@each_phase
def test_networks_without_encoding(phase):
    config = run_config(generator=generator_config(encoding=None))
    networks = make_networks(config)
    loss, statistics = phase(networks, make_batch(networks, config), config, streams())
    loss.backward()
    assert loss.isfinite()
    assert "loss/align" not in statistics
