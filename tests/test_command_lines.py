"""What the options of all commands have in common: paths know the home directory, numbers have bounds."""

import importlib
import math
import re
from collections.abc import Iterator

import click
import pytest

from dnnlib.cli import Number, PathText
from tests.test_packaging import COMMANDS

WORDS = {*re.findall(r"\w+", "PATH DIR FILE FOLDER RUN SRC DST png json npz safetensors")}
OTHERS = {"--weights"}  # more than a path: what reads it looks for ~
PROGRAMS = [*(target.partition(":")[0] for target in COMMANDS.values()), "demo"]
MODULES = [
    *(f"benchmarks.{name}" for name in ("checkpoint", "crash", "data", "figures", "inference", "metrics", "ops",
                                        "profile", "train_step")),
    *(f"experiments.{name}" for name in ("collapse", "evidence", "reproduce", "ship", "steer", "tables")),
]  # fmt: skip


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from commands(inner, f"{name} {word}")


def parameters(module: str) -> Iterator[tuple[str, click.Parameter]]:
    for name, command in commands(importlib.import_module(module).main, module):
        for each in command.params:
            yield f"{name} {each.opts[0]}", each


def is_path(each: click.Parameter) -> bool:
    words = {*re.findall(r"\w+", each.metavar or "")}
    return bool(words) and words <= WORDS | {"A", "B", "latest"} and each.opts[0] not in OTHERS


@pytest.mark.parametrize("module", [*PROGRAMS, *MODULES])
def test_paths_know_the_home_directory_and_numbers_have_bounds(module: str):
    for name, each in parameters(module):
        assert isinstance(each.type, PathText) or not (is_path(each) or isinstance(each.type, click.Path)), name
        assert each.type not in (click.INT, click.FLOAT), name
        assert not isinstance(each.type, click.FloatRange), f"{name} takes NaN"
        if isinstance(each.type, click.IntRange):
            assert each.type.max is not None, name
        if isinstance(each.type, Number) and module != "train":  # there, the bounds are those of the keys
            assert math.isfinite(each.type.most), name


def test_paths_are_found():
    assert sum(is_path(each) for _, each in parameters("dataset_tool")) == 7
