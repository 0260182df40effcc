"""Attributes and key points of toy scenes, measured by a small network that learns them from scenes of known truth.

It is trained the first time that it is needed (seconds on a CPU) and kept in the cache. It sees pictures at 32 pixels.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnnlib.cache import cache_folder
from dnnlib.errors import UserError
from dnnlib.json_files import parse_json
from dnnlib.parsing import nearest, shown
from editing.latent.conditions.truth import WHAT, draw_scenes, truths
from editing.observation import with_gradients
from editing.registration import pixel_size
from torch_utils.tensor_files import open_tensors, write_tensors
from training.scenes.procedural import KINDS

SIDE = 32  # pixels that it looks at
VERSION = 1  # of the recipe; raised when that changes
FORMAT = "steergan-scene-condition"


@dataclass(frozen=True)
class Recipe:
    """How it is trained. noise: added to pictures, deviation, so that it does not rely on what GANs do not paint.

    seen: an attribute is left out unless so much of its variance is explained, in scenes that are held out.
    """

    scenes: int = 4000
    held_out: int = 500
    epochs: int = 10
    batch: int = 64
    lr: float = 2e-3
    noise: float = 0.05
    seen: float = 0.5


class Regressor(nn.Module):
    """Pictures [N, 3, 32, 32] to C standardised numbers, then as they are."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, count: int):
        super().__init__()
        widths = (3, 16, 32, 48)
        convolutions = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)]
        self.convolutions = nn.ModuleList(convolutions)
        self.hidden = nn.Linear(widths[-1] * (SIDE // 8) ** 2, 128)
        self.last = nn.Linear(128, count)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("deviation", torch.ones(count))

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for convolution in self.convolutions:
            x = F.silu(convolution(x))
        return self.last(F.silu(self.hidden(x.flatten(1)))) * self.deviation + self.mean


@dataclass(frozen=True)
class SceneCondition:
    """A trained regressor. r2: [C], the share of the variance that it explains in scenes it has not learnt from."""

    names: tuple[str, ...]
    network: Regressor
    r2: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Places are told for pictures of this size: their -1 and 1 are the middles of its border pixels."""
        seen, side = self.network(at_its_size(images)), images.shape[2]
        if side == SIDE:
            return seen
        factor = pixel_size(SIDE, "cells") / pixel_size(SIDE, "corners") * pixel_size(side, "corners")
        factor /= pixel_size(side, "cells")
        return seen * seen.new_tensor([factor if is_place(name) else 1.0 for name in self.names])


def is_place(name: str) -> bool:
    """Whether an attribute is a coordinate in a picture."""
    return name.rpartition("_")[2] in ("x", "y")


def scene_condition(
    what: str, kind: str, device: torch.device | str = "cpu", recipe: Recipe | None = None
) -> SceneCondition:
    """Attributes ("scene") or key points ("points") of a kind of toy scenes; from the cache, or trained now.

    Raises UserError when there is no such kind, or it has no parts.
    """
    if what not in WHAT or kind not in KINDS:
        raise UserError(f"--condition {what}:{shown(kind)}: no such toy scenes{nearest(kind, KINDS)}")
    path = cache_folder("conditions") / f"{what}-{kind}-{VERSION}.safetensors"
    if recipe is not None:
        return _on(train(what, kind, recipe), device)
    with suppress(UserError):  # none yet, or a damaged one
        return _on(_load(path), device)
    trained = train(what, kind, Recipe())
    _save(path, trained)
    return _on(trained, device)


def train(what: str, kind: str, recipe: Recipe) -> SceneCondition:
    """By Adam on squared errors of standardised truths; the same on every call."""
    with with_gradients():
        return _trained(what, kind, recipe)


def _trained(what: str, kind: str, recipe: Recipe) -> SceneCondition:
    scenes = draw_scenes(kind, recipe.scenes + recipe.held_out, SIDE, seed=0)
    names, values = truths(what, scenes)
    images = torch.from_numpy(np.stack([pixels for pixels, _ in scenes])).permute(0, 3, 1, 2).float() / 127.5 - 1
    wanted = torch.from_numpy(values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Regressor(len(names))
        network.mean, network.deviation = wanted.mean(0), wanted.std(0).clamp_min(1e-6)
        _fit(network, images[: recipe.scenes], wanted[: recipe.scenes], recipe)
    network.eval().requires_grad_(False)
    with torch.no_grad():
        errors = (network(images[recipe.scenes :]) - wanted[recipe.scenes :]).square().mean(0)
    r2 = 1 - errors / wanted[recipe.scenes :].var(0).clamp_min(1e-12)
    return _without_unseen(SceneCondition(names, network, tuple(r2.tolist())), recipe.seen)


def _blank(count: int) -> Regressor:
    """One whose weights are replaced at once; the global stream stays as it was."""
    with torch.random.fork_rng(devices=[]):
        return Regressor(count)


def _without_unseen(condition: SceneCondition, least: float) -> SceneCondition:
    """The same without attributes of which the network explains less. Raises UserError when none is left."""
    kept = [index for index, r2 in enumerate(condition.r2) if r2 >= least]
    if not kept:
        raise UserError("no attribute of these scenes can be seen in their pictures")
    old, new = condition.network, _blank(len(kept))
    state = {name: value for name, value in old.state_dict().items() if not name.startswith(("last", "mean", "dev"))}
    heads = {name: old.state_dict()[name][kept] for name in ("last.weight", "last.bias", "mean", "deviation")}
    new.load_state_dict(state | heads)
    new.eval().requires_grad_(False)
    return SceneCondition(tuple(condition.names[i] for i in kept), new, tuple(condition.r2[i] for i in kept))


def _fit(network: Regressor, images: Tensor, wanted: Tensor, recipe: Recipe) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=1e-3)
    steps = recipe.epochs * -(-len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(images)).split(recipe.batch):
            seen = images[rows] + recipe.noise * torch.randn_like(images[rows])
            loss = ((network(seen) - wanted[rows]) / network.deviation).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def at_its_size(images: Tensor) -> Tensor:
    """Pictures [N, 1 or 3, R, R] as [N, 3, 32, 32]."""
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[2] > SIDE:
        return F.adaptive_avg_pool2d(images, SIDE)
    return images if images.shape[2] == SIDE else F.interpolate(images, SIDE, mode="bilinear", align_corners=False)


def _on(condition: SceneCondition, device: torch.device | str) -> SceneCondition:
    condition.network.to(device)
    return condition


def _save(path: Path, condition: SceneCondition) -> None:
    about = {"names": list(condition.names), "r2": list(condition.r2)}
    tensors = {name: value.contiguous() for name, value in condition.network.state_dict().items()}
    write_tensors(path, tensors, {FORMAT: json.dumps(about)})


def _load(path: Path) -> SceneCondition:
    """Raises UserError when there is none, or it is damaged."""
    file = open_tensors(path)
    about = parse_json(file.metadata.get(FORMAT, "{}"), path)
    try:
        network = _blank(len(about["names"]))
        network.load_state_dict(file.read())
        found = SceneCondition(tuple(about["names"]), network, tuple(about["r2"]))
    except (KeyError, RuntimeError, TypeError) as error:
        raise UserError(f"{path}: damaged") from error
    network.eval().requires_grad_(False)
    return found
