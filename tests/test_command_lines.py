"""What the options of all commands have in common: paths know the home directory, numbers have bounds."""

import importlib
import math
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dnnlib.cli import Number, PathText, Seeds
from dnnlib.errors import UserError
from tests.test_packaging import COMMANDS, modules_with_commands

ROOT = Path(__file__).parents[1]
WORDS = {*re.findall(r"\w+", "PATH DIR FILE FOLDER RUN SRC DST png json npz safetensors")}
OTHERS = {"--weights", "--mask", "--layers"}  # more than a path, or none: whoever reads them looks for ~
ODD_DIGITS = ("1_0", "１２", "١", "1٢", "²")  # int() and float() take all but the last
PROGRAMS = [*(target.partition(":")[0] for target in COMMANDS.values()), "demo"]
MODULES = modules_with_commands()


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


def is_taken(text: str, each: click.Parameter) -> bool:
    try:
        each.type.convert(text, each, None)
    except (click.BadParameter, UserError):
        return False
    return True


def is_path(each: click.Parameter) -> bool:
    words = {*re.findall(r"\w+", each.metavar or "")}
    return bool(words) and words <= WORDS | {"A", "B", "latest"} and each.opts[0] not in OTHERS


@pytest.mark.parametrize("module", [*PROGRAMS, *MODULES])
def test_paths_know_the_home_directory_and_numbers_have_bounds(module: str):
    for name, each in parameters(module):
        assert isinstance(each.type, PathText) or not (is_path(each) or isinstance(each.type, click.Path)), name
        assert getattr(each.type, "func", None) is not Path, f"{name} does not know ~"
        assert each.type not in (click.INT, click.FLOAT), name
        assert not isinstance(each.type, click.FloatRange), f"{name} takes NaN"
        assert not isinstance(each.type, click.IntRange), f"{name} takes 1_000"
        if isinstance(each.type, Number) and module != "train":  # there, the bounds are those of the keys
            assert math.isfinite(each.type.most), name


@pytest.mark.parametrize("module", [*PROGRAMS, *MODULES])
def test_numbers_are_of_plain_digits(module: str):
    for name, each in parameters(module):
        if isinstance(each.type, Number | Seeds):
            assert [text for text in ODD_DIGITS if is_taken(text, each)] == [], name


def test_the_list_has_every_command():
    assert len(MODULES) >= 12
    assert sum(is_path(each) for _, each in parameters("dataset_tool")) == 7
