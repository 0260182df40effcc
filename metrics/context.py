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
from dnnlib.words import counted
from metrics.detectors.choice import DetectorName
from metrics.extractors import Extractors
from metrics.image_files import ImageFiles
from torch_utils.distributed import World, current
from training.data.dataset import ImageDataset
from training.layouts.files import layout_to_json
from training.layouts.layout import Layout
from training.networks.backbones import DiscriminatorNetwork
from training.sampling import Model

T = TypeVar("T")


@dataclass(frozen=True)
class EvaluatedNetwork:
    """What is measured: a network, and how its pictures are drawn where a metric takes any.

    layout: what all pictures have, one for all or taken in turn; None: each draws its own.
    """

    model: Model
    D: DiscriminatorNetwork | None
    truncation_psi: float = 1.0
    layout: Layout | None = None


@dataclass(frozen=True)
class MetricOptions:
    """How it is measured.

    num: draws, latents or images; None: as many as the metric takes by default. batch_size: pictures per pass; no
    value depends on it beyond rounding. progress: show a bar. use_cache: keep statistics of real images on disk.
    detector, detector_weights: what finds objects (see metrics/detectors/choice). manipulation: makes, for a model, the
    method of editing that is measured (see metrics/mds).
    """

    seed: int = 0
    num: int | None = None
    batch_size: int = 64
    progress: bool = False

    @property
    def hides_bars(self) -> bool | None:
        """What tqdm takes as `disable`; None: where there is no terminal, so that no bar goes into a file."""
        return None if self.progress else True
    use_cache: bool = True
    detector: DetectorName = "auto"
    detector_weights: str | None = None
    manipulation: Callable[[Model], Any] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Options of calc_metrics.py that only some metrics need."""
        return () if self.manipulation is None else ("--method",)


@dataclass(frozen=True)
class MetricContext:
    """What a metric is computed from: what is measured, against which real images, how, and where.

    measured: a network, or files of pictures in place of generated ones. world: the processes that share the work; all
    of them have the same context. record: for a metric to note what its result is to record besides. Contexts made by
    `with_num` share what metrics have computed already.
    """

    measured: EvaluatedNetwork | ImageFiles
    dataset: ImageDataset | ImageFiles
    options: MetricOptions = MetricOptions()
    world: World = field(default_factory=current)
    extractors: Extractors = field(default_factory=Extractors)
    record: dict[str, str] = field(default_factory=dict, compare=False)
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def with_num(self, num: int | None) -> "MetricContext":
        return replace(self, options=replace(self.options, num=num))

    @property
    def compares_folders(self) -> bool:
        """Whether files are measured instead of a network's pictures."""
        return isinstance(self.measured, ImageFiles)

    @property
    def pictures(self) -> ImageFiles:
        """The files that are measured."""
        assert isinstance(self.measured, ImageFiles), "a network is measured, not files"
        return self.measured

    @property
    def network(self) -> EvaluatedNetwork:
        """The network that is measured."""
        assert isinstance(self.measured, EvaluatedNetwork), "files are measured, not a network"
        return self.measured

    @property
    def model(self) -> Model:
        return self.network.model

    @property
    def D(self) -> DiscriminatorNetwork:
        """Raises UserError where there is none."""
        if self.network.D is None:
            raise UserError("this metric needs the discriminator, which is not there; give a snapshot of a training")
        return self.network.D

    @property
    def seed(self) -> int:
        return self.options.seed

    @property
    def batch_size(self) -> int:
        return self.options.batch_size

    @property
    def device(self) -> torch.device:
        """Where networks compute."""
        return self.world.device if self.compares_folders else self.model.device

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
        is_hidden = self.options.hides_bars if self.world.is_first else True
        with tqdm(desc=what, total=total, unit="img", unit_scale=self.world.size, leave=False,
                  disable=is_hidden) as bar:  # fmt: skip
            for part in parts:
                yield part
                bar.update(len(part))

    # ---- real images

    def real_images(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor | None]:
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
        chosen = (np.random.default_rng([self.seed, i]).integers(len(self.dataset)) for i in numbers)
        return self._labels([int(number) for number in chosen])

    def layout_of(self, numbers: Sequence[int], seeds: Sequence[int]) -> Layout | None:
        """Layouts of generated pictures: those given, in turn, or drawn by seed. None for a model that takes none."""
        layout = self.network.layout
        if layout is None or not self.model.is_layout_conditioned:
            return self.model.layout(seeds)
        return layout[[i % len(layout) for i in numbers]].to(self.model.device)

    def generate(self, seeds: Sequence[int], labels: Tensor | None) -> Tensor:
        """Images [N, C, R, R] in about [-1, 1], with the truncation and the layout that were asked for."""
        layout = None if self.network.layout is None else self.layout_of(range(len(seeds)), seeds)
        psi, at_a_time = self.network.truncation_psi, self.batch_size
        return self.model.images(seeds, labels=labels, layout=layout, truncation_psi=psi, batch_size=at_a_time)

    def settings(self) -> dict[str, Any]:
        """What a result records of how pictures were made and computed."""
        layout = None if self.compares_folders else self.network.layout
        return {
            "seed": self.seed,
            "batch": self.batch_size,
            "procs": self.world.size,
            "device": self.device.type,
            "torch": torch.__version__,
            "trunc": 1.0 if self.compares_folders else self.network.truncation_psi,
            "layout_sha256": None if layout is None else _digest(layout_to_json(layout)),
            **self.record,
        }

    def _labels(self, indices: Sequence[int] | np.ndarray) -> Tensor | None:
        c_dim = self.model.config.generator.c_dim
        if c_dim == 0:
            return None
        found = self.dataset.label_dim
        if found != c_dim:
            raise UserError(
                f"{self.dataset.name}: labels have {counted(found, 'number')}, but the model was trained with {c_dim}; "
                "give the data it was trained on"
            )
        labels = np.stack([self.dataset.get_label(int(i)) for i in indices])
        return torch.from_numpy(labels).to(self.model.device)


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def network_context(
    model: Model,
    D: DiscriminatorNetwork | None,
    dataset: ImageDataset | ImageFiles,
    *,
    truncation_psi: float = 1.0,
    layout: Layout | None = None,
    world: World | None = None,
    extractors: Extractors | None = None,
    **options: Any,
) -> MetricContext:
    """A network against real images; `options` are those of MetricOptions."""
    measured = EvaluatedNetwork(model, D, truncation_psi, layout)
    return MetricContext(measured, dataset, MetricOptions(**options), world or current(), extractors or Extractors())
