"""What metrics are computed from: a network, or a folder of pictures in its place, real images, and the settings."""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dnnlib.errors import UserError
from metrics.extractors import Extractors
from metrics.image_files import ImageFiles
from torch_utils.distributed import World, current
from training.data.dataset import ImageDataset
from training.layouts.files import layout_to_json
from training.layouts.layout import Layout
from training.networks.discriminator import Discriminator
from training.sampling import Model

T = TypeVar("T")


@dataclass(frozen=True)
class MetricContext:
    """What a metric is computed from.

    model, D: the network; both None when `pictures`, files, are measured in place of generated images.
    num: draws, latents or images; None: as many as the metric takes by default. batch_size: pictures per pass; no
    value depends on it beyond rounding. progress: show a bar. world: the processes that share the work; all of them
    have the same context. layout: what all pictures have, one for all or taken in turn; None: each draws its own.
    use_cache: keep statistics of real images on disk. detector, detector_weights: what finds objects (see
    metrics/detectors/choice). record: for a metric to note what its result is to record besides. Contexts made by
    `with_num` share what metrics have computed already.
    """

    model: Model | None
    D: Discriminator | None
    dataset: ImageDataset | ImageFiles
    seed: int = 0
    num: int | None = None
    batch_size: int = 64
    progress: bool = False
    truncation_psi: float = 1.0
    layout: Layout | None = None
    pictures: ImageFiles | None = None
    extractors: Extractors = field(default_factory=Extractors)
    use_cache: bool = True
    detector: str = "auto"
    detector_weights: str | None = None
    record: dict[str, str] = field(default_factory=dict, compare=False)
    world: World = field(default_factory=current)
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def with_num(self, num: int | None) -> "MetricContext":
        return replace(self, num=num)

    @property
    def device(self) -> torch.device:
        """Where networks compute."""
        return self.world.device if self.model is None else self.model.device

    @property
    def compares_folders(self) -> bool:
        """Whether files are measured instead of a network's pictures."""
        return self.pictures is not None

    def shared(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute()`, made once for all metrics that ask for `key`."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def on_first_rank(self, compute: Callable[[], T]) -> T:
        """The value of `compute()`, or its UserError, which only the first process works out."""
        return self.world.first(compute)

    def bar(self, parts: Sequence[Sequence[int]], what: str) -> Iterable[Sequence[int]]:
        """Go through `parts` of this rank's images, showing how far all ranks are, and images per second."""
        total = sum(map(len, parts))
        is_shown = self.progress and self.world.is_first
        with tqdm(desc=what, total=total, unit="img", unit_scale=self.world.size, leave=False,
                  disable=not is_shown) as bar:  # fmt: skip
            for part in parts:
                yield part
                bar.update(len(part))

    # ---- real images

    def real_images(self, indices: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Images [N, C, R, R] in [-1, 1] of the data set and labels [N, c_dim] or None, on the model's device."""
        images = np.stack([self.dataset[int(i)][0] for i in indices])
        return torch.from_numpy(images).to(self.model.device).float() / 127.5 - 1, self._labels(indices)

    # ---- what pictures are generated from

    def random_labels(self, count: int, rng: np.random.Generator) -> Tensor | None:
        """Labels [count, c_dim] as frequent as in the data set; None for a model without labels."""
        if self.model.config.generator.c_dim == 0:
            return None
        return self._labels(rng.integers(len(self.dataset), size=count))

    def labels_of(self, numbers: Sequence[int]) -> Tensor | None:
        """Labels [N, c_dim] of generated pictures; number i has the same one whatever others it comes with."""
        if self.model.config.generator.c_dim == 0:
            return None
        return self._labels([np.random.default_rng([self.seed, i]).integers(len(self.dataset)) for i in numbers])

    def layout_of(self, numbers: Sequence[int], seeds: Sequence[int]) -> Layout | None:
        """Layouts of generated pictures: those given, in turn, or drawn by seed. None for a model that hears none."""
        if self.layout is None or not self.model.is_layout_conditioned:
            return self.model.layout(seeds)
        return self.layout[[i % len(self.layout) for i in numbers]].to(self.model.device)

    def generate(self, seeds: Sequence[int], labels: Tensor | None) -> Tensor:
        """Images [N, C, R, R] in about [-1, 1], with the truncation and the layout that were asked for."""
        layout = None if self.layout is None else self.layout_of(range(len(seeds)), seeds)
        return self.model.images(
            seeds, labels=labels, layout=layout, truncation_psi=self.truncation_psi, batch_size=self.batch_size
        )

    def settings(self) -> dict[str, Any]:
        """What a result records of how pictures were made and computed."""
        return {
            "seed": self.seed,
            "batch": self.batch_size,
            "procs": self.world.size,
            "device": self.device.type,
            "torch": torch.__version__,
            "trunc": self.truncation_psi,
            "layout_sha256": None if self.layout is None else _digest(layout_to_json(self.layout)),
            **self.record,
        }

    def _labels(self, indices: Sequence[int]) -> Tensor | None:
        c_dim = self.model.config.generator.c_dim
        if c_dim == 0:
            return None
        if self.dataset.label_dim != c_dim:
            raise UserError(
                f"{self.dataset.name}: labels have {self.dataset.label_dim} numbers, but the model was trained with "
                f"{c_dim}; give the data it was trained on"
            )
        labels = np.stack([self.dataset.get_label(int(i)) for i in indices])
        return torch.from_numpy(labels).to(self.model.device)


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
