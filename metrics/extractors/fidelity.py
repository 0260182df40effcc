"""Extractors of torch-fidelity: InceptionV3 as published with FID, and VGG16.

torch-fidelity is imported through `load_library`, because it imports torchvision, whose compiled operators do not
load beside every build of PyTorch. Nothing used here needs them.
"""

import importlib
import io
import re
import sys
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from metrics.extractors.base import Extractor
from metrics.extractors.weights import WeightFiles, fitting

RESIZE = "bilinear to {0}x{0} as in TensorFlow 1: corners at 0, no antialiasing"
_MISSING_OPERATOR = re.compile(r"operator torchvision::(\w+) does not exist")
_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []  # declarations last as long as the object they were made with


def load_library(name: str = "torch_fidelity") -> ModuleType:
    """Import a module of torch-fidelity or torchvision. Raises UserError when they are not installed."""
    try:
        return _import_declaring_operators(name)
    except ImportError as error:
        raise UserError(
            f"this metric needs torch-fidelity and torchvision ({error}); pip install 'steergan[metrics]', "
            "or measure with the random features of rfd50k_full and its like"
        ) from error


def _import_declaring_operators(name: str) -> ModuleType:
    """Import `name`; where torchvision stumbles over operators of its own that are missing, declare them for it."""
    for _ in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except RuntimeError as error:
            missing = _MISSING_OPERATOR.search(str(error))
            if missing is None or missing[1] not in _SCHEMAS:
                raise
            _forget_half_imported()
            _declare(missing[1])
    return importlib.import_module(name)


def _declare(operator: str) -> None:
    """Give an operator its signature, without anything that could compute it."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(operator + _SCHEMAS[operator])
    _declared.append(library)


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "torch_fidelity")]:
        del sys.modules[name]


def inception(weights: WeightFiles, outputs: tuple[str, ...] = ("2048", "logits_unbiased")) -> Extractor:
    """InceptionV3 of 2015-12-05: the 2048 pooled features, and logits without their bias (for the Inception Score)."""
    kind = load_library("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    state, digest = weights.load("inception")
    network = _build(kind, "inception-v3-compat", outputs, state)
    return Extractor("inception", network, outputs, digest, RESIZE.format(299))


def vgg16(weights: WeightFiles) -> Extractor:
    """VGG16: its 4096 features after the second fully connected layer."""
    outputs = ("fc2_relu",)
    kind = load_library("torch_fidelity.feature_extractor_vgg16").FeatureExtractorVGG16
    state, digest = weights.load("vgg16")
    network = _build(kind, "vgg16", outputs, state)
    return Extractor("vgg16", network, outputs, digest, RESIZE.format(224))


def _build(kind: type[nn.Module], name: str, outputs: tuple[str, ...], state: dict[str, Tensor]) -> nn.Module:
    """torch-fidelity reads its weights itself, unpickling whatever the file says: hand it a copy of our making."""
    copy = io.BytesIO()
    torch.save(state, copy)
    copy.seek(0)
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, although they are replaced
        return fitting(partial(kind, name, list(outputs), feature_extractor_weights_path=copy), name)
