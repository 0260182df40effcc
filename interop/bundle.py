"""A folder that others load with torch and safetensors alone, without this project and without pickles.

weights.safetensors has the numbers, generator.py one function of them: the operators of the traced program, one a line,
which can be read and needs nothing but torch. config.json says what goes in and comes out. LOADER is what we print.
"""

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import torch

from dnnlib.errors import UserError
from dnnlib.files import atomic_folder, make_dir, write_json, write_text
from interop.exportable import DEFAULT, Exportable, ExportOptions, about
from interop.exported import CONFIG, LOAD, PROGRAM, WEIGHTS
from interop.program_export import check, traced
from torch_utils.tensor_files import write_tensors
from training.sampling import Model

_HEAD = '''"""The generator of {name}: images of latents and layouts. Written by SteerGAN; needs torch alone.

generate(weights, **inputs) -> dictionary of outputs. Inputs, float32, N pictures at a time:

{inputs}

Outputs: {outputs}.
"""

import torch
from torch import device, inf, nan  # noqa: F401

INPUTS = {input_names}
OUTPUTS = {output_names}
WEIGHTS = {weight_names}


def generate(weights, **inputs):
    """weights: {{name: tensor}} of weights.safetensors; inputs by name -> {{output: tensor}}."""
    values = [weights[name] for name in WEIGHTS] + [inputs[name] for name in INPUTS]
    with torch.no_grad():
        return dict(zip(OUTPUTS, _forward(None, *values), strict=True))
'''


def write_bundle(
    model: Model, dest: str | Path, options: ExportOptions = DEFAULT, add: Callable[[Path], object] | None = None
) -> float:
    """Write the folder `dest`, all or nothing; returns the largest difference of its images from the model's.

    add: puts more files into it, before it has its name. Raises UserError when the folder has other files, or when a
    picture differs by more than 1e-3.
    """
    dest = Path(dest)
    if dest.is_dir() and any(dest.iterdir()):
        raise UserError(f"{dest} is not empty; choose a new folder for a bundle")
    exportable = Exportable(model, options)
    program = traced(exportable, model)
    worst = check(program, exportable, model, dest)
    make_dir(dest.parent)
    with atomic_folder(dest) as folder:
        write_tensors(folder / WEIGHTS, dict(sorted(_weights(program).items())), {"format": "pt"})
        write_text(folder / PROGRAM, _source(program, exportable, model.config.name))
        write_json(folder / CONFIG, about(exportable, model))
        write_text(folder / LOAD, loader(exportable))
        if add is not None:
            add(folder)
    return worst


def loader(exportable: Exportable) -> str:
    """Ten lines that load a bundle and make a picture, for whoever has torch and safetensors."""
    return textwrap.dedent(f"""\
        import torch
        from safetensors.torch import load_file
        from generator import generate  # the file in this folder

        weights = load_file("{WEIGHTS}")
        {inputs_line(exportable)}
        image = generate(weights, **inputs)["image"]  # [1, C, R, R], about [-1, 1]
        pixels = (image * 127.5 + 128).clamp(0, 255).to(torch.uint8)
        print(image.shape, pixels.float().mean().item())
    """)


def inputs_line(exportable: Exportable) -> str:
    """Code that makes the inputs of one picture, as tensors by name."""
    return f"inputs = dict({', '.join(_example(name, shape) for name, shape in exportable.shapes().items())})"


def _example(name: str, shape: list[int | str]) -> str:
    sizes = ", ".join("1" if size == "N" else str(size) for size in shape)
    kind = name.split("_")[0]
    made = {"z": f"torch.randn({sizes})", "ws": f"torch.zeros({sizes})", "centers": f"torch.zeros({sizes})"}
    if kind == "c":
        return f"c=torch.eye({shape[1]})[:1]"
    return f"{name}={made.get(kind, f'torch.full([{sizes}], 0.5)' if kind == 'spreads' else f'torch.ones({sizes})')}"


def _weights(program: torch.export.ExportedProgram) -> dict[str, torch.Tensor]:
    """{name: tensor} of everything that the program takes besides its inputs; constants of a few numbers, too."""
    signature, tensors = program.graph_signature, {**program.constants, **program.state_dict}
    return {target: tensors[target].detach().contiguous().clone() for target in _targets(signature).values()}


def _targets(signature: torch.export.ExportGraphSignature) -> dict[str, str]:
    """{argument of the program: name of the weight}, in the program's order."""
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    order = [spec.arg.name for spec in signature.input_specs if spec.arg.name in named]
    return {argument: named[argument] for argument in order}


def _source(program: torch.export.ExportedProgram, exportable: Exportable, name: str) -> str:
    inputs = "\n".join(f"    {key}: {shape}" for key, shape in exportable.shapes().items())
    head = _HEAD.format(
        name=re.sub(r"[^\w. -]", "_", name),
        inputs=inputs,
        outputs=", ".join(exportable.output_names),
        input_names=json.dumps(exportable.input_names),
        output_names=json.dumps(exportable.output_names),
        weight_names=json.dumps(list(_targets(program.graph_signature).values()), indent=4),
    )
    body = program.graph_module.graph.python_code("self").src.strip()
    body = re.sub(r"^def forward", "def _forward", body)
    # Types of arguments and "x = None" to free memory are the tracer's; the former name classes that are not imported.
    return f"{head}\n\n{_without_annotations(body)}\n"


def _without_annotations(code: str) -> str:
    code = re.sub(r"^# .*$\n?", "", code, flags=re.MULTILINE)
    return re.sub(r'(\b\w+) ?: "[^"\n]*"', r"\1", code)
