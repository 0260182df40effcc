"""Gradients of the phases where convolutions run by minimal filtering, against float64."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.implementations import check_native
from tests.training.small import discriminator_config, generator_config, make_batch, make_networks, run_config
from torch_utils import ops
from torch_utils.ops import winograd_autograd
from torch_utils.randomness import RandomStreams
from training.inputs import Batch
from training.layouts.layout import Layout
from training.losses.phases import d_main, d_r1, g_main, g_path

PHASES = {
    "g_main": (g_main, "G", {"_SameSize", "_Enlarge", "_Reduce"}),
    "g_path": (g_path, "G", {"_SameSize", "_Enlarge"}),
    "d_main": (d_main, "D", {"_SameSize", "_Enlarge", "_Reduce"}),
    "d_r1": (d_r1, "D", {"_SameSize", "_Enlarge", "_Reduce"}),
}
WIDE = {"channel_base": 1024, "channel_max": 32}  # channels that minimal filtering takes
LIMIT = 1e-4  # of the largest gradient


@pytest.mark.parametrize("phase, trained, used", PHASES.values(), ids=PHASES.keys())
def test_gradients_are_near_those_of_float64(phase, trained, used, monkeypatch):
    check_native()
    calls = []
    for name in ("_SameSize", "_Enlarge", "_Reduce"):
        function = getattr(winograd_autograd, name)
        monkeypatch.setattr(function, "apply", lambda *a, f=function.apply, n=name: calls.append(n) or f(*a))
    with ops.use("reference"):
        expected = gradients(phase, trained, torch.float64)
    assert not calls
    with ops.use("native"):
        actual = gradients(phase, trained, torch.float32)
    assert set(calls) == used
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        assert (actual[name] - gradient).abs().max() <= LIMIT * largest, name


def gradients(phase: Callable, trained: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Of a phase's loss in the weights it trains, computed in `dtype` from the same numbers."""
    config = run_config(
        generator=generator_config(synthesis=WIDE), discriminator=discriminator_config(**WIDE), loss={"pl_weight": 2}
    )
    networks = make_networks(config)
    networks.pl_mean = networks.pl_mean.to(dtype)
    batch = make_batch(networks, config, count=2)
    for each in (networks.G, networks.D):
        each.to(dtype)
        each.requires_grad_(each is getattr(networks, trained))
    loss, _ = phase(networks, _converted(batch, dtype), config, RandomStreams(0, "cpu"))
    loss.backward()
    found = getattr(networks, trained).named_parameters()
    return {name: weight.grad for name, weight in found if weight.grad is not None}


def _converted(batch: Batch, dtype: torch.dtype) -> Batch:
    inputs = replace(batch.inputs, z=batch.inputs.z.to(dtype), layout=_layout(batch.inputs.layout, dtype))
    return replace(batch, inputs=inputs, real_images=batch.real_images.to(dtype))


def _layout(layout: Layout, dtype: torch.dtype) -> Layout:
    centers, spreads = (tuple(each.to(dtype) for each in part) for part in (layout.centers, layout.spreads))
    return replace(layout, centers=centers, spreads=spreads)
