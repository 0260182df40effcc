"""What a PyTorch file asks for, looked at before torch is given it: nothing but tensors, no larger than the file.

torch.load with weights_only runs no code of the file, but allocates whatever sizes it claims, before it looks whether
so many bytes are there.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnlib.pickle_interpreter import Dictionary, NotPlain, load

_ITEM_SIZES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "UntypedStorage": 1,
}  # fmt: skip
_DICTIONARY = "collections OrderedDict"
_TENSORS = {"torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
_OLD_PICKLES = 5  # in files from before torch 1.6: three before that of the contents, and the names of the storages
_MOST_STEPS = 1_000_000


def check_torch_file(path: Path) -> None:
    """Raises NotPlain, OSError or BadZipFile when torch.load should not be given the file."""
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            _check_pickles(file, _OLD_PICKLES, size)
        return
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > size:
            raise NotPlain("its parts are larger than the file")
        for entry in archive.infolist():
            if entry.filename.endswith("data.pkl"):
                with archive.open(entry) as file:
                    _check_pickles(file, 1, size)


def _check_pickles(file: Any, count: int, size: int) -> None:
    """The first so many pickles of a stream."""
    tensors = _OnlyTensors(size)
    for _ in range(count):
        load(file, tensors, _MOST_STEPS)


@dataclass(frozen=True)
class _Name:
    text: str


class _OnlyTensors:
    """What a file of weights may ask for; its storages have `left` bytes together."""

    def __init__(self, left: int):
        self._left = left
        self._storages: dict[str, int] = {}

    def name(self, module: str, name: str) -> _Name:
        text = f"{module} {name}"
        if text in _TENSORS | {_DICTIONARY} or (module in ("torch", "torch.storage") and name in _ITEM_SIZES):
            return _Name(text)
        raise NotPlain(f"it refers to {f'{module}.{name}'[:80]!r}, which files of weights do not need")

    def call(self, function: Any, arguments: tuple) -> Any:
        if isinstance(function, _Name) and function.text == _DICTIONARY:
            return Dictionary()
        if isinstance(function, _Name) and function.text in _TENSORS:
            return None
        raise NotPlain("it calls something else than what makes tensors")

    def new(self, kind: Any, arguments: tuple) -> Any:
        raise NotPlain("it makes objects other than tensors")

    def build(self, target: Any, state: Any) -> None:
        if not isinstance(target, Dictionary):
            raise NotPlain("it sets the state of something else than a dictionary")

    def persistent(self, identity: Any) -> None:
        """A storage: (the word, its kind, its key, its device, how many elements, and perhaps a part of it)."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or not isinstance(identity[1], _Name):
            raise NotPlain("its tensors are stored in a way that is not known")
        kind, key, count = identity[1].text.rpartition(" ")[2], identity[2], identity[4]
        if kind not in _ITEM_SIZES or type(key) is not str or type(count) is not int or count < 0:
            raise NotPlain("its tensors are stored in a way that is not known")
        wanted = count * _ITEM_SIZES[kind]
        self._left -= max(wanted - self._storages.get(key, 0), 0)
        self._storages[key] = max(wanted, self._storages.get(key, 0))
        if self._left < 0:
            raise NotPlain("its tensors are larger than the file")
