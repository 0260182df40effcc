"""Which detector is taken for which data."""

from types import SimpleNamespace

import pytest
import torch

from dnnlib.errors import UserError
from metrics.detectors.choice import make_detector

CPU = torch.device("cpu")


def data(*objects):
    """A data set whose scenes have these numbers of objects."""
    return SimpleNamespace(scenes={f"{n}.png": {"objects": [{}] * count} for n, count in enumerate(objects)})


@pytest.mark.parametrize("name, dataset, chosen", [
    ("auto", data(1, 1), "color, one object"),
    ("auto", data(1, 3), "color"),
    ("color", data(1, 1), "color, one object"),
    ("color", data(), "color"),
])
def test_known_scenes_are_read_by_colour(name, dataset, chosen):
    assert make_detector(name, None, dataset, CPU).name == chosen


@pytest.mark.parametrize("name, dataset", [("auto", data()), ("mask-rcnn", data(1))])
def test_photographs_need_weights(tmp_path, name, dataset):
    with pytest.raises(UserError, match="no weights for Mask R-CNN"):
        make_detector(name, str(tmp_path / "absent"), dataset, CPU)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="unknown detector 'yolo'; use auto, color, mask-rcnn"):
        make_detector("yolo", None, data(), CPU)
