"""The editor's page as a folder for any static host: the generator as ONNX, run in the page by WebAssembly.

Besides the page's own files (editing/page) it has

    model.json       what the page has to know of the model
    mapping.onnx     latents to styles, and
    synthesis.onnx   styles and a layout to the picture (interop/onnx_export.py)
    latents.bin      z of the seeds 0, 1, ...: float32, little endian
    seeds.json       their layouts
    runtime/         onnxruntime-web

A page's random numbers are those of PyTorch for the seeds that it has a table of, and there are no others: whatever
the page shows for a seed, `generate.py --seeds` shows, too.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dnnlib.errors import UserError
from dnnlib.files import make_dir, sync, sync_all
from editing.model_facts import facts
from editing.page.files import page_files
from editing.web_runtime import runtime_files
from interop.exportable import Exportable, Latent
from interop.onnx_export import export_onnx
from interop.optional import needed
from training.layouts.files import layout_to_json
from training.layouts.layout import Layout
from training.runs.snapshot import open_snapshot
from training.sampling import Model

SEEDS = 256
OF_LAYOUT = ("centers", "spreads", "strengths")
BACKEND = '<meta name="steergan-backend" content="{}">'
NOTICE = '<div id="notice" class="notice" role="alert" hidden></div>'
LOADING = (
    '<div id="notice" class="notice" role="alert">Loading the generator. If this stays: a page that was opened as a '
    "file may not load it; run <code>python -m http.server</code> in its folder and open http://localhost:8000.</div>"
)
POLICY = (
    """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; """
    """style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'">"""
)


def export_page(
    network: str, dest: str | Path, seeds: int = SEEDS, runtime: Path | None = None
) -> tuple[dict[str, int], float]:
    """Write the folder `dest`; returns {file: its bytes} and the largest difference of the ONNX images.

    network: a snapshot or run. seeds: how many the page knows. runtime: a folder with onnxruntime-web's files; None:
    npm's registry. An earlier export is replaced, as a whole.

    Raises UserError, and leaves nothing, when `dest` has other files, packages are missing, there is no network, or
    the model cannot be exported.
    """
    dest = Path(dest).resolve()
    needed("onnx", "onnxscript", "onnxruntime", extra="export")
    _check_place(dest)
    snapshot = open_snapshot(network)
    model = Model.load(snapshot.path, "cpu")
    about = {**facts(model, snapshot), **_limits(model, seeds)}
    parent = make_dir(dest.parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{dest.name}.") as temporary:
        folder = Path(temporary, "page")
        folder.mkdir()
        _write_page(folder, runtime_files(runtime))
        worst = _write_model(folder, model, about)
        _write_seeds(folder, model, seeds)
        sizes = {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*.*"))}
        _put(folder, dest, Path(temporary, "before"))
    return sizes, worst


def _check_place(dest: Path) -> None:
    if dest.exists() and not dest.is_dir():
        raise UserError(f"--dest {dest} is a file; name a folder")
    if dest.is_dir() and any(dest.iterdir()) and not (dest / "synthesis.onnx").is_file():
        raise UserError(f"--dest {dest} is not empty, and no earlier export; name another folder")


def _limits(model: Model, seeds: int) -> dict[str, Any]:
    """What an exported page can do less of, and the shapes of its tensors."""
    layout = model.layout([0])
    if layout is not None and layout.noise is not None:
        raise UserError("this model's layouts have noise in the place of heatmaps, which no exported program can draw")
    shapes = {"latent_shape": list(model.config.generator.latent_shape), "w_shape": list(model.G.w_shape)}
    less = {"seeds": seeds, "attention": [], "features": [], "directions": []}
    return {**less, "truncates": Exportable(model).truncates, "network": model.config.name, **shapes}


def _write_page(folder: Path, runtime: dict[str, bytes]) -> None:
    for name, data in page_files().items():
        (folder / name).write_bytes(data if name != "index.html" else _index(data.decode()).encode())
    (folder / "runtime").mkdir()
    for name, data in runtime.items():
        (folder / "runtime" / name).write_bytes(data)


def _index(text: str) -> str:
    """The same page with another back end, and a policy that lets it load nothing from elsewhere."""
    for old, new in ((BACKEND.format("server"), f"{BACKEND.format('onnx')}\n{POLICY}"), (NOTICE, LOADING)):
        if text.count(old) != 1:
            raise AssertionError(f"index.html has not one {old}")
        text = text.replace(old, new)
    return text


def _write_model(folder: Path, model: Model, about: dict[str, Any]) -> float:
    """Two ONNX programs, each cut out of one that was checked; how far their images are from the model's."""
    worst = [
        _write_part(folder / "mapping.onnx", model, "z", ["ws"]),
        _write_part(folder / "synthesis.onnx", model, "ws", ["image"]),
    ]
    (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n")
    return max(worst)


def _write_part(path: Path, model: Model, latent: Latent, outputs: list[str]) -> float:
    """An exported program without what other outputs need."""
    import onnx

    worst = export_onnx(model, path, latent=latent)
    whole = onnx.load(path)
    inputs = [each.name for each in whole.graph.input]
    if outputs == ["ws"] and not model.G.takes_layout_in_latent:
        inputs = [name for name in inputs if name.split("_")[0] not in OF_LAYOUT]
    part = onnx.utils.Extractor(whole).extract_model(inputs, outputs)
    onnx.checker.check_model(part, full_check=True)
    path.write_bytes(part.SerializeToString())
    return worst


def _write_seeds(folder: Path, model: Model, count: int) -> None:
    latents = model.latents(range(count)).numpy().astype("<f4")
    (folder / "latents.bin").write_bytes(np.ascontiguousarray(latents).tobytes())
    layout = model.layout(range(count))
    (folder / "seeds.json").write_text(json.dumps(_layouts(layout)) + "\n")


def _layouts(layout: Layout | None) -> list[Any] | None:
    return None if layout is None else layout_to_json(layout)["layouts"]


def _put(folder: Path, dest: Path, before: Path) -> None:
    """In the place of an earlier export, all at once; what was there is removed with the temporary folder."""
    sync_all(folder)
    if dest.exists():
        shutil.move(dest, before)
    folder.rename(dest)
    sync(dest.parent)
