"""In which order training sees a data set: endless, shuffled, the same for any number of processes."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from dnnlib.errors import UserError

_KEPT_EPOCHS = 2  # a batch can lie across the border of two

Batch = tuple[torch.Tensor, torch.Tensor]


class SampleOrder:
    """An endless sequence of indices below `size`: one permutation after the other, each known from its number.

    Position p belongs to epoch p // size, so a run continues anywhere without going through what came before.
    """

    def __init__(self, size: int, seed: int):
        self.size = size
        self.seed = seed
        self._permutations: dict[int, np.ndarray] = {}

    def indices(self, start: int, count: int) -> np.ndarray:
        """Entries start ... start + count - 1 of the sequence, int64 [count]."""
        positions = np.arange(start, start + count, dtype=np.int64)
        epochs = positions // self.size
        chosen = np.empty(count, dtype=np.int64)
        for epoch in np.unique(epochs):
            inside = epochs == epoch
            chosen[inside] = self._permutation(int(epoch))[positions[inside] % self.size]
        return chosen

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._permutations:
            rng = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._permutations[epoch] = rng.permutation(self.size)
            for old in list(self._permutations)[:-_KEPT_EPOCHS]:
                del self._permutations[old]
        return self._permutations[epoch]


def batches(
    dataset: Dataset,
    order: SampleOrder,
    start: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    prefetch: int = 2,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Yield this rank's share of batch after batch, forever: images uint8 [b, C, H, W], labels float32 [b, D].

    Step k covers positions start + k * batch_size ... of `order`; rank r gets the r-th of `world` equal
    parts, b = batch_size / world. What is yielded does not depend on `workers` (processes that prepare
    up to `prefetch` batches each), and no global random stream is touched.
    Raises UserError when an image cannot be used, ValueError when `world` does not divide `batch_size`.
    """
    if batch_size % world:
        raise ValueError(f"batch_size {batch_size} does not divide among {world} processes")
    share = batch_size // world
    steps = (order.indices(start + k * batch_size + rank * share, share) for k in itertools.count())
    fetcher = _Fetcher(dataset)
    fetched = _loader(fetcher, steps, workers, prefetch) if workers else map(fetcher.__getitems__, steps)
    for images, labels in map(_checked, fetched):
        yield (images.pin_memory(), labels.pin_memory()) if pin_memory else (images, labels)


class _Fetcher(Dataset):
    """Collates whole batches. A UserError is handed over as a value: DataLoader would bury it in a traceback."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset

    def __getitems__(self, indices: np.ndarray) -> Batch | UserError:
        try:
            images, labels = zip(*(self._dataset[int(i)] for i in indices), strict=True)
        except UserError as error:
            return error
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def _loader(fetcher: _Fetcher, steps: Iterator[np.ndarray], workers: int, prefetch: int) -> DataLoader:
    return DataLoader(
        fetcher,
        batch_sampler=steps,
        num_workers=workers,
        prefetch_factor=prefetch,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # else it draws a seed from the global stream
    )


def _as_it_is(fetched: Batch | UserError) -> Batch | UserError:
    return fetched


def _checked(fetched: Batch | UserError) -> Batch:
    if isinstance(fetched, UserError):
        raise fetched
    return fetched
