"""Run dataset_tool.py within a test, and look at what it wrote."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from dataset_tool import main


def run(*arguments, expect=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == expect, result.output
    return result.output


def convert(source, dest, *options):
    return run(f"--source={source}", f"--dest={dest}", *options)


def refused(*arguments) -> str:
    """The one line with which a command ends, with exit status 2."""
    [line] = [line for line in run(*arguments, expect=2).splitlines() if not line.startswith("skipped, ")]
    assert line.startswith("Error: ")
    return line


def contents(path):
    """Names and bytes of a data set, and its dataset.json."""
    if Path(path).is_dir():
        files = {file.relative_to(path).as_posix(): file.read_bytes() for file in Path(path).rglob("*.*")}
    else:
        with zipfile.ZipFile(path) as archive:
            assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
            files = {name: archive.read(name) for name in archive.namelist()}
    return files, json.loads(files.pop("dataset.json"))


def images(path):
    return [np.asarray(Image.open(io.BytesIO(data))) for data in contents(path)[0].values()]
