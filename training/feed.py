"""Real images and labels on their way into the training."""

import os
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from training.config import RunConfig
from training.data.dataset import ImageDataset, SampleOrder, batches
from training.state import TrainingState

_KEPT_NUMBERS = 2**28  # of the labels of all images; where they are more, such as label maps, they are read when drawn


def open_dataset(config: RunConfig) -> ImageDataset:
    """The training images as the configuration names them.

    Raises UserError when they are not there, or not what the networks were made for.
    """
    data, wanted = config.data, config.generator
    if not os.path.exists(data.path):
        raise UserError(f"{data.path}: the training data is not there; say where it is now with --data")
    dataset = ImageDataset(
        data.path,
        resolution=wanted.img_resolution,
        use_labels=data.conditional,
        condition=data.condition,
        mirror=data.mirror,
        max_size=data.subset,
        seed=config.seed,
        cache=True,
        skip_damaged=True,
    )
    if dataset.num_channels != wanted.img_channels:
        channels = counted(dataset.num_channels, "channel")
        raise UserError(
            f"{data.path}: images of {channels}, but the networks are for {wanted.img_channels}; "
            "give the data that the run began with, or begin a new run"
        )
    if data.conditional and dataset.label_dim != wanted.c_dim:
        raise UserError(
            f"{data.path}: labels of {counted(dataset.label_dim, 'number')}, but the networks are for {wanted.c_dim}; "
            "give the data that the run began with, or begin a new run"
        )
    return dataset


def real_batches(config: RunConfig, dataset: ImageDataset, state: TrainingState) -> Iterator[tuple[Tensor, Tensor]]:
    """This rank's real images [n, C, R, R] in [-1, 1] and labels on the device, from where the state left off."""
    device = state.device
    order = SampleOrder(len(dataset), config.seed)
    source = batches(
        dataset,
        order,
        state.images,
        config.schedule.batch_size,
        rank=state.world.rank,
        world=state.world.size,
        workers=config.data.workers,
        pin_memory=device.type == "cuda",
    )
    for images, labels in source:
        images = images.to(device, torch.get_default_dtype(), non_blocking=True) / 127.5 - 1
        yield images, labels.to(device, non_blocking=True)


def label_drawer(dataset: ImageDataset, state: TrainingState) -> Callable[[int], Tensor]:
    """A function count -> labels [count, c_dim] for the generator: those of random real images."""
    device = state.device
    if dataset.label_dim == 0:
        return lambda count: torch.zeros([count, 0], device=device)

    def drawn(count: int) -> Tensor:
        return torch.randint(len(dataset), [count], generator=state.common["labels"], device=device)

    def rows(indices: Iterable[int]) -> Tensor:
        return torch.stack([torch.as_tensor(dataset.get_label(i)) for i in indices]).to(device)

    if len(dataset) * dataset.label_dim > _KEPT_NUMBERS:
        return lambda count: rows(drawn(count).tolist())
    labels = rows(range(len(dataset)))
    return lambda count: labels[drawn(count)]
