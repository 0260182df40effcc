"""A trained generator as an ONNX file (opset 18, float32): centres and latents in, image and heatmaps out.

The heatmaps are made inside the graph. N, the number of pictures, is free; all else has fixed sizes. Every input is
float32 and has to be given. n_k: the number of centres of level k; with one level (scenes of several objects) k is 0.

| input | shape | what, and its range |
| --- | --- | --- |
| `z` | [N, z_dim], or [N, n_0 + 1, z_dim] for scenes of several objects (background last) | standard normal numbers |
| `c` | [N, c_dim] | label, one-hot; only there where the model was trained with labels |
| `psi` | [1] | truncation, 1 is off, 0 the mean; only there where the model keeps a mean style |
| `centers_k` | [N, n_k, 2] | (x, y) in [-1, 1], x to the right, y down; levels 1 and 2 may leave the image, to +-3 |
| `spreads_k` | [N, n_k] | positive, about 0.05 to 1; twice the variance of the Gaussian |
| `strengths_k` | [N, n_k] | in [0, 1], which the heatmaps are multiplied by; 1 is normal, 0 removes |

| output | shape | what |
| --- | --- | --- |
| `image` | [N, img_channels, R, R] | about [-1, 1]; pixels are clamp(127.5 x + 128, 0, 255), rounded down |
| `ws` | [N, num_ws, w_dim], or [N, num_ws, n_0 + 1, w_dim] | final styles, after truncation |
| `heatmap_k` | [N, n_k, R, R] | in [0, 1.01], strengths applied |

With latent="ws" the input `ws` (as the output above) takes the place of z, c and psi, and is no output. A model that
takes no layout has neither centres, spreads and strengths nor heatmaps. The order is that of these tables, level after
level: z, c, psi, centers_0, spreads_0, strengths_0, centers_1 ... image, ws, heatmap_0, ...

The file's metadata has "steergan": a JSON object with "version" (1), "counts" (n_k of each level), "img_resolution",
"img_channels", "c_dim", "z_dim", "num_ws", "w_dim", "registration" (what -1 and 1 are: "cells" the image's borders,
"corners" the middles of its border pixels), "latent", "noise_mode", "sampler" ({"kind", "spread"}, how random
layouts were drawn in training), "kimg", "method" and "inputs" (their shapes; "N" is free).

Which operators: convolutions with constant filters; enlarging is ConvTranspose and a grouped Conv, or Conv and
DepthToSpace; the rest are MatMul, Gemm, element-wise ones, reductions and (encoding mode "fine") Resize. onnxruntime
and onnxruntime-web run them all.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import atomic_path
from interop.exportable import Exportable, ExportOptions, FixedNoise, Latent, about, eager_images, example_inputs
from interop.optional import needed
from interop.program_export import CHECKED, TOLERANCE, batch_shapes
from training.sampling import Model

OPSET = 18


def export_onnx(
    model: Model,
    dest: str | Path,
    *,
    latent: Latent = "z",
    noise_mode: FixedNoise = "const",
    truncation_cutoff: int | None = None,
) -> float:
    """Write `dest`, checked against eager output by onnxruntime; returns the largest difference of the images.

    Raises UserError, and leaves no file, when onnx, onnxscript or onnxruntime are missing, when the network has layers
    that cannot be exported, or when a picture differs by more than 1e-3.
    """
    exportable = Exportable(model, ExportOptions(latent, noise_mode, truncation_cutoff))
    needed("onnx", "onnxscript", "onnxruntime", extra="export")
    with atomic_path(dest) as temporary:
        write_graph(exportable, model, temporary)
        worst = max(difference(temporary, exportable, model, count) for count in CHECKED)
        if not worst <= TOLERANCE:
            raise UserError(f"{dest}: not written, its pictures would differ by {worst:.3g} from the model's")
    return worst


def write_graph(exportable: Exportable, model: Model, path: Path) -> None:
    """Trace and write, unchecked."""
    inputs = tuple(example_inputs(exportable, model, 2).values())
    exportable(*inputs)  # small constants are made now, not while it is traced
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            exportable,
            inputs,
            dynamo=True,
            dynamic_shapes=(batch_shapes(exportable),),
            input_names=exportable.input_names,
            output_names=exportable.output_names,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None  # it is made by dynamo
    _write(program.model_proto, exportable, model, path)


def difference(path: Path, exportable: Exportable, model: Model, count: int, seed: int = 100) -> float:
    """The largest difference between the images of an ONNX file and of the model, for `count` latents and layouts."""
    given = example_inputs(exportable, model, count, seed)
    image = run_onnx(path, given, ["image"])[0]
    return (image - eager_images(model, exportable, given)).abs().max().item()


def run_onnx(path: str | Path, given: dict[str, Tensor], outputs: list[str] | None = None) -> list[Tensor]:
    """The outputs of an ONNX file, computed by onnxruntime on the CPU."""
    onnxruntime = needed("onnxruntime", extra="export")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    made = session.run(outputs, {name: value.numpy() for name, value in given.items()})
    return [torch.from_numpy(value) for value in made]


def _write(proto: Any, exportable: Exportable, model: Model, path: Path) -> None:
    import onnx

    proto.producer_name, proto.doc_string = "SteerGAN", "inputs and outputs: docs/export.md"
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {"steergan": json.dumps(about(exportable, model))})
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())
