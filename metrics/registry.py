"""The metrics by name: what they may look at, what a result records, and where results are kept.

A metric is a function (context, num) -> {quantity: number}, registered with `@metric(name, ...)`; the first line of
its docstring is what --list shows.
"""

import json
import math
import os
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from training.config import RunConfig
from training.dataset import ImageDataset
from training.discriminator import Discriminator
from training.sampling import Model
from training.snapshot import snapshot_name

VERSION = 1  # of the results; raised when a metric's definition changes

Values = dict[str, float]
Refusal = Callable[[RunConfig], str | None]


@dataclass(frozen=True)
class MetricContext:
    """What a metric is computed from.

    num: draws or latents; None: as many as the metric takes by default. batch_size: pictures per pass; no value
    depends on it. progress: show a bar. detector, detector_weights: what finds objects (metrics/detectors/choice).
    record: for a metric to note what goes into its result beside the numbers. Contexts made by `with_num` share what
    metrics have computed already.
    """

    model: Model
    D: Discriminator
    dataset: ImageDataset
    seed: int = 0
    num: int | None = None
    batch_size: int = 64
    progress: bool = False
    detector: str = "auto"
    detector_weights: str | None = None
    record: dict[str, str] = field(default_factory=dict, compare=False)
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def with_num(self, num: int | None) -> "MetricContext":
        return replace(self, num=num)

    def shared(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The value of `compute()`, made once for all metrics that ask for `key`."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def real_images(self, indices: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Images [N, C, R, R] in [-1, 1] of the data set and labels [N, c_dim] or None, on the model's device."""
        images = np.stack([self.dataset[int(i)][0] for i in indices])
        return torch.from_numpy(images).to(self.model.device).float() / 127.5 - 1, self._labels(indices)

    def random_labels(self, count: int, rng: np.random.Generator) -> Tensor | None:
        """Labels [count, c_dim] as frequent as in the data set; None for a model without labels."""
        if self.model.config.generator.c_dim == 0:
            return None
        return self._labels(rng.integers(len(self.dataset), size=count))

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


@dataclass(frozen=True)
class Metric:
    """A registered metric; it takes `num` of `unit` ("draws") unless told otherwise."""

    name: str
    compute: Callable[[MetricContext, int], Values]
    num: int
    unit: str
    refuse: Refusal

    @property
    def description(self) -> str:
        """One line."""
        return (self.compute.__doc__ or "").strip().splitlines()[0]


_METRICS: dict[str, Metric] = {}


def metric(name: str, *, num: int, unit: str, refuse: Refusal = lambda config: None) -> Callable:
    """Register a function (context, num) -> {quantity: number}.

    `refuse(config)` says why the metric does not apply to such a model, or None when it does.
    """

    def register(compute: Callable[[MetricContext, int], Values]) -> Callable[[MetricContext, int], Values]:
        _METRICS[name] = Metric(name, compute, num, unit, refuse)
        return compute

    return register


def known() -> dict[str, str]:
    """{name: one-line description} of every metric, in alphabetical order."""
    return {name: _METRICS[name].description for name in sorted(_METRICS)}


def check(names: Sequence[str], config: RunConfig | None = None) -> None:
    """Raises UserError when a name is unknown or, given `config`, when a metric does not apply to such a model."""
    for name in names:
        found = _find(name)
        reason = None if config is None else found.refuse(config)
        if reason is not None:
            raise UserError(f"metric '{name}' does not apply: {reason}; leave it out of --metrics")


def evaluate(name: str, context: MetricContext) -> dict[str, Any]:
    """Compute a metric: {"metric", "results": {quantity: number}, ...}, with what it takes to repeat it.

    Raises UserError when there is no such metric, or it does not apply to this model or data set.
    """
    config = context.model.config
    check([name], config)
    found = _find(name)
    num = found.num if context.num is None else context.num
    context.record.clear()
    start = time.perf_counter()
    values = found.compute(context, num)
    return {
        "metric": name,
        "results": values,
        f"num_{found.unit}": num,
        "seed": context.seed,
        "kimg": context.model.kimg,
        "snapshot": snapshot_name(context.model.kimg),
        "data": context.dataset.name,
        "data_hash": context.dataset.content_hash(),
        "data_images": len(context.dataset),
        "mirror": context.dataset.mirror,
        "layout_prior": _layout_prior(config),
        **context.record,
        "seconds": round(time.perf_counter() - start, 3),
        "version": VERSION,
    }


def append_result(run_dir: str | Path, result: dict[str, Any]) -> Path:
    """Add `result` as one line to metric-NAME.jsonl in `run_dir`, durably; lines of several processes never mix.

    Raises UserError when the file cannot be written.
    """
    path = Path(run_dir) / f"metric-{result['metric']}.jsonl"
    line = (to_json(result) + "\n").encode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make it writable or use --no-save") from error
    return path


def to_json(result: dict[str, Any]) -> str:
    """One line of strict JSON: a number that could not be measured becomes null."""
    values = {key: value if math.isfinite(value) else None for key, value in result["results"].items()}
    return json.dumps(result | {"results": values}, allow_nan=False)


def _find(name: str) -> Metric:
    if name not in _METRICS:
        raise UserError(f"unknown metric '{name}'{nearest(name, _METRICS)}")
    return _METRICS[name]


def _layout_prior(config: RunConfig) -> dict[str, Any] | None:
    encoding = config.generator.encoding
    return None if encoding is None else config.sampler.model_dump(mode="json") | {"counts": list(encoding.counts)}
