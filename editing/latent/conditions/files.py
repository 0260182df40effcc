"""Classifiers from files: TorchScript archives and ONNX graphs, pictures [N, C, R, R] in [-1, 1] to numbers [N, K].

A TorchScript archive is a program: loading and calling it computes whatever its maker wrote (in TorchScript's language,
which has no imports and no pickled Python objects), so load those only whose maker you trust. Pickles are refused. An
ONNX graph has fixed operators; it has no gradients here.
"""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.parsing import shown
from dnnlib.words import counted
from interop.optional import needed

SCRIPTS = (".pt", ".pth", ".ts", ".torchscript")
MOST = 4096  # numbers of a condition


class FileCondition:
    """What a file computes; a picture of the model is tried first, to see how many numbers there are."""

    def __init__(self, path: str, compute: Callable[[Tensor], Any], example: Tensor):
        """example: pictures [1, C, R, R]. Raises UserError when the file cannot take them, or gives no numbers."""
        self.path, self._compute = path, compute
        count = self(example).shape[1]
        stem = Path(path).stem
        self.names = (stem,) if count == 1 else tuple(f"{stem}{number}" for number in range(count))

    def __call__(self, images: Tensor) -> Tensor:
        try:
            found = self._compute(images)
        except (RuntimeError, ValueError, torch.jit.Error) as error:
            raise UserError(f"{self.path}: cannot take pictures {list(images.shape)} ({_reason(error)})") from error
        if not isinstance(found, Tensor) or found.ndim not in (1, 2) or len(found) != len(images):
            shape = list(found.shape) if isinstance(found, Tensor) else _kind(found)
            pictures = counted(len(images), "picture")
            raise UserError(f"{self.path}: gives {shape} for {pictures}, not a row of numbers for each")
        found = (found[:, None] if found.ndim == 1 else found).float()
        if not 1 <= found.shape[1] <= MOST:
            raise UserError(f"{self.path}: gives {found.shape[1]} numbers for a picture; 1 to {MOST} make a condition")
        return found


def classifier(path: str, example: Tensor) -> FileCondition:
    """A TorchScript or ONNX file by its ending; `example`: pictures [1, C, R, R] of the model, on its device.

    Raises UserError when it is none, or does not fit.
    """
    ending = Path(path).suffix.lower()
    if ending not in (*SCRIPTS, ".onnx"):
        known = ", ".join((*SCRIPTS, ".onnx"))
        raise UserError(f"--condition {shown(path)}: neither scene:KIND, points:KIND, clip: nor a file of {known}")
    if not Path(path).is_file():
        raise UserError(f"--condition {shown(path, REASON)}: no such file")
    if ending == ".onnx":
        return FileCondition(path, _onnx(path), example)
    return FileCondition(path, load_script(path, example.device), example)


def load_script(path: str, device: torch.device) -> torch.jit.ScriptModule:
    """A TorchScript archive, ready to be used. Raises UserError when the file is something else.

    What torch.save writes is a zip archive, too, but with pickled objects of any kind: it is told by the code it lacks.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path}: no TorchScript archive ({_reason(error)}); make one with torch.jit.save") from error
    if not any(name.endswith("/constants.pkl") for name in names) or not any("/code/" in name for name in names):
        raise UserError(f"{path}: no TorchScript archive, but perhaps pickled weights, which are not loaded here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = torch.jit.load(path, map_location=device)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{path}: no readable TorchScript archive ({_reason(error)})") from error
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.eval()


def _onnx(path: str) -> Callable[[Tensor], Tensor]:
    """The first output of a graph with one input."""
    runtime = needed("onnxruntime", extra="export")
    try:
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each kind of damage
        raise UserError(f"{path}: no readable ONNX file ({_reason(error)})") from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UserError(f"{path}: takes {len(inputs)} inputs; a condition takes pictures alone")
    at_a_time = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else None

    def run(images: Tensor) -> Any:
        parts = images.detach().cpu().float().split(at_a_time or max(1, len(images)))
        try:
            found = [session.run(None, {inputs[0].name: part.numpy()})[0] for part in parts]
        except Exception as error:  # as above
            raise ValueError(_reason(error)) from error
        if not all(isinstance(part, np.ndarray) and part.dtype.kind in "fiub" for part in found):
            return found[0]  # names of classes, or a list of dictionaries
        return torch.cat([torch.as_tensor(part) for part in found]).to(images.device)

    return run


def _kind(found: Any) -> str:
    """Of what is no tensor, in a word or two."""
    return f"an array of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__


def _reason(error: BaseException) -> str:
    return in_one_line(error, REASON)
