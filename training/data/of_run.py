"""The real images of a run, found again from its configuration."""

from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.words import counted
from training.config import RunConfig
from training.data.dataset import ImageDataset


class NoImages(ImageDataset):
    """In the place of real images that are not there, for what looks at none."""

    def __init__(self, path: str):
        self.path, self.name, self.mirror = path, "none", False

    def __len__(self) -> int:
        return 0

    def content_hash(self) -> str:
        return "none"


def open_data_if_there(config: RunConfig, path: str | None, mirror: bool | None = None) -> ImageDataset:
    """As open_data; NoImages where those of the run are not there, unless they say which labels there are."""
    if path is None and not config.data.conditional and not Path(config.data.path).exists():
        return NoImages(config.data.path)
    return open_data(config, path, mirror)


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
        found = counted(dataset.num_channels, "channel")
        raise UserError(f"{dataset.path}: images of {found}, but the network makes {channels}")
    return dataset
