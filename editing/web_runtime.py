"""onnxruntime-web, which runs the generator in an exported page: from npm's registry, checked, or from a folder.

Two files of the package are taken: the program for WebAssembly alone, and the WebAssembly.
"""

import base64
import hashlib
import os
import re
import tarfile
from pathlib import Path

from dnnlib.cache import cache_folder
from dnnlib.downloads import RemoteFile, fetch
from dnnlib.errors import UserError

VERSION = "1.30.0"
# Of the package's archive: npm's own "integrity" of this version, and what the download is checked with on its way.
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
SIZE = 33_106_585  # bytes
REGISTRY = "https://registry.npmjs.org"
VARIABLE = "NPM_CONFIG_REGISTRY"  # npm's own, in small letters, too
FILES = {"ort.wasm.bundle.min.mjs": "ort.js", "ort-wasm-simd-threaded.wasm": "ort.wasm"}  # {there: in a page}
FILE_LIMIT = 64 << 20  # bytes
CACHE = "onnxruntime-web"


def runtime_files(folder: Path | None = None) -> dict[str, bytes]:
    """{name in a page: contents}. folder: an unpacked package, or what its dist folder has; None: npm's registry.

    Raises UserError when there is no network, what arrives is not the published archive, or the folder lacks a file.
    """
    return _downloaded() if folder is None else {name: _found(folder, there) for there, name in FILES.items()}


def registry() -> str:
    """The address of npm's registry or of a mirror, as npm's environment variable has it, without a slash at its end.

    Raises UserError when that is no address.
    """
    given = next((os.environ[name] for name in (VARIABLE, VARIABLE.lower()) if os.environ.get(name)), REGISTRY)
    if re.match(r"https?://[^/\s]", given) is None:
        raise UserError(f"{VARIABLE}={given}: not the address of a registry, such as {REGISTRY}")
    return given.rstrip("/")


def archive() -> RemoteFile:
    """The package as the registry has it."""
    name = f"onnxruntime-web-{VERSION}.tgz"
    instead = "name a folder that has its files with --runtime"
    return RemoteFile(name, f"{registry()}/onnxruntime-web/-/{name}", SHA256, SIZE, instead)


def _downloaded() -> dict[str, bytes]:
    path = fetch(archive(), cache_folder(CACHE), show_progress=True)
    check_integrity(path, INTEGRITY)
    with tarfile.open(path, "r:gz") as package:
        return {name: _member(package, there) for there, name in FILES.items()}


def check_integrity(path: Path, integrity: str) -> None:
    """Raises UserError unless the file has npm's digest of it, "sha512-" and base64."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        raise UserError(f"{path} is not the published onnxruntime-web {VERSION} (its SHA-512 is another); remove it")


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(f"package/dist/{name}")
    if file is None:
        raise UserError(f"onnxruntime-web {VERSION} has no dist/{name}")
    return file.read(FILE_LIMIT)


def _found(folder: Path, name: str) -> bytes:
    if not folder.is_dir():
        raise UserError(f"--runtime {folder}: no such folder; unpack the npm package onnxruntime-web {VERSION} there")
    places = [folder / name, folder / "dist" / name, folder / "package" / "dist" / name]
    place = next((each for each in places if each.is_file()), None)
    if place is None:
        raise UserError(f"--runtime {folder}: no {name} in it or in its dist; unpack npm's onnxruntime-web {VERSION}")
    if place.stat().st_size > FILE_LIMIT:
        raise UserError(f"{place} is larger than {FILE_LIMIT >> 20} MiB, so it is none of onnxruntime-web's files")
    return place.read_bytes()
