"""Writing safetensors files without copying the tensors first.

The library's own writer turns every tensor into bytes while it holds Python's lock, which would stop the training
step that goes on beside it. The format is an 8-byte length, a JSON header of names, types, shapes and offsets, and
the data one after the other (https://huggingface.co/docs/safetensors). Reading is left to the library.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dnnlib.files import atomic_path

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8
_CHUNK = 1 << 22  # bytes; a signal or another thread does not wait longer than this takes


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Atomically write tensors on the CPU as a safetensors file. Raises OSError as any writing does."""
    # Larger elements first: then every tensor is aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name in names:
        tensor, end = tensors[name], offset + tensors[name].nbytes
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            data = memoryview(tensors[name].detach().contiguous().reshape(-1).view(torch.uint8).numpy())
            for start in range(0, len(data), _CHUNK):
                file.write(data[start : start + _CHUNK])
