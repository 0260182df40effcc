"""Files of torch.save: sound ones pass in both forms, and nothing is allocated that a file only claims."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dnnlib.errors import UserError
from dnnlib.pickle_interpreter import NotPlain
from metrics.extractors.torch_files import check_torch_file
from metrics.extractors.weights import read_tensors

both_forms = pytest.mark.parametrize("zipped", [True, False])


def save(content: object, path: Path, zipped: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def states() -> dict[str, Callable[[], object]]:
    whole = torch.arange(24.0)
    return {
        "a module's": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict,
        "parameters": lambda: {"a": nn.Parameter(torch.ones(3)), "b": nn.Parameter(torch.ones(2), requires_grad=False)},
        "views of one storage": lambda: {"a": whole[:12], "b": whole[6:18].view(3, 4).T, "c": whole},
        "all types": lambda: {
            str(dtype): torch.ones(5, dtype=dtype)
            for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
                          torch.int16, torch.int8, torch.uint8, torch.bool)
        },
        "nothing in it": lambda: {"a": torch.zeros(0, 3)},
    }  # fmt: skip


@both_forms
@pytest.mark.parametrize("name", states())
def test_sound_files_are_read(name: str, zipped: bool, tmp_path: Path):
    content = states()[name]()
    found = read_tensors(save(content, tmp_path / "a.pth", zipped))
    assert found.keys() == content.keys()
    assert all(torch.equal(found[key], content[key]) for key in content)


def with_pickle(data: bytes, path: Path) -> Path:
    """A zip of torch.save, sound but for its pickle."""
    torch.save({"a": torch.ones(4)}, buffer := io.BytesIO())
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, data if entry.filename.endswith("data.pkl") else old.read(entry))
    return path


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "builtins.bytearray"),
        (b"\x80\x02ctorch\nzeros\nJ\xff\xff\xff\x7f\x85R.", "torch.zeros"),
        (pickle.dumps({"a": print}, protocol=2), "print"),
    ],
)
def test_what_would_be_called_is_refused(data: bytes, said: str, tmp_path: Path):
    with pytest.raises(NotPlain, match=said):
        check_torch_file(with_pickle(data, tmp_path / "a.pth"))
    with pytest.raises(UserError, match=r"a\.pth: no file of weights"):
        read_tensors(tmp_path / "a.pth")


@both_forms
def test_storages_larger_than_the_file_are_refused(zipped: bool, tmp_path: Path):
    path = save({"a": torch.ones(77)}, tmp_path / "a.pth", zipped)
    few, many = b"KM", b"J\xff\xff\xff\x7f"  # opcodes of 77, the storage's size and the shape, and of 2^31 - 1
    if zipped:
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
            data = archive.read(name)
        with_pickle(data.replace(few, many), path)
    else:
        path.write_bytes(path.read_bytes().replace(few, many))
    with pytest.raises(NotPlain, match="larger than the file"):
        check_torch_file(path)


def test_parts_that_unpack_to_more_are_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**6))
    with pytest.raises(NotPlain, match="larger than the file"):
        check_torch_file(tmp_path / "a.pth")
