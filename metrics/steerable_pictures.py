"""What metrics of steering share: pictures of known layouts, made again with other ones, batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from metrics.context import MetricContext
from training.config import RunConfig
from training.layouts.layout import Layout
from training.sampling import Model


@dataclass(frozen=True)
class SteerablePictures:
    """N pictures: the seeds of their latents, labels [N, c_dim] or None, and their own layouts."""

    model: Model
    seeds: list[int]
    labels: Tensor | None
    layout: Layout

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, numbers: Sequence[int]) -> "SteerablePictures":
        """Some of them."""
        numbers = list(numbers)
        labels = None if self.labels is None else self.labels[numbers]
        return SteerablePictures(self.model, [self.seeds[n] for n in numbers], labels, self.layout[numbers])

    def images(self, layout: Layout | None = None) -> Tensor:
        """[N, C, R, R] in about [-1, 1], with other layouts than their own where given."""
        layout = self.layout if layout is None else layout
        return self.model.images(self.seeds, layout=layout, labels=self.labels, batch_size=len(self))


def draw_pictures(context: MetricContext, seeds: list[int], labels: Tensor | None) -> SteerablePictures:
    """With the random layouts of their seeds. The model is conditioned on layouts."""
    layout = context.model.layout(seeds)
    assert layout is not None
    return SteerablePictures(context.model, seeds, labels, layout)


def in_batches(context: MetricContext, count: int) -> Iterator[list[int]]:
    """The numbers below `count`, as many at a time as the context says, with a progress bar."""
    parts = torch.arange(count).split(context.batch_size)
    for part in tqdm(parts, desc="moves", unit="batch", leave=False, disable=context.options.hides_bars):
        yield part.tolist()


def no_heatmaps(config: RunConfig) -> str | None:
    """Why a metric of steering does not apply to such a model; None where it does."""
    if config.generator.encoding is None:
        return f"a model of method {config.method} has no heatmaps to move"
    return None
