"""Exported programs agree with their models: 20 latents and layouts, other batches than the traced one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dnnlib.errors import UserError
from interop.bundle import write_bundle
from interop.exportable import Exportable, ExportOptions, eager_images, example_inputs
from interop.onnx_export import OPSET, export_onnx, run_onnx
from interop.optional import needed
from interop.program_export import export_program
from tests.interop.models import make_model
from tests.optional import is_installed

TOLERANCE = 1e-3
HAS_ONNX = all(map(is_installed, ("onnx", "onnxscript", "onnxruntime")))
pytestmark = [pytest.mark.slow, pytest.mark.numeric]
KINDS = ["norm", "norm, fine and everywhere", "cells", "cells, fine", "concat", "indoor", "flatten", "labels"]
each_kind = pytest.mark.parametrize("name", [*KINDS, "residual", "sndcgan"])


@each_kind
@pytest.mark.skipif(not HAS_ONNX, reason="needs the extra export")
def test_onnx_agrees_on_twenty_layouts_and_other_batches(name: str, tmp_path: Path):
    model = make_model(name)
    export_onnx(model, tmp_path / "model.onnx")
    exportable = Exportable(model)
    for count, seed in ((20, 0), (1, 50), (7, 60)):
        given = example_inputs(exportable, model, count, seed)
        outputs = run_onnx(tmp_path / "model.onnx", given)
        assert (outputs[0] - eager_images(model, exportable, given)).abs().max() <= TOLERANCE
        expected = exportable(*given.values())
        assert all((a - b).abs().max() <= TOLERANCE for a, b in zip(outputs, expected, strict=True))


@pytest.mark.skipif(not HAS_ONNX, reason="needs the extra export")
def test_an_onnx_file_says_what_it_takes_and_uses_constant_filters(tmp_path: Path):
    import onnx

    export_onnx(make_model("norm"), tmp_path / "model.onnx", latent="ws")
    proto = onnx.load(tmp_path / "model.onnx")
    assert [each.version for each in proto.opset_import if each.domain == ""] == [OPSET]
    assert [each.name for each in proto.graph.input][:4] == ["ws", "centers_0", "spreads_0", "strengths_0"]
    assert [each.name for each in proto.graph.output] == ["image", "heatmap_0", "heatmap_1", "heatmap_2"]
    assert {each.type.tensor_type.shape.dim[0].dim_param for each in proto.graph.input} == {"N"}
    constants = {each.name for each in proto.graph.initializer}
    filters = [node.input[1] for node in proto.graph.node if node.op_type.startswith("Conv")]
    assert len(filters) > 10
    assert set(filters) <= constants
    about = json.loads({each.key: each.value for each in proto.metadata_props}["steergan"])
    assert (about["counts"], about["img_resolution"], about["latent"]) == ([1, 2, 4], 16, "ws")


@each_kind
def test_a_program_agrees_on_twenty_layouts_and_other_batches(name: str, tmp_path: Path):
    model = make_model(name)
    export_program(model, tmp_path / "model.pt2")
    program, exportable = torch.export.load(tmp_path / "model.pt2").module(), Exportable(model)
    for count, seed in ((20, 0), (1, 50), (7, 60)):
        given = example_inputs(exportable, model, count, seed)
        assert (program(*given.values())[0] - eager_images(model, exportable, given)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("name", ["norm", "indoor", "labels", "sndcgan"])
def test_a_bundle_agrees_and_needs_nothing_of_this_project(name: str, tmp_path: Path):
    from safetensors.torch import load_file

    model, folder = make_model(name), tmp_path / "bundle"
    write_bundle(model, folder)
    spec = importlib.util.spec_from_file_location("generator", folder / "generator.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    exportable = Exportable(model)
    given = example_inputs(exportable, model, 5)
    outputs = module.generate(load_file(folder / "weights.safetensors"), **given)
    assert (outputs["image"] - eager_images(model, exportable, given)).abs().max() <= TOLERANCE
    assert list(outputs) == exportable.output_names
    done = subprocess.run([sys.executable, "load.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torch.Size([1, 3, 16, 16])")
    assert len([line for line in (folder / "load.py").read_text().splitlines() if line.strip()]) <= 10
    with pytest.raises(UserError, match="is not empty"):
        write_bundle(model, folder)


def test_a_difference_is_an_error_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = make_model("plain")
    monkeypatch.setattr("interop.program_export.eager_images", lambda *given: eager_images(*given) + 0.01)
    with pytest.raises(UserError, match=r"not written, its pictures would differ by 0\.01"):
        export_program(model, tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_says_how_to_install_it():
    with pytest.raises(UserError, match=r"needs the package nosuchthing; pip install 'steergan\[export\]'"):
        needed("nosuchthing", extra="export")


def test_options_that_do_not_go_together():
    with pytest.raises(UserError, match="styles ws are final"):
        Exportable(make_model("plain"), ExportOptions("ws", truncation_cutoff=2))
