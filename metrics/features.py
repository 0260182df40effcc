"""Features of generated and of real images: in batches, over several processes, without waiting for the device.

Work is cut into chunks of `batch_size` images, numbered through; rank r of n takes the chunks r, r + n, and so on.
A chunk's composition does not depend on the number of ranks, and so no bit of its features does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from metrics import statistics_cache
from metrics.context import MetricContext
from metrics.extractors import Extractor
from metrics.moments import FeatureStatistics, Moments, moments_of
from torch_utils.distributed import World
from training.layouts.layout import Layout
from training.sampling import SEED_LIMIT, to_uint8

IN_FLIGHT = 3  # batches on a GPU that are not waited for
IN_MEMORY = 100_000  # real images of which features are kept while a program runs
READERS = 4  # threads that decode images for a GPU
SUBSET_SEED = 0  # of which real images are taken where not all are

Features = dict[str, Tensor]


# ---- chunks and ranks


def chunks(count: int, size: int, world: World) -> list[range]:
    """This rank's share of the numbers below `count`, in chunks of `size` (the last one may be smaller)."""
    every = [range(start, min(start + size, count)) for start in range(0, count, size)]
    return every[world.rank :: world.size]


def in_order(rows: Tensor, count: int, size: int, world: World) -> Tensor:
    """Rows that each rank computed for its `chunks`, from all ranks, in the order of their numbers: [count, ...]."""
    ranks = (World(rank, world.size, world.device) for rank in range(world.size))
    numbers = [number for rank in ranks for chunk in chunks(count, size, rank) for number in chunk]
    gathered = world.gather_rows(rows)
    return gathered[torch.tensor(numbers, device=gathered.device).argsort()]


def image_seeds(seed: int, numbers: Sequence[int]) -> list[int]:
    """The seeds of generated images by their numbers: all different, and other ones for another `seed`."""
    start = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return [(start + number) % SEED_LIMIT for number in numbers]


# ---- generated images


class GeneratorInputs(NamedTuple):
    """What some pictures are made of, on the device."""

    seeds: list[int]
    z: Tensor
    layout: Layout | None
    labels: Tensor | None


def generated_images(context: MetricContext, parts: Iterable[Sequence[int]]) -> Iterator[Tensor]:
    """uint8 [N, C, R, R] of each of `parts`, numbers of images, on the device and perhaps still being computed.

    GeneratorInputs travel to a GPU on a stream of their own: a copy behind the networks' work would wait for its end.
    """
    copies = torch.cuda.Stream(context.device) if context.device.type == "cuda" else None
    for numbers in parts:
        with nullcontext() if copies is None else torch.cuda.stream(copies):
            mix = _generator_inputs(context, numbers)
        if copies is not None:
            torch.cuda.current_stream(context.device).wait_stream(copies)
            _used_here(mix)
        yield _make(context, mix)


def _generator_inputs(context: MetricContext, numbers: Sequence[int]) -> GeneratorInputs:
    seeds = image_seeds(context.seed, numbers)
    layout = context.layout_of(numbers, seeds)
    return GeneratorInputs(seeds, context.model.latents(seeds), layout, context.labels_of(numbers))


@torch.inference_mode()
def _make(context: MetricContext, mix: GeneratorInputs) -> Tensor:
    images = context.model.images(
        mix.seeds,
        z=mix.z,
        layout=mix.layout,
        labels=mix.labels,
        truncation_psi=context.network.truncation_psi,
        batch_size=len(mix.seeds),
    )
    return to_uint8(images)


def _used_here(mix: GeneratorInputs) -> None:
    """Keep the allocator from giving away, on the stream that copied, what the current stream still reads."""
    for tensor in (mix.z, mix.labels, *([] if mix.layout is None else mix.layout.tensors())):
        if tensor is not None:
            tensor.record_stream(torch.cuda.current_stream(tensor.device))


def generated_features(context: MetricContext, extractor: str, num: int | None) -> Features:
    """Features [num, F] of generated images (of all picture files for None), on every rank, on the CPU.

    Metrics with the same extractor share them. Raises UserError when there are not so many picture files.
    """
    if not context.compares_folders:
        if num is None:
            raise ValueError("a network makes any number of images; say how many")
        return context.shared((extractor, "generated", num), lambda: _generate_features(context, extractor, num))
    pictures = context.pictures
    if num is not None and num > len(pictures):
        raise UserError(
            f"{pictures.path} holds {counted(len(pictures), 'image')}, fewer than {num}; name a metric without number"
        )
    return context.shared(
        (extractor, "pictures", num), lambda: file_features(context, pictures, extractor, num, "pictures")
    )


def _generate_features(context: MetricContext, extractor: str, num: int) -> Features:
    mine = chunks(num, context.batch_size, context.world)
    images = generated_images(context, context.bar(mine, "generated"))
    return _collect(context, extractor, images, num)


def _collect(context: MetricContext, extractor: str, images: Iterable[Tensor | list[Tensor]], count: int) -> Features:
    """Features of this rank's chunks, put together with those of the others."""
    network = context.extractors.get(extractor, context.device)
    batches = list(features_of(images, network))
    if not batches:  # fewer chunks than ranks
        batches = [{output: torch.zeros(0, width) for output, width in _widths(network, context.device).items()}]
    rows = {output: torch.cat([batch[output] for batch in batches]) for output in network.outputs}
    device = context.world.device
    return {
        output: in_order(features.to(device), count, context.batch_size, context.world).cpu()
        for output, features in rows.items()
    }


def _widths(extractor: Extractor, device: torch.device) -> dict[str, int]:
    black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8, device=device)
    return {output: features.shape[1] for output, features in extractor(black).items()}


# ---- real images


def real_features(context: MetricContext, extractor: str, max_items: int | None) -> Features:
    """Features [N, F] of the real images, or of `max_items` of them chosen at random; kept on disk."""

    def compute() -> Features:
        return file_features(context, context.dataset, extractor, max_items, "real")

    return context.shared(
        (extractor, "real", max_items), lambda: _from_cache(context, extractor, "features", max_items, compute)
    )


def file_features(context: MetricContext, dataset, extractor: str, max_items: int | None, what: str) -> Features:
    """The same of any data set, without a look at the disk; `what` is the name of the progress bar."""
    indices = chosen(len(dataset), max_items)
    mine = chunks(len(indices), context.batch_size, context.world)
    images = image_batches(context, dataset, indices, context.bar(mine, what))
    return _collect(context, extractor, images, len(indices))


def real_moments(context: MetricContext, extractor: str, output: str, max_items: int | None) -> Moments:
    """Mean and covariance of the features of real images; on disk, they take less room than the features."""

    def compute() -> Features:
        count = len(chosen(len(context.dataset), max_items))
        total = _stream_moments(context, extractor, output, max_items) if count > IN_MEMORY else in_memory()
        return {"count": torch.tensor(total.count), "mean": total.mean, "covariance": total.covariance}

    def in_memory() -> Moments:
        """With features that other metrics may ask for later."""
        key = (extractor, "real", max_items)
        dataset = context.dataset
        features = context.shared(key, lambda: file_features(context, dataset, extractor, max_items, "real"))
        return moments_of(features[output])

    kept = _from_cache(context, extractor, f"moments-{output}", max_items, compute)
    return Moments(int(kept["count"]), kept["mean"], kept["covariance"])


def _stream_moments(context: MetricContext, extractor: str, output: str, max_items: int | None) -> Moments:
    """For so many images that their features would not fit in memory: summed up as they come."""
    network = context.extractors.get(extractor, context.device)
    indices = chosen(len(context.dataset), max_items)
    mine = chunks(len(indices), context.batch_size, context.world)
    statistics = FeatureStatistics()
    images = image_batches(context, context.dataset, indices, context.bar(mine, "real"))
    for features in features_of(images, network):
        statistics.add(features[output])
    width = statistics.width or _widths(network, context.device)[output]
    return statistics.over_ranks(context.world, width).moments()


def chosen(available: int, max_items: int | None) -> np.ndarray:
    """Which images are taken: all, or `max_items` at random, in order."""
    if max_items is None or max_items >= available:
        return np.arange(available)
    return np.sort(np.random.default_rng(SUBSET_SEED).permutation(available)[:max_items])


def image_batches(
    context: MetricContext, dataset, indices: np.ndarray, parts: Iterable[Sequence[int]]
) -> Iterator[Tensor | list[Tensor]]:
    """uint8 images of each of `parts`, positions in `indices`, on the device: a batch, or one by one if sizes differ.

    They are read ahead, while the device is busy.
    """

    def read(positions: Sequence[int]) -> list[np.ndarray]:
        return [dataset[int(indices[i])][0] for i in positions]

    for images in _ahead(read, parts, READERS if context.device.type == "cuda" else 1):
        yield _to_device(images, context.device)


def _ahead(read: Callable, parts: Iterable[Sequence[int]], threads: int) -> Iterator[list[np.ndarray]]:
    """Results of `read` for each of `parts`, in order; `threads` of them are being worked on."""
    waiting: deque = deque()
    with ThreadPoolExecutor(threads) as pool:
        for part in parts:
            waiting.append(pool.submit(read, part))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _to_device(images: list[np.ndarray], device: torch.device) -> Tensor | list[Tensor]:
    if len({image.shape for image in images}) > 1:
        return [_batch_to_device([image], device) for image in images]
    return _batch_to_device(images, device)


def _batch_to_device(images: list[np.ndarray], device: torch.device) -> Tensor:
    batch = torch.from_numpy(np.stack(images))
    return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch


def _from_cache(
    context: MetricContext, extractor: str, kind: str, max_items: int | None, compute: Callable[[], Features]
) -> Features:
    """What `compute` gives on all ranks together, or what an earlier run has kept of it."""
    if not context.options.use_cache:
        return compute()
    key = {
        "data": context.dataset.content_hash(),
        "mirror": context.dataset.mirror,
        "images": len(chosen(len(context.dataset), max_items)),
        "subset_seed": SUBSET_SEED,
        "kind": kind,
        "extractor": context.extractors.get(extractor, context.device).about,
    }
    name = f"{context.dataset.name}-{extractor}-{kind}"
    kept = context.on_first_rank(lambda: statistics_cache.load(name, key))
    if kept is None:
        kept = compute()
        context.on_first_rank(lambda: statistics_cache.save(name, key, kept))
    return kept


# ---- extraction


class _Launched(NamedTuple):
    """Features on their way to the CPU; they are there when the event has happened."""

    features: Features
    event: torch.cuda.Event | None

    def wait(self) -> Features:
        if self.event is not None:
            self.event.synchronize()
        return self.features


def features_of(batches: Iterable[Tensor | list[Tensor]], extractor: Extractor) -> Iterator[Features]:
    """Features {output: [N, F]} on the CPU of each batch of images, in order.

    On a GPU the extractor has a stream of its own, and IN_FLIGHT further batches are asked for and launched before a
    result is waited for: whatever makes the images is never held up by the extractor, nor by copies.
    """
    launched: deque[_Launched] = deque()
    stream = None
    for images in batches:
        device = images[0].device
        if device.type == "cuda" and stream is None:
            stream = torch.cuda.Stream(device)
        launched.append(_launch(images, extractor, stream))
        if len(launched) > (0 if stream is None else IN_FLIGHT):
            yield launched.popleft().wait()
    while launched:
        yield launched.popleft().wait()


def _launch(images: Tensor | list[Tensor], extractor: Extractor, stream: torch.cuda.Stream | None) -> _Launched:
    if stream is None:
        return _Launched(_extract(images, extractor), None)
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    with torch.cuda.stream(stream):
        features = {name: _to_pinned(value) for name, value in _extract(images, extractor).items()}
        for each in [images] if isinstance(images, Tensor) else images:
            each.record_stream(stream)
        event = torch.cuda.Event()
        event.record(stream)
    return _Launched(features, event)


def _extract(images: Tensor | list[Tensor], extractor: Extractor) -> Features:
    if isinstance(images, Tensor):
        return extractor(images)
    each = [extractor(image) for image in images]
    return {name: torch.cat([features[name] for features in each]) for name in extractor.outputs}


def _to_pinned(features: Tensor) -> Tensor:
    target = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
    return target.copy_(features, non_blocking=True)

