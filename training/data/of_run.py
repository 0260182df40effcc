"""The real images of a run, found again from its configuration."""

from pathlib import Path

from dnnlib.errors import UserError
from training.config import RunConfig
from training.data.dataset import ImageDataset


def open_data(config: RunConfig, path: str | None, mirror: bool | None = None) -> ImageDataset:
    """The real images: those at `path`, else those of the run. `mirror`: flipped as well; None: as in training.

    Raises UserError when they are not there, or of another size or number of channels than the network's.
    """
    recorded, channels = config.data, config.generator.img_channels
    if path is None and not Path(recorded.path).exists():
        raise UserError(f"{recorded.path}: the training data is no longer there; say where it is with --data")
    dataset = ImageDataset(
        recorded.path if path is None else path,
        resolution=config.generator.img_resolution,
        use_labels=recorded.conditional,
        condition=recorded.condition,
        mirror=recorded.mirror if mirror is None else mirror,
        max_size=recorded.subset if path is None else None,
        seed=config.seed,
    )
    if dataset.num_channels != channels:
        raise UserError(f"{dataset.path}: images of {dataset.num_channels} channels, but the network makes {channels}")
    return dataset
