"""The folder of an exported page: what is in it, that it replaces its like as a whole, and what is refused."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import edit
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from editing import static_page
from editing.page.files import page_files
from editing.static_page import export_page
from interop.exportable import Exportable, example_inputs
from interop.onnx_export import run_onnx
from tests.optional import is_installed
from tests.tiny_models import save_tiny_snapshot
from training.layouts.files import layout_to_json
from training.sampling import Model

HAS_ONNX = all(map(is_installed, ("onnx", "onnxscript", "onnxruntime")))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs the extra export")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """A folder with files of the right names."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / name).write_bytes(name.encode())
    return folder


@dataclass(frozen=True)
class Exported:
    """A tiny model, and its page with five seeds."""

    model: Model
    folder: Path
    sizes: dict[str, int]


@pytest.fixture(scope="module", params=["spatialgan", "stylegan2"])
def exported(request, tmp_path_factory, runtime: Path) -> Exported:
    snapshot = save_tiny_snapshot(tmp_path_factory.mktemp("run"), request.param)
    folder = tmp_path_factory.mktemp("site") / "new" / "page"
    sizes, worst = export_page(str(snapshot), folder, seeds=5, runtime=runtime)
    assert worst < 1e-3
    return Exported(Model.load(snapshot, "cpu"), folder, sizes)


@needs_onnx
@pytest.mark.slow
def test_a_page_has_the_model_its_seeds_and_the_same_page(exported: Exported):
    model, folder = exported.model, exported.folder
    assert exported.sizes == {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*.*")}
    assert [path.name for path in folder.parent.iterdir()] == ["page"]
    same = {name: data for name, data in page_files().items() if name != "index.html"}
    assert {name: (folder / name).read_bytes() for name in same} == same
    index = (folder / "index.html").read_text()
    assert '<meta name="steergan-backend" content="onnx">' in index
    assert "default-src 'none'" in index
    text = (folder / "model.json").read_text()
    about = json.loads(text)
    assert (about["seeds"], about["attention"], about["network"]) == (5, [], "small")
    assert "/" not in text  # no path of the machine that wrote it
    latents = np.frombuffer((folder / "latents.bin").read_bytes(), "<f4").reshape(5, *about["latent_shape"])
    np.testing.assert_array_equal(latents, model.latents(range(5)).numpy())
    layout = model.layout(range(5))
    expected = None if layout is None else layout_to_json(layout)["layouts"]
    assert json.loads((folder / "seeds.json").read_text()) == expected


@needs_onnx
@pytest.mark.slow
def test_the_two_programs_are_the_model(exported: Exported):
    exportable = Exportable(exported.model)
    given = example_inputs(exportable, exported.model, 3)
    latent = {name: given[name] for name in ("z", "psi")}
    (ws,) = run_onnx(exported.folder / "mapping.onnx", latent)
    layout = {name: value for name, value in given.items() if name not in latent}
    (image,) = run_onnx(exported.folder / "synthesis.onnx", {"ws": ws, **layout})
    expected = exportable(*given.values())
    assert (image - expected[0]).abs().max() < 1e-4
    assert (ws - expected[1]).abs().max() < 1e-4


@needs_onnx
def test_an_earlier_export_is_replaced_and_stays_where_another_fails(tmp_path: Path, runtime: Path, monkeypatch):
    snapshot, dest = save_tiny_snapshot(make_dir(tmp_path / "run")), tmp_path / "page"
    given = ["export", f"--network={snapshot}", f"--dest={dest}", f"--runtime={runtime}"]

    def write_quickly(folder, model, about):
        (folder / "synthesis.onnx").write_bytes(b"")
        (folder / "model.json").write_text(json.dumps(about))
        return 0.0

    def fail(*about):
        raise UserError("no room")

    monkeypatch.setattr(static_page, "_write_model", write_quickly)
    for seeds in (4, 6):
        result = CliRunner().invoke(edit.main, [*given, f"--seeds={seeds}"])
        assert result.exit_code == 0, result.output
        assert json.loads((dest / "model.json").read_text())["seeds"] == seeds
    assert "MiB, to" in result.output
    monkeypatch.setattr(static_page, "_write_model", fail)
    result = CliRunner().invoke(edit.main, given)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "no room" in result.output
    assert json.loads((dest / "model.json").read_text())["seeds"] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page", "run"]


@needs_onnx
def test_other_folders_and_files_are_left_alone(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"")
    for place, words in (("mine", "is not empty, and no earlier export"), ("mine/photo.jpg", "is a file")):
        result = CliRunner().invoke(edit.main, ["export", "--network=models/none", f"--dest={tmp_path / place}"])
        assert result.exit_code == 2
        assert words in result.output
        assert result.output.count("\n") == 1


def test_the_page_has_what_the_export_puts_in_its_place():
    text = static_page._index(page_files()["index.html"].decode())
    assert text.count("steergan-backend") == 1
    assert "python -m http.server" in text
