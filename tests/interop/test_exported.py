"""What convert.py wrote for others is told in words by `info`, and refused by name where a network is asked for."""

import json
import shutil
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

import convert
import generate
from interop.bundle import write_bundle
from interop.exported import ADVICE, exported_at
from interop.onnx_export import export_onnx
from interop.program_export import export_program
from tests.interop.models import make_model
from tests.optional import is_installed
from tests.tiny_models import save_tiny_snapshot

HAS_ONNX = all(map(is_installed, ("onnx", "onnxscript", "onnxruntime")))


def info(path: Path, status: int = 0) -> str:
    done = CliRunner().invoke(convert.main, ["info", str(path)])
    assert done.exit_code == status, f"{done.output} {done.exception!r}"
    return done.output


def check_is_refused(path: Path, kind: str) -> None:
    """By every program that takes a network, in one line that names it."""
    for main, words in (
        (generate.main, [f"--network={path}", "--seeds=0", f"--outdir={path.parent / 'out'}"]),
        (convert.main, [str(path), str(path.parent / "new.safetensors")]),
    ):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, done.output) == (2, f"Error: {path}: this is {kind}; {ADVICE}\n")
    assert not (path.parent / "out").exists()


def protobuf(*fields: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([number << 3 | 2]) + _varint(len(value)) + value for number, value in fields)


def _varint(value: int) -> bytes:
    low, more = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(more) if more else bytes([low])


NOTE = {
    "version": 1, "method": "spatialgan", "kimg": 1.5, "counts": [1, 2, 4], "img_resolution": 16, "img_channels": 3,
    "sampler": {"kind": "paper", "spread": [0.5, 1.0]}, "inputs": {"z": ["N", 8], "psi": [1]},
}  # fmt: skip


def onnx(note: object = NOTE, text: str | None = None) -> bytes:
    """The outside of an ONNX file."""
    metadata = protobuf((1, b"steergan"), (2, (text or json.dumps(note)).encode()))
    return b"\x08\x0a" + protobuf((2, b"SteerGAN"), (7, bytes(300)), (14, metadata))


def test_an_onnx_file_in_words(tmp_path: Path):
    (tmp_path / "a.onnx").write_bytes(onnx())
    assert info(tmp_path / "a.onnx").splitlines() == [
        f"{tmp_path}/a.onnx: an ONNX file",
        "made of: a model of method spatialgan, which has been shown 1.5 thousand images",
        "makes: images of 16x16, 3 channels",
        "layout: 1/2/4 centers, sampler paper, spreads 0.5 to 1",
        "takes: z [N, 8], psi [1]; N pictures at a time",
        ADVICE,
    ]
    check_is_refused(tmp_path / "a.onnx", "an ONNX file")


def test_onnx_files_of_others_and_damaged_ones(tmp_path: Path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\x08\x0a" + protobuf((2, b"pytorch"), (7, bytes(300))))
    assert "an ONNX file, not of this program" in info(path)
    path.write_bytes(onnx(NOTE | {"img_resolution": "large"}))
    assert f"Error: {path}: damaged, what it says of itself is not understood" in info(path, status=2)
    path.write_bytes(onnx(NOTE | {"method": "a\x1b[31m"}))
    assert "is not understood" in info(path, status=2)
    path.write_bytes(onnx(text="{"))
    assert "not valid JSON" in info(path, status=2)
    for length in range(1, len(onnx())):  # cut short; a cut between two fields leaves a file that says less
        path.write_bytes(onnx()[:length])
        found = exported_at(str(path))
        assert found is None or found.kind == "an ONNX file, not of this program"
    path.write_bytes(b"\x08\x08" + protobuf((7, b"")) + b"\x3a" + b"\xff" * 9 + b"\x01")
    assert exported_at(str(path)) is None


@pytest.mark.slow
@pytest.mark.skipif(not HAS_ONNX, reason="needs the extra export")
def test_a_real_onnx_file_in_words(tmp_path: Path):
    export_onnx(make_model("norm"), tmp_path / "a.onnx")
    said = info(tmp_path / "a.onnx")
    assert "layout: 1/2/4 centers, sampler paper, spreads 0.5 to 1" in said
    assert "takes: z [N, 8], psi [1], centers_0 [N, 1, 2]" in said


def test_a_program_in_words(tmp_path: Path):
    export_program(make_model("labels"), tmp_path / "a.pt2")
    said = info(tmp_path / "a.pt2")
    assert f"{tmp_path}/a.pt2: a program of torch.export" in said
    assert "layout: none, it is not steered" in said
    assert "takes: z [N, 8], c [N, 3], psi [1]; N pictures at a time" in said
    check_is_refused(tmp_path / "a.pt2", "a program of torch.export")


def test_a_bundle_in_words(tmp_path: Path):
    folder = tmp_path / "bundle"
    write_bundle(make_model("labels"), folder)
    said = info(folder)
    assert f"{folder}: a bundle, for torch alone\nmade of: a model of method" in said
    assert "load.py in it is how to use it" in said
    assert f"the weights of the bundle {folder}" in info(folder / "weights.safetensors")
    check_is_refused(folder, "a bundle, for torch alone")
    (folder / "config.json").write_text("[]")
    assert "damaged" in info(folder, status=2)


def test_states_in_words(tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path)
    for name, more in (("a.pth", []), ("a.safetensors", ["--as=state-dict"])):
        done = CliRunner().invoke(convert.main, [str(snapshot), str(tmp_path / name), *more])
        assert done.exit_code == 0, done.output
        assert "a state dict in the names of StyleGAN2-ADA and EqGAN-SA, of D, G, G_ema" in info(tmp_path / name)
    shutil.rmtree(tmp_path / "a.pth.card")
    kind = "a state dict in the names of StyleGAN2-ADA and EqGAN-SA, of D, G, G_ema"
    check_is_refused(tmp_path / "a.pth", kind)


def test_what_is_none_of_these(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut.safetensors").write_bytes(struct.pack("<Q", 8 | 0x12 << 16) + b"{}")
    assert exported_at(str(save_tiny_snapshot(tmp_path))) is None
    for path in (tmp_path, tmp_path / "empty", tmp_path / "text", tmp_path / "cut.safetensors", tmp_path / "nothing"):
        assert exported_at(str(path)) is None
    assert exported_at("hf://owner/name") is None
    assert exported_at("a\0b") is None
    assert exported_at("/dev/null") is None
