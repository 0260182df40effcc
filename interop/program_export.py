"""A generator as a program of torch.export (.pt2): loads with torch alone, `torch.export.load(file).module()(*inputs)`.

Inputs and outputs are those of interop/onnx_export.py, in that order; the number of pictures is free.
"""

import io
import json
from pathlib import Path

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import write_bytes
from interop.exportable import DEFAULT, Exportable, ExportOptions, about, eager_images, example_inputs
from interop.exported import NOTE
from training.sampling import Model

TOLERANCE = 1e-3  # of images in about [-1, 1]
CHECKED = (1, 3, 2)  # batch sizes that a program is tried with when it is made
LARGEST_BATCH = 4096


def traced(exportable: Exportable, model: Model) -> torch.export.ExportedProgram:
    """The program of a model, for any number of pictures up to 4096."""
    inputs = tuple(example_inputs(exportable, model, 2).values())
    exportable(*inputs)  # small constants are made now, not while it is traced
    return torch.export.export(exportable, inputs, dynamic_shapes=(batch_shapes(exportable),))


def batch_shapes(exportable: Exportable) -> tuple[dict[int, torch.export.Dim], ...]:
    """Which sizes of the inputs are free: the first of each, but of psi."""
    batch = torch.export.Dim("N", min=1, max=LARGEST_BATCH)
    return tuple({0: batch} if name != "psi" else {} for name in exportable.input_names)


def export_program(model: Model, dest: str | Path, options: ExportOptions = DEFAULT) -> float:
    """Write `dest`, checked against eager output; returns the largest difference of the images.

    Raises UserError, and leaves no file, when a picture differs by more than 1e-3.
    """
    exportable = Exportable(model, options)
    program = traced(exportable, model)
    written = io.BytesIO()
    torch.export.save(program, written, extra_files={NOTE: json.dumps(about(exportable, model))})
    worst = check(torch.export.load(io.BytesIO(written.getvalue())), exportable, model, dest)
    write_bytes(dest, written.getvalue())
    return worst


def check(program: torch.export.ExportedProgram, exportable: Exportable, model: Model, dest: str | Path) -> float:
    """The largest difference between a program's images and the model's. Raises UserError when it is too large."""
    module, worst = program.module(), 0.0
    for count in CHECKED:
        given = example_inputs(exportable, model, count, seed=100)
        worst = max(worst, _difference(module(*given.values())[0], eager_images(model, exportable, given)))
    if not worst <= TOLERANCE:
        raise UserError(f"{dest}: not written, its pictures would differ by {worst:.3g} from the model's")
    return worst


def _difference(image: Tensor, expected: Tensor) -> float:
    return (image - expected).abs().max().item()
