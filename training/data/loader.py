"""In which order training sees a data set: endless, shuffled, the same for any number of processes."""

import itertools
import logging
import signal
from collections.abc import Generator, Iterator
from contextlib import closing
from multiprocessing import active_children
from multiprocessing.connection import wait
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dnnlib.errors import UserError
from training.data.damage import Damage
from training.data.prefetch import Prefetcher

LAST_BREATH = 5  # seconds from a process's connections closing to its end
_KEPT_EPOCHS = 2  # a batch can lie across the border of two

logger = logging.getLogger("steergan")


class ImageSource(Protocol):
    """What ImageDataset is to this module."""

    damage: Damage

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


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
    dataset: ImageSource,
    order: SampleOrder,
    start: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    prefetch: int = 2,
    pin_memory: bool = False,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield this rank's share of batch after batch, forever: images uint8 [b, C, H, W], labels float32 [b, D].

    Step k covers positions start + k * batch_size ... of `order`; rank r gets the r-th of `world` equal
    parts, b = batch_size / world. What is yielded does not depend on `workers` (processes that prepare
    up to `prefetch` batches each; with 0 a thread of this process does), and no global random stream is touched.
    Damaged images that `dataset` passes over are counted in dataset.damage and logged, each once.
    Raises UserError when an image cannot be used, the data set has vanished or a worker has been killed, ValueError
    when `world` does not divide `batch_size`.
    """
    if batch_size % world:
        raise ValueError(f"batch_size {batch_size} does not divide among {world} processes")
    share = batch_size // world
    steps = (order.indices(start + k * batch_size + rank * share, share) for k in itertools.count())
    said: set[str] = set()
    with Prefetcher(_fetch(_Fetcher(dataset), steps, workers, prefetch, pin_memory), prefetch) as ready:
        for batch in ready:
            _report(batch.damaged, said)
            dataset.damage.add(batch.damaged)
            yield batch.images, batch.labels


class _Batch(NamedTuple):
    """A share of a batch, and which files were found damaged on the way to it: {name: what is wrong}."""

    images: Tensor
    labels: Tensor
    damaged: dict[str, str]


class _Fetcher(Dataset):
    """Collates whole batches. A UserError is handed over as a value: DataLoader would bury it in a traceback."""

    def __init__(self, dataset: ImageSource):
        self._dataset = dataset
        self._told: set[str] = set()

    def __getitems__(self, indices: np.ndarray) -> _Batch | UserError:
        try:
            images, labels = zip(*(self._dataset[int(i)] for i in indices), strict=True)
        except UserError as error:
            return error
        damaged = {name: why for name, why in self._dataset.damage.found.items() if name not in self._told}
        self._told.update(damaged)
        return _Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)), damaged)


def _fetch(
    fetcher: _Fetcher, steps: Iterator[np.ndarray], workers: int, prefetch: int, pin_memory: bool
) -> Iterator[_Batch]:
    source = _by_workers(fetcher, steps, workers, prefetch) if workers else _by_this_process(fetcher, steps)
    with closing(source) as fetched:  # an error must not keep workers alive
        for batch in fetched:
            if isinstance(batch, UserError):
                raise batch
            if pin_memory:
                batch = batch._replace(images=batch.images.pin_memory(), labels=batch.labels.pin_memory())
            yield batch


def _by_this_process(fetcher: _Fetcher, steps: Iterator[np.ndarray]) -> Generator[_Batch | UserError, None, None]:
    for indices in steps:
        yield fetcher.__getitems__(indices)


def _by_workers(
    fetcher: _Fetcher, steps: Iterator[np.ndarray], workers: int, prefetch: int
) -> Generator[_Batch | UserError, None, None]:
    """Batches made by other processes.

    To be run in a thread: in the main thread DataLoader would interrupt whatever goes on there when a worker dies.
    """
    loader = DataLoader(
        fetcher,
        batch_sampler=cast(Any, steps),  # PyTorch's stubs ask for lists
        num_workers=workers,
        prefetch_factor=prefetch,
        collate_fn=cast(Any, _as_it_is),  # and for a function of lists
        worker_init_fn=_leave_signals_to_parent,
        generator=torch.Generator(),  # else it draws a seed from the global stream
    )
    others = active_children()
    iterator = iter(loader)
    started = [process for process in active_children() if process not in others]
    try:
        yield from iterator
    except (RuntimeError, OSError, EOFError) as error:  # it may die while it hands over a batch
        ready = wait([process.sentinel for process in started], timeout=LAST_BREATH)
        dead = [process for process in started if process.sentinel in ready]
        if not dead:
            raise
        names = "; ".join(f"process {process.pid}" for process in dead)
        raise UserError(
            f"a process that reads images has died ({names}); mostly that is for want of memory or of "
            f"shared memory (/dev/shm): go on with fewer --workers than {workers}"
        ) from error
    finally:
        del iterator  # asks them to end, unless an error still holds it
        for process in started:
            process.kill()
            process.join()


def _leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C and a job's end reach all its processes; the images of the step that is to be finished are still needed.

    Workers end when their parent says so, or is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _as_it_is(fetched: _Batch | UserError) -> _Batch | UserError:
    return fetched


def _report(damaged: dict[str, str], said: set[str]) -> None:
    for name, why in damaged.items():
        if name not in said:
            logger.warning("%s; another image takes its place", why)
    said.update(damaged)
