"""The pipeline as training uses it: chances, streams, p = 0, grey images, gradients, each transform by itself."""

import pytest
import torch
from torch import Tensor

from tests.training.small import global_streams
from training.augment.draws import Draws
from training.augment.pipeline import AugmentPipe, make_pipe
from training.augment.pipes import PIPES, TRANSFORMS, multipliers
from training.augment.settings import AugmentConfig, TransformsConfig
from training.augment.strength import Strength

pytestmark = pytest.mark.numeric

EVERYTHING = "bgcfnc"


def pipe(name: str = EVERYTHING, p: float = 1.0, **ranges) -> AugmentPipe:
    """A named pipe, or one transform."""
    wanted = multipliers(name) if name in PIPES else {one: float(one == name) for one in TRANSFORMS}
    return AugmentPipe(TransformsConfig(**wanted, **ranges), Strength(p))


def pictures(count: int = 4, channels: int = 3, side: int = 32, seed: int = 1) -> Tensor:
    """Smooth random images in [-1, 1]."""
    coarse = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)


class Decisions(Draws):
    """Draws on the CPU whatever the device, so that two devices decide alike."""

    def __init__(self, seed: int, count: int, device: str):
        super().__init__(torch.Generator().manual_seed(seed), count)
        self.device = device

    def uniform(self) -> Tensor:
        return super().uniform().to(self.device)

    def normal(self) -> Tensor:
        return super().normal().to(self.device)

    def white_noise(self, shape: torch.Size) -> Tensor:
        return super().white_noise(shape).to(self.device)


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Which samples differ in any bit."""
    return (before != after).flatten(1).any(1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PIPES)
def test_p_of_0_changes_no_bit(generator, name: str, channels: int):
    images = pictures(channels=channels)
    assert torch.equal(pipe(name, p=0)(images, generator()).images, images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PIPES)
def test_p_of_1_changes_nearly_every_image(generator, name: str, channels: int):
    images = pictures(16, channels)
    result = pipe(name)(images, generator()).images
    assert result.shape == images.shape
    assert result.isfinite().all()
    assert changed(images, result).sum() >= 10


@pytest.mark.parametrize("name", PIPES)
def test_the_generators_seed_decides_everything(generator, name: str):
    images, before = pictures(), global_streams()
    first, again, other = (pipe(name)(images, generator(seed)).images for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert global_streams() == before


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_transform_happens_with_its_chance(generator, name: str):
    """A mirroring or a turn may come out as nothing; the others change the image whenever their gate is open."""
    share = {"xflip": 1 / 2, "rotate90": 3 / 4, "lumaflip": 1 / 2}.get(name, 1.0)
    bands = {"imgfilter_bands": (1, 0, 0, 0)} if name == "imgfilter" else {}
    images = pictures(1, side=24).expand(800, -1, -1, -1)
    count = changed(images, pipe(name, p=0.4, **bands)(images, generator(3)).images).float().mean().item()
    # Two rotations leave an image upright with probability 1 - p; whole pixels of 24 * 0.125 round to 0 in both
    # directions one time in 36.
    expected = 0.4 * share * (35 / 36 if name == "xint" else 1)
    assert count == pytest.approx(expected, abs=0.06)


def test_a_multiplier_scales_the_chance(generator):
    images = pictures(1).expand(800, -1, -1, -1)
    wanted = dict.fromkeys(TRANSFORMS, 0) | {"brightness": 0.25}
    result = AugmentPipe(TransformsConfig(**wanted), Strength(0.8))(images, generator()).images
    assert changed(images, result).float().mean().item() == pytest.approx(0.2, abs=0.05)


def test_numbers_drawn_do_not_depend_on_p(generator):
    """So that a continued stream is the same whatever p was."""
    states = []
    for p in (0.0, 0.5, 1.0):
        stream = generator(5)
        pipe(p=p)(pictures(), stream)
        states.append(stream.get_state())
    assert all(torch.equal(states[0], state) for state in states)


def test_mirroring_is_mirroring(generator):
    images = pictures(16)
    result = pipe("xflip")(images, generator())
    for before, after, flipped in zip(images, result.images, result.geometry.right[:, 0] < 0, strict=True):
        assert (after - (before.flip(2) if flipped else before)).abs().mean() < 0.02
    assert 0 < (result.geometry.right[:, 0] < 0).sum() < 16


def test_quarter_turns_turn_clockwise_or_not(generator):
    images = pictures(16)
    result = pipe("rotate90")(images, generator())
    turned = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)])
    distance = (turned - result.images).abs().mean((2, 3, 4))
    assert distance.amin(0).max() < 0.02
    assert set(distance.argmin(0).tolist()) == {0, 1, 2, 3}


def test_cutout_removes_a_rectangle(generator):
    images = torch.ones(8, 3, 32, 32)
    result = pipe("cutout", cutout_size=0.25)(images, generator()).images
    assert ((result == 0) | (result == 1)).all()
    assert (result[:, 0] == 0).flatten(1).sum(1).max() == 64
    assert torch.equal(result[:, 0], result[:, 2])


def test_noise_has_its_strength(generator):
    images = torch.zeros(400, 1, 32, 32)
    sigmas = pipe("noise")(images, generator()).images.flatten(1).std(1)
    assert sigmas.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.1)


def test_saturation_keeps_grey_grey(generator):
    grey = pictures(channels=1).expand(-1, 3, -1, -1)
    for name in ("saturation", "hue"):
        torch.testing.assert_close(pipe(name)(grey, generator()).images, grey)


def test_grey_images_have_neither_hue_nor_saturation(generator):
    images = pictures(channels=1)
    for name in ("saturation", "hue"):
        assert pipe(name)(images, generator()).images is images


def test_geometry_only_where_something_moves(generator):
    assert pipe("color")(pictures(), generator()).geometry is None
    assert pipe("bg")(pictures(), generator()).geometry.right.shape == (4, 2)


def test_second_derivatives_through_everything(generator):
    """As R1 takes them: gradcheck of a gradient that went through the pipe."""
    images = torch.rand(1, 3, 22, 22, dtype=torch.float64, generator=generator(2)).requires_grad_()
    direction = torch.randn(images.shape, dtype=torch.float64, generator=generator(3))

    def penalty(scale: Tensor) -> Tensor:
        x = images + scale * direction
        y = pipe().transform(x, Draws(generator(4), 1, torch.float64)).images
        (gradient,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, torch.zeros([], dtype=torch.float64, requires_grad=True))


def test_making_a_pipe():
    assert make_pipe(AugmentConfig(), 32) is None
    fixed = make_pipe(AugmentConfig(mode="fixed", p=0.2), 32).strength
    assert (fixed.p.item(), fixed.target) == (pytest.approx(0.2), None)
    adaptive = make_pipe(AugmentConfig(mode="ada", target=0.7, kimg=100, interval=2), 32).strength
    assert (adaptive.p.item(), adaptive.target, adaptive.step) == (0, 0.7, pytest.approx(32 * 2 / 100_000))


def test_a_checkpoint_holds_p_and_the_signs_only():
    adaptive = make_pipe(AugmentConfig(mode="ada"), 32)
    assert set(adaptive.state_dict()) == {"strength.p", "strength.signs"}


# ---- on a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["bg", EVERYTHING])
def test_the_host_waits_for_nothing(name: str):
    augment, images = pipe(name, p=0.5).cuda(), pictures().cuda().requires_grad_()
    stream = torch.Generator("cuda").manual_seed(0)

    def step() -> Tensor:
        y = augment(images, stream).images
        augment.strength.observe(y)
        augment.strength.adapt()
        return torch.autograd.grad(y.square().sum(), images)[0]

    step()  # libraries may wait when they start
    torch.cuda.set_sync_debug_mode("error")
    try:
        gradient = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert gradient.isfinite().all()


@pytest.mark.gpu
def test_a_gpu_transforms_as_the_cpu_does():
    """With the same decisions; float32 against float32."""
    expected = pipe().transform(pictures(), Decisions(6, 4, "cpu")).images
    found = pipe().cuda().transform(pictures().cuda(), Decisions(6, 4, "cuda")).images
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-4)
