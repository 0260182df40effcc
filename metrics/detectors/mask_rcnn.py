"""Objects found by torchvision's Mask R-CNN (He et al. 2017), as in SpatialGAN's table I: for photographs."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from metrics.detectors.instances import Instances
from metrics.extractors.weights import read_tensors

SURE = 0.5  # least score of an object, and least value of its mask's pixels
WEIGHTS = "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"  # torchvision's file, trained on COCO
CLASSES = 91
LEVEL = "0"  # of the feature pyramid: a quarter of the picture's side


class MaskRCNN:
    """`network`: torchvision's, or anything with its call, its `backbone` and its `transform`'s mean and std."""

    name = "mask-rcnn"

    def __init__(self, network: nn.Module):
        self.network = network.eval()

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> list[Instances]:
        rgb = (images.clamp(-1, 1) + 1) / 2
        rgb = rgb.expand(-1, 3, -1, -1)
        found = self.network(list(rgb))
        maps = self._features(rgb)
        return [_sure_ones(one, features) for one, features in zip(found, maps, strict=True)]

    def _features(self, rgb: Tensor) -> Tensor:
        """Features [N, d, h, w] by which objects are recognised: the pyramid's finest level, at the picture's size."""
        network: Any = self.network  # what torchvision promises of it has no types
        transform = network.transform
        mean, std = (rgb.new_tensor(values)[:, None, None] for values in (transform.image_mean, transform.image_std))
        return network.backbone((rgb - mean) / std)[LEVEL]


def _sure_ones(found: dict[str, Tensor], features: Tensor) -> Instances:
    """Objects from torchvision's "scores" [n], falling, and "masks" [n, 1, H, W]; `features` [d, h, w]."""
    masks = found["masks"][found["scores"] >= SURE][:, 0] >= SURE
    masks = masks[masks.flatten(1).any(1)]
    weights = nn.functional.interpolate(masks[:, None].float(), features.shape[1:], mode="area")
    total = weights.sum((2, 3)).clamp_min(1e-6)
    return Instances(masks, (weights * features).sum((2, 3)) / total)


def load_mask_rcnn(weights: str | Path | None, device: torch.device) -> MaskRCNN:
    """torchvision's maskrcnn_resnet50_fpn with weights from a file, or from torchvision's cache.

    Raises UserError when torchvision does not work here, or there are no such weights; nothing is downloaded.
    """
    path = _weights_file(weights)
    network = _torchvision_network()
    try:
        network.load_state_dict(read_tensors(path))
    except Exception as error:  # of many kinds: unpickling, a zip, a missing or misshapen tensor
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no weights of torchvision's maskrcnn_resnet50_fpn ({reason})") from error
    return MaskRCNN(network.to(device))


def _weights_file(weights: str | Path | None) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS if weights is None else Path(weights)
    if not path.is_file():
        raise UserError(
            f"{path}: no weights for Mask R-CNN there; give torchvision's {WEIGHTS} with --detector-weights, "
            "or use --detector=color for toy and composed scenes"
        )
    return path


def _torchvision_network() -> nn.Module:
    try:
        from torchvision.models.detection import maskrcnn_resnet50_fpn
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"Mask R-CNN needs a torchvision made for this PyTorch ({reason})") from error
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, although they are replaced
        return maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES)
