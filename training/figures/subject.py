"""What figures are made of: a snapshot's networks, its pictures by seed, and the real images it was trained on."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from training.data.dataset import ImageDataset
from training.data.of_run import open_data
from training.layouts.layout import Layout
from training.networks.backbones import DiscriminatorNetwork
from training.networks.generator import set_memory_format
from training.runs.snapshot import Snapshot, open_snapshot
from training.sampling import Model


class ImagesWithLabels(NamedTuple):
    """Images [N, C, R, R] in about [-1, 1], and the labels [N, c_dim] they belong to, or None."""

    images: Tensor
    labels: Tensor | None


class ModelUnderStudy:
    """A snapshot file (or a run directory's newest) that figures are to be made of.

    data: where the real images are; None: where they were in training. Networks and data are opened when first used.
    Raises UserError when there is no snapshot, or no such device; when used, where the data is missing.
    """

    def __init__(self, path: str | Path, device: str = "auto", data: str | None = None, truncation_psi: float = 1.0):
        self.snapshot = open_snapshot(path)
        self.config, self.kimg = self.snapshot.config, self.snapshot.kimg
        self.model = Model.load(self.snapshot.path, device)
        self.run_dir = self.snapshot.path.parent
        self.truncation_psi = truncation_psi
        self._data = data

    @property
    def name(self) -> str:
        """Such as 'animals32-demo-spatialgan, 125 kimg'."""
        return f"{self.config.name}, {kimg_text(self.kimg)}"

    @cached_property
    def D(self) -> DiscriminatorNetwork:
        return discriminator_of(self.snapshot, self.model.device)

    @cached_property
    def dataset(self) -> ImageDataset:
        return open_data(self.config, self._data)

    def real(self, count: int, seed: int = 0) -> ImagesWithLabels:
        """Different images of the data set, chosen by `seed`. Raises UserError when there are too few."""
        available = len(self.dataset)
        if count > available:
            raise UserError(
                f"{self.dataset.name} holds {counted(available, 'image')}, {count} were asked for; use fewer"
            )
        chosen = np.random.default_rng(seed).choice(available, count, replace=False).tolist()
        images = torch.from_numpy(np.stack([self.dataset[i][0] for i in chosen])).to(self.model.device)
        return ImagesWithLabels(images.float() / 127.5 - 1, self._labels_of(chosen))

    def generated(
        self,
        seeds: Sequence[int],
        layout: Layout | None = None,
        model: Model | None = None,
        block_outputs: dict[int, Tensor] | None = None,
    ) -> ImagesWithLabels:
        """Pictures of seeds, of another snapshot's `model` if given; classes, where there are any, by seed in turn."""
        model = model or self.model
        rows = self.labels_in_turn(seeds)
        options: dict[str, Any] = {"truncation_psi": self.truncation_psi, "block_outputs": block_outputs}
        return ImagesWithLabels(model.images(seeds, layout=layout, labels=rows, **options), rows)

    def layout(self, seeds: Sequence[int]) -> Layout:
        """The layouts of seeds. Raises UserError when the model takes none."""
        self.check_steerable()
        layout = self.model.layout(seeds)
        assert layout is not None
        return layout

    def check_steerable(self) -> None:
        """Raises UserError when the model takes no layout."""
        if not self.model.is_layout_conditioned:
            raise UserError(f"a model of method {self.config.method} takes no layout, so there is none to change")

    def labels_in_turn(self, seeds: Sequence[int]) -> Tensor | None:
        """Labels [N, c_dim] of seeds: the classes, where there are any, by seed in turn."""
        classes, examples = self.config.generator.c_dim, self.config.data.label_examples
        if classes == 0:
            return None
        if examples:
            return torch.tensor([examples[seed % len(examples)] for seed in seeds], device=self.model.device)
        numbers = torch.tensor([seed % classes for seed in seeds], device=self.model.device)
        return torch.nn.functional.one_hot(numbers, classes).float()

    def _labels_of(self, indices: Sequence[int]) -> Tensor | None:
        if self.config.generator.c_dim == 0:
            return None
        return torch.from_numpy(np.stack([self.dataset.get_label(i) for i in indices])).to(self.model.device)


def discriminator_of(snapshot: Snapshot, device: torch.device) -> DiscriminatorNetwork:
    """A snapshot's D on `device`."""
    D = snapshot.discriminator().to(device)
    set_memory_format(D, channels_last=True)
    return D


def over_training(run_dir: Path, last_kimg: float, count: int) -> list[Snapshot]:
    """At most `count` snapshots of a run up to `last_kimg`, the first and the last among them, closer early on.

    Raises UserError when there are fewer than two.
    """
    opened = [open_snapshot(path) for path in sorted(run_dir.glob("network-snapshot-*.safetensors"))]
    until = sorted((one for one in opened if one.kimg <= last_kimg), key=lambda one: one.kimg)
    if len(until) < 2:
        raise UserError(f"{run_dir}: one snapshot shows no training; two or more are needed (train.py --snap)")
    return [until[i] for i in early_steps(len(until), count)]


def early_steps(available: int, count: int) -> list[int]:
    """`count` of the numbers 0 to available - 1 (all, where there are fewer), the ends among them, closer early on."""
    steps: list[int] = []
    for number in np.geomspace(1, available, min(count, available)).tolist():
        steps.append(max(round(number) - 1, steps[-1] + 1 if steps else 0))
    return steps


def kimg_text(kimg: float) -> str:
    """'125 kimg'; below 1 not rounded."""
    return f"{kimg:g} kimg" if kimg < 1 else f"{round(kimg)} kimg"
