"""Networks that are no snapshot on this machine: files of other programs, and addresses on the web.

What reads them is registered from above (interop/readers.py), and looked for by the name of its module only when a
network is asked for that needs it.
"""

import re
from collections.abc import Callable
from pathlib import Path

from dnnlib.registry import Registry

# Functions of what the user wrote -> a snapshot file of ours; None where it is not theirs to read.
Reader = Callable[[str], Path | None]
READERS: Registry[Reader] = Registry("network reader", home="interop.readers")

_ADDRESS = re.compile(r"^(https?|hf):/{1,2}(?=[^/])")  # a Path has lost one of the slashes
_FOREIGN = (b"\x80", b"PK\x03\x04")  # how pickles and zip archives begin


def address_in(text: str) -> str | None:
    """The address that a network was named by, such as hf://owner/name; None where it is a path."""
    found = _ADDRESS.match(text)
    return f"{found[1]}://{text[found.end() :]}" if found else None


def needs_reader(text: str) -> bool:
    """Whether a network is on the web, or in a file of other programs or for them."""
    return address_in(text) is not None or _is_foreign(Path(text))


def snapshot_of(text: str) -> Path | None:
    """A snapshot file of ours with the network that `text` names, made where there is none yet.

    None where no reader knows what it is. Raises UserError, one line, when it cannot be fetched or read.
    """
    for name in READERS.names():
        found = READERS[name](text)
        if found is not None:
            return found
    return None


def _is_foreign(path: Path) -> bool:
    try:
        if path.is_dir():  # a bundle has both, a run neither
            return all((path / name).is_file() for name in ("weights.safetensors", "generator.py"))
        if path.suffix == ".safetensors" or not path.is_file():
            return False
        if path.suffix.lower() == ".onnx":
            return True
        with open(path, "rb") as file:
            return file.read(4).startswith(_FOREIGN)
    except (OSError, ValueError):
        return False
