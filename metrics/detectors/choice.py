"""Which detector suits a data set."""

from collections.abc import Mapping
from typing import Literal, get_args

import torch

from dnnlib.errors import UserError
from metrics.detectors.by_color import ColorDetector
from metrics.detectors.instances import Detector
from metrics.detectors.mask_rcnn import load_mask_rcnn
from metrics.image_files import ImageFiles
from training.data.dataset import ImageDataset

DetectorName = Literal["auto", "color", "mask-rcnn"]


def make_detector(
    name: DetectorName, weights: str | None, dataset: ImageDataset | ImageFiles, device: torch.device
) -> Detector:
    """"auto": by colour where the data set's scenes are known (dataset_tool.py toy, compose), else Mask R-CNN.

    By colour, a scene is taken for one object when none of the data set's scenes has more; without known scenes, for
    several. Raises UserError for any other name, and when Mask R-CNN cannot be loaded.
    """
    if name not in get_args(DetectorName):
        raise UserError(f"unknown detector '{name}'; use {', '.join(get_args(DetectorName))}")
    scenes = getattr(dataset, "scenes", {})
    if name == "mask-rcnn" or (name == "auto" and not scenes):
        return load_mask_rcnn(weights, device)
    return ColorDetector(one_object=max(_objects_in_scenes(scenes), default=2) <= 1)


def _objects_in_scenes(scenes: Mapping[str, dict]) -> list[int]:
    return [len(scene.get("objects", ())) for scene in scenes.values()]
