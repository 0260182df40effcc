"""Every command that writes, on a disk with less room than it needs: one line, status 2, and nothing half-written.

train.py has tests of its own (training/test_full_disk.py). The disk is a small tmpfs; where none may be mounted, a
limit on the length of files stands in for it.
"""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import calc_metrics
import convert
import dataset_tool
import edit
import generate
import projector
import style_mixing
import visualize
from benchmarks import checkpoint
from experiments import collapse, directions, evidence, orthogonal, reproduce, ship, steer, tables
from experiments.studies.orthogonal import THRESHOLDS
from tests.benchmarks.small import small_config
from tests.editing.latent.conditions.test_files import Means, script
from tests.experiments.pretending import pretending
from tests.golden.cases import FOLDER
from tests.optional import is_installed
from tests.training.data_samples import picture, write_folder
from tests.training.figures.runs import make_run

PAGE = 4096
SHARES = (0.0, 0.5, 0.99)  # of the pages that a command's files take

PICKLE = FOLDER / "tiny_reference_nosrc.pkl"
EVIDENCE_LIST = "data: {faces: toy --kind=faces}\nruns: {a: {data: faces, train: --cfg=demo, metrics: di}}\n"
STEER_LIST = "data: toy --kind=faces\ncommon: --cfg=demo\nmetrics: ['di:di']\nrows: {plain: ''}\n"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its data, pictures, cut-outs, and what measures pictures."""
    folder = tmp_path_factory.mktemp("inputs")
    make_run(folder, kimg=(1, 2), resolution=16)
    write_folder(folder / "photos", {f"{i}.png": picture(i, 32) for i in range(12)})
    stamp = Image.new("RGBA", (60, 40))
    stamp.paste((250, 120, 0, 255), (10, 10, 50, 30))
    write_folder(folder / "cutouts", {"fox.png": stamp})
    (folder / "list.yaml").write_text(STEER_LIST)
    (folder / "evidence.yaml").write_text(EVIDENCE_LIST)
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):  # of the editor's page
        (folder / name).write_bytes(bytes(PAGE))
    means = script(folder / "mean.pt", Means())
    study = {"network": str(folder / "run-spatialgan"), "condition": [means], "attributes": ["mean0"], "samples": 40,
             "edits": 2, "rows": {"a": {"method": "sefa", "strengths": 1}}}  # fmt: skip
    (folder / "study.yaml").write_text(json.dumps(study))
    return folder


def commands(inputs: Path, disk: Path) -> dict[str, tuple[click.Command, list[object]]]:
    """{name: (command, its words)}; all that they write is on the disk."""
    return {**of_data(inputs, disk), **of_pictures(inputs, disk), **of_networks(inputs, disk), **others(inputs, disk)}


def of_data(inputs: Path, disk: Path) -> dict[str, tuple[click.Command, list[object]]]:
    made, cut = ["--images=8", "--resolution=32"], f"--cutouts={inputs / 'cutouts'}"
    return {
        "toy, zip": (dataset_tool.main, ["toy", f"--dest={disk / 'a' / 'toy.zip'}", *made]),
        "toy, folder": (dataset_tool.main, ["toy", f"--dest={disk / 'toy'}", *made]),
        "compose": (dataset_tool.main, ["compose", cut, f"--dest={disk / 'a.zip'}", *made]),
        "data, zip": (dataset_tool.main, [f"--source={inputs / 'photos'}", f"--dest={disk / 'a.zip'}"]),
        "data, folder": (dataset_tool.main, [f"--source={inputs / 'photos'}", f"--dest={disk / 'deep' / 'a'}"]),
    }


def of_pictures(inputs: Path, disk: Path) -> dict[str, tuple[click.Command, list[object]]]:
    model, out = [f"--network={inputs / 'run-spatialgan'}", "--device=cpu"], f"--outdir={disk / 'out'}"
    target, moving = f"--target={inputs / 'photos' / '1.png'}", ["--centers=0,0", "--move=0.3,0", "--frames=3"]
    found = [f"--save-latents={disk / 'w.npz'}", f"--save-layout={disk / 'l.json'}", f"--video={disk / 'a.gif'}"]
    drag = ["drag", *model, f"--out={disk / 'strip.png'}", "--points=0,0>0.1,0", "--max-steps=1", *found]
    wish = [f"--condition={inputs / 'mean.pt'}", "--target=mean0+=0.1", "--method=optimization", "--samples=20"]
    session = f"--save-session={disk / 's.json'}"
    towards = ["towards", *model, f"--out={disk / 'strip.png'}", *wish, "--max-steps=1", *found, session]
    kept = ["--seeds=0,1", f"--save-layout={disk / 'layout.json'}", "--show-heatmaps", "--scale=4"]
    projected = [*model, out, target, "--num-steps=1", "--loss=pixels", f"--video={disk / 'a.gif'}"]
    return {
        "pictures": (generate.main, [*model, out, *kept]),
        "grid": (generate.main, [*model, out, "--grid=4x4"]),
        "gif": (generate.main, [*model, out, "--seeds=1", *moving, f"--video={disk / 'a.gif'}"]),
        "mp4": (generate.main, [*model, out, "--seeds=1", *moving, f"--video={disk / 'a.mp4'}"]),
        "projector": (projector.main, projected),
        "style mixing": (style_mixing.main, [*model, out, "--rows=0-2", "--cols=3-5", "--layers=coarse"]),
        "drag": (edit.main, drag),
        "towards": (edit.main, towards),
        "directions of a model": (edit.main, ["directions", *model, f"--dest={disk / 'a.safetensors'}", "--count=2"]),
        "page": (edit.main, ["export", model[0], f"--dest={disk / 'page'}", "--seeds=2", f"--runtime={inputs}"]),
        "figure": (visualize.main, ["grid", *model, f"--out={disk / 'a.png'}", "--seeds=1", "--layouts=2"]),
        "figures": (visualize.main, ["all", *model, f"--outdir={disk / 'figures'}"]),
        "scores": (visualize.main, ["scores", model[0], f"--out={disk / 'a.png'}"]),
    }


def of_networks(inputs: Path, disk: Path) -> dict[str, tuple[click.Command, list[object]]]:
    run, data = inputs / "run-spatialgan", inputs / "data16.zip"
    found = {
        f"convert, {dest}": (convert.main, [run, disk / dest])
        for dest in ("a.safetensors", "a.pth", "a.onnx", "a.pt2", "bundle")
    }
    measuring = ["--metrics=centroid_co_move", "--num=1", "--device=cpu"]
    ship_words = [f"--network={run}", "--name=noise", f"--data={data}", "--about=Noise.", "--licence=CC0"]
    return {
        **found,
        "convert, pickle": (convert.main, [PICKLE, disk / "a.safetensors"]),
        "convert, snapshots": (convert.main, [run, disk / "snapshots", "--as=snapshot"]),
        "convert, state": (convert.main, [run, disk / "a.safetensors", "--as=state-dict"]),
        "calc_metrics": (calc_metrics.main, [f"--network={disk / 'run'}", *measuring]),
        "ship": (ship.main, [*ship_words, f"--outdir={disk / 'models'}"]),
    }


def others(inputs: Path, disk: Path) -> dict[str, tuple[click.Command, list[object]]]:
    collapsing = [f"--data={inputs / 'data16.zip'}", f"--out={disk / 'a.png'}", "--steps=1", "--seeds=1"]
    outdir = [f"--outdir={disk / 'out'}"]
    return {
        "benchmark": (checkpoint.main, ["--device=cpu", "--quick", f"--json={disk / 'report.json'}"]),
        "collapse": (collapse.main, collapsing),
        "directions": (directions.main, [*outdir, f"--list={inputs / 'study.yaml'}", "--device=cpu", "--seeds=0"]),
        "evidence": (evidence.main, [*outdir, f"--list={inputs / 'evidence.yaml'}", "--device=cpu"]),
        "orthogonal": (orthogonal.main, ["--runs=a=b", f"--out={disk / 'a.png'}"]),
        "tables": (tables.main, ["--table=EqGAN-SA, table 2", "--data=a.zip", *outdir, "--device=cpu"]),
        "reproduce": (reproduce.main, [f"--page={disk / 'page.md'}"]),
        "steer": (steer.main, [*outdir, f"--list={inputs / 'list.yaml'}", "--device=cpu", "--seeds=0"]),
    }


EXPORTS = {"convert, a.onnx", "convert, a.pt2", "convert, bundle", "page"}
SERIES = {"steer": ("results.json", "table.md"), "tables": ("table.md",), "evidence": ("table.md",)}
SLOW = EXPORTS | SERIES.keys() | {"benchmark", "ship", "mp4", "projector", "directions", "figures"}
ONNX = ("onnx", "onnxscript", "onnxruntime")
PACKAGES = {"convert, a.onnx": ONNX, "page": ONNX, "mp4": ("imageio_ffmpeg",)}
NAMES = [
    pytest.param(
        name,
        marks=[pytest.mark.slow] * (name in SLOW)
        + [pytest.mark.skipif(not all(map(is_installed, PACKAGES.get(name, ()))), reason="needs an optional package")],
    )
    for name in commands(Path(), Path())
]


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long, and writes nothing itself, is small or only pretends."""
    monkeypatch.setattr("benchmarks.measures.checkpoint.resolved", lambda *_: small_config())
    monkeypatch.setattr("experiments.studies.collapse.load_images", lambda path: None)
    monkeypatch.setattr("experiments.studies.collapse.learn", lambda *how: [0.5, 0.75])
    monkeypatch.setattr(ship, "measure", lambda *_: {})
    monkeypatch.setattr(ship, "history", lambda *_: {})
    monkeypatch.setattr(ship, "card", lambda *_: "a card\n")

    biggan = SimpleNamespace(config=SimpleNamespace(generator=SimpleNamespace(truncation="z")), G=None)
    monkeypatch.setattr("experiments.studies.orthogonal.Model", SimpleNamespace(load=lambda *_: biggan))
    monkeypatch.setattr("experiments.studies.orthogonal.open_data", lambda *_: None)
    monkeypatch.setattr("experiments.studies.orthogonal.mean_cosine", lambda *_: 0.5)
    monkeypatch.setattr("experiments.studies.orthogonal.distances", lambda *_: [0.5] * len(THRESHOLDS))

    def measure(options: dict[str, str]) -> None:
        for name in options["metrics"].split(","):
            line = {"kimg": 1.0, "results": {name: 0.5}}
            (Path(options["network"]) / f"metric-{name}.jsonl").write_text(json.dumps(line) + "\n")

    monkeypatch.setattr(steer, "command", pretending([], measure))
    monkeypatch.setattr(evidence, "command", pretending([], measure))


def called(inputs: Path, disk: Path, name: str) -> Result:
    command, words = commands(inputs, disk)[name]
    return CliRunner().invoke(command, [str(word) for word in words])


def prepare(inputs: Path, disk: Path, name: str) -> set[Path]:
    """What a command finds on the disk."""
    (disk / "mine.txt").write_text("x")  # of a tmpfs, a size of 0 means that it has none
    if name == "calc_metrics":
        shutil.copytree(inputs / "run-spatialgan", disk / "run")
    if name in SERIES:  # what its trainings left
        assert called(inputs, disk, name).exit_code == 0
        for made in SERIES[name]:
            (disk / "out" / made).unlink()
    return files(disk)


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def pages(folder: Path, names: set[Path]) -> int:
    return sum(-(-(folder / name).stat().st_size // PAGE) for name in names)


@contextmanager
def with_room(disk: Path, room: int, longest: int, fill: Callable[[Path], set[Path]]) -> Iterator[set[Path]]:
    """A file system with `room` pages besides what `fill` puts there and returns; or no file above `longest` bytes."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        there = fill(disk)
        with limited_files(longest):
            yield there
        return
    try:
        there = fill(disk)
        used = -(-(64 << 20) // PAGE) - os.statvfs(disk).f_bfree
        size = (used + room) * PAGE
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        assert os.statvfs(disk).f_bavail == room
        yield there
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file may become longer than that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(name: str, inputs: Path, tmp_path: Path):
    enough = tmp_path / "enough"
    enough.mkdir()
    there = prepare(inputs, enough, name)
    result = called(inputs, enough, name)
    assert result.exit_code == 0, result.output
    made = files(enough) - there
    assert made
    whole = {path: (enough / path).stat().st_size for path in made}
    for number, share in enumerate(SHARES):
        disk = tmp_path / f"disk{number}"
        if share > 0 and name in EXPORTS:  # each takes a while
            continue
        room, longest = int(share * pages(enough, made)), int(share * max(whole.values()))
        with with_room(disk, room, longest, lambda disk: prepare(inputs, disk, name)) as there:
            result = called(inputs, disk, name)
            assert_one_line(result)
            sizes = {path: (disk / path).stat().st_size for path in files(disk) - there}
            lines = {path for path in sizes if path.suffix == ".jsonl" and sizes[path] == 0}  # files of no line yet
            assert {path: sizes[path] for path in sizes.keys() - lines}.items() <= whole.items()


def assert_one_line(result: Result) -> None:
    assert result.exit_code == 2, (result.output, result.exception)
    last = [line for line in result.stderr.splitlines() if line][-1]
    assert last.startswith("Error: ")
    assert result.stderr.count("Error: ") == 1
    assert "no space left" in last.lower() or "file too large" in last.lower() or "is the disk full" in last
