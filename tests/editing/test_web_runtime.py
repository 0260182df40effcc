"""Where onnxruntime-web comes from: npm's registry or a mirror, checked; or a folder."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from dnnlib.errors import UserError
from editing import web_runtime
from editing.web_runtime import FILES, archive, check_integrity, registry, runtime_files

CONTENTS = {name: f"contents of {name}".encode() for name in FILES}


def test_files_are_found_in_an_unpacked_package(tmp_path: Path):
    for folder in (tmp_path / "a" / "package" / "dist", tmp_path / "b" / "dist", tmp_path / "c"):
        folder.mkdir(parents=True)
        for name, data in CONTENTS.items():
            (folder / name).write_bytes(data)
    for place in ("a", "b", "c"):
        assert runtime_files(tmp_path / place) == {FILES[name]: data for name, data in CONTENTS.items()}


def test_folders_without_them_are_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="no such folder"):
        runtime_files(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no ort\.wasm\.bundle\.min\.mjs in it"):
        runtime_files(tmp_path)


def test_the_registry_is_npms_or_what_its_variable_says(monkeypatch: pytest.MonkeyPatch):
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        monkeypatch.delenv(name, raising=False)
    assert registry() == "https://registry.npmjs.org"
    monkeypatch.setenv("npm_config_registry", "https://mirror.example/npm/")
    assert archive().url == f"https://mirror.example/npm/onnxruntime-web/-/onnxruntime-web-{web_runtime.VERSION}.tgz"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "file:///somewhere")
    with pytest.raises(UserError, match="not the address of a registry"):
        registry()


def test_what_is_not_the_published_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as package:
        for name, data in CONTENTS.items():
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(data)
            package.addfile(info, io.BytesIO(data))
    path = tmp_path / "package.tgz"
    path.write_bytes(stream.getvalue())
    monkeypatch.setattr(web_runtime, "fetch", lambda *about, **how: path)
    with pytest.raises(UserError, match="not the published onnxruntime-web"):
        runtime_files()
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    check_integrity(path, f"sha512-{digest}")
    monkeypatch.setattr(web_runtime, "INTEGRITY", f"sha512-{digest}")
    assert runtime_files() == {FILES[name]: data for name, data in CONTENTS.items()}
