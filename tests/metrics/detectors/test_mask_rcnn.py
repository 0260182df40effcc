"""Mask R-CNN behind a stand-in for torchvision's network, and what is said where it cannot be loaded."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dnnlib.errors import UserError
from metrics.detectors.instances import match
from metrics.detectors.mask_rcnn import WEIGHTS, MaskRCNN, load_mask_rcnn

pytestmark = pytest.mark.numeric

SIDE = 32
CPU = torch.device("cpu")


class StandIn(nn.Module):
    """Finds what is red, what is green, and, with a low score, the whole picture; masks are soft at the border."""

    def __init__(self):
        super().__init__()
        self.transform = SimpleNamespace(image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.25, 0.25])

    def forward(self, images):
        assert all(image.shape == (3, SIDE, SIDE) and image.min() >= 0 and image.max() <= 1 for image in images)
        return [self._found(image) for image in images]

    def _found(self, image):
        soft = [(image[channel] - 0.1) for channel in (0, 1)]
        masks = torch.stack([*soft, torch.ones(SIDE, SIDE)])[:, None]
        return {"scores": torch.tensor([0.9, 0.8, 0.3]), "masks": masks}

    def backbone(self, batch):
        assert batch.min() == pytest.approx(-2)
        return {"0": nn.functional.avg_pool2d(batch, 4), "pool": None}


def picture(red, green):
    """[3, SIDE, SIDE] in [-1, 1]: black, with squares of 8x8 at these corners (x, y); None: no such square."""
    image = torch.full((3, SIDE, SIDE), -1.0)
    for channel, corner in ((0, red), (1, green)):
        if corner is not None:
            x, y = corner
            image[channel, y : y + 8, x : x + 8] = 1
    return image


def test_sure_objects_are_kept_and_recognised_by_their_features():
    before, after = MaskRCNN(StandIn())(torch.stack([picture((0, 0), (16, 16)), picture((20, 4), (8, 24))]))
    assert before.masks.shape == (2, SIDE, SIDE)
    assert before.masks.dtype == torch.bool
    assert before.masks[0].nonzero().amin(0).tolist() == [0, 0]
    assert before.masks.sum((1, 2)).tolist() == [64, 64]
    assert [match(one, after.features) for one in before.features] == [0, 1]
    torch.testing.assert_close(before.features[0], torch.tensor([2.0, -2.0, -2.0]))


def test_an_empty_mask_is_no_object():
    nothing, one = MaskRCNN(StandIn())(torch.stack([picture(None, None), picture(None, (4, 4))]))
    assert nothing.masks.shape == (0, SIDE, SIDE)
    assert nothing.features.shape == (0, 3)
    assert len(one.masks) == 1


def test_grey_pictures_are_taken():
    (found,) = MaskRCNN(StandIn())(picture((8, 8), None)[:1][None])
    assert len(found.masks) == 2  # white is red and green


def test_absent_weights_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"nowhere.pth: no weights for Mask R-CNN there; give torchvision's maskrcnn"):
        load_mask_rcnn(tmp_path / "nowhere.pth", CPU)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=rf"checkpoints/{WEIGHTS}: no weights.*--detector-weights"):
        load_mask_rcnn(None, CPU)


def test_a_torchvision_that_does_not_work_is_named(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    with pytest.raises(UserError, match="Mask R-CNN needs a torchvision made for this PyTorch"):
        load_mask_rcnn(tmp_path / "w.pth", CPU)


def use_stand_in(monkeypatch, make):
    module = SimpleNamespace(maskrcnn_resnet50_fpn=make)
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", module)


def test_weights_are_loaded_from_a_file(tmp_path, monkeypatch):
    def make(weights, weights_backbone, num_classes):
        assert (weights, weights_backbone, num_classes) == (None, None, 91)
        return nn.Linear(2, 1)

    use_stand_in(monkeypatch, make)
    path = tmp_path / "w.pth"
    torch.save({"weight": torch.tensor([[3.0, 4.0]]), "bias": torch.zeros(1)}, path)
    state, detector = torch.get_rng_state(), load_mask_rcnn(path, CPU)
    assert detector.network.weight.tolist() == [[3.0, 4.0]]
    assert not detector.network.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("content", [b"", b"no weights at all", None])
def test_other_files_are_refused_in_one_line(tmp_path, monkeypatch, content):
    use_stand_in(monkeypatch, lambda **given: nn.Linear(2, 1))
    path = tmp_path / "w.pth"
    if content is None:
        torch.save({"other": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"w.pth: no weights of torchvision's maskrcnn_resnet50_fpn") as refused:
        load_mask_rcnn(path, CPU)
    assert "\n" not in str(refused.value)
