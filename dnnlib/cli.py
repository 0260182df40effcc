"""Command lines: click, with one error style, help in groups, and checked numbers and paths for all tools.

A command line imports what its --help needs: this module and plain tables. What takes seconds to import (torch,
matplotlib, scipy, pydantic) is imported in the function that does the work, in its first lines.
"""

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import field, fields
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
from click.exceptions import NoArgsIsHelpError

from dnnlib.errors import UserError, as_user_error, in_one_line
from dnnlib.parsing import LONGEST_LIST, int_ranges, integer, real, shown

COUNT_LIMIT = 10**9  # of images, draws, workers and the like
SEED_LIMIT = 2**32  # seeds are 0 to this, exclusive


# ---- commands


class _OneLineErrors(click.Command):
    """Turns bad input, click's own complaints included, into a single `Error: ...` line and exit status 2."""

    def main(self, *args, **kwargs):
        _print_anything()
        return super().main(*args, **kwargs)

    def make_context(self, *args, **kwargs):
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context):
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except KeyboardInterrupt as error:
        raise _Interrupted("interrupted") from error
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        raise _failure(error.format_message() + hint) from error
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        said = as_user_error(error)
        if said is None:
            raise
        _give_up_output()
        raise _failure(str(said)) from error


class _Failure(click.ClickException):
    exit_code = 2


class _Interrupted(click.ClickException):
    """Ctrl-C: no fault, so its line does not begin with Error; the status is the one that shells give."""

    exit_code = 128 + signal.SIGINT

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"\n{self.message}", err=True)


def _failure(message: str) -> click.ClickException:
    return _Failure(in_one_line(message))


def _give_up_output() -> None:
    """Where standard output takes nothing more (a file on a full disk), Python would say so again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_anything() -> None:
    """Characters that the terminal's encoding lacks are written as escapes, such as \\u4e2d, instead of ending us."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)  # a program may have put anything there
    for stream in streams:
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")


class Command(_OneLineErrors):
    """click.Command that reports UserError in one line, and whose --help shows options by their group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_groups(self, ctx, formatter)


class Group(_OneLineErrors, click.Group):
    """click.Group of such commands."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_groups(self, ctx, formatter)
        self.format_commands(ctx, formatter)


# ---- options in groups


class Option(click.Option):
    """click.Option under a heading of --help, such as group="Hardware". `show_default` may be words."""

    def __init__(self, *args, group: str | None = None, **kwargs):
        words = kwargs.get("show_default")
        if isinstance(words, str):
            kwargs |= {"show_default": False, "help": f"{kwargs['help']}  [default: {words}]"}
        super().__init__(*args, **kwargs)
        self.group = group


option = partial(click.option, cls=Option)


def plugin_option(group: str | None = None) -> Callable:
    """The option --plugin of a command, which loads modules before anything else is looked at."""
    return option("--plugin", multiple=True, metavar="MODULE", group=group, is_eager=True, expose_value=False,
                  callback=_load_plugins,
                  help="Load a module with layers, samplers, losses, backbones or metrics of your own "
                       "(docs/extending.md). Can be repeated.")  # fmt: skip


def _load_plugins(ctx: click.Context, option: click.Parameter, names: tuple[str, ...]) -> None:
    from dnnlib.registry import load_plugins

    load_plugins(names)


def _write_groups(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Groups in the order in which they first appear; options of none (--help) come last, as `Options`."""
    sections: dict[str | None, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            sections.setdefault(getattr(parameter, "group", None), []).append(record)
    sections = {name: sections[name] for name in sorted(sections, key=lambda name: name is None)}
    for name, records in sections.items():
        with formatter.section(name or ("Options" if len(sections) == 1 else "Other options")):
            formatter.write_dl(records)


def setting(
    help: str, *, group: str, default: str | None = None, key: str | None = None, value: Any = None, **how: Any
) -> Any:
    """A field of a dataclass that is a table of options (see options_of); its value is `value` where it is not given.

    default: what holds without the option, in words. key: what it sets. how: arguments of click.option, such as type
    and metavar; `names` where the option has another name than the field.
    """
    named = {"help": help, "group": group, "show_default": default or False, **how}
    return field(default=value, metadata={"option": named, "key": key})


def options_of(table: type) -> Callable:
    """A decorator that gives a command one option for each field of `table` that is a `setting`, in their order."""

    def decorate(command: Callable) -> Callable:
        for each in reversed(fields(table)):
            how = dict(each.metadata.get("option", {}))
            if how:
                names = how.pop("names", (spelt(each.name),))
                command = option(*names, each.name, **how)(command)
        return command

    return decorate


def spelt(name: str) -> str:
    """How an option is written: --sel-max-res for sel_max_res."""
    return "--" + name.replace("_", "-")


# ---- types of options


class Number(click.ParamType):
    """A finite number from `least` to `most`; with `above`, larger than that."""

    name = "number"
    parse: Callable[[str], float] = staticmethod(real)

    def __init__(self, least: float = -math.inf, most: float = math.inf, above: float = -math.inf):
        self.least, self.most, self.above = least, most, above

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = self.parse(value) if isinstance(value, str) else value  # defaults are numbers
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"'{shown(str(value))}' is no finite {self.name}.", param, ctx)
        if not self.least <= number <= self.most or number <= self.above:
            self.fail(f"{shown(str(value))} is out of range; give {self._range()}.", param, ctx)
        return number

    def _range(self) -> str:
        least = f"{self.least} or more" if self.above < self.least else f"more than {self.above}"
        return least if math.isinf(self.most) else f"{least}, at most {self.most}"


class Int(Number):
    """A whole number from `least` to `most`, both included."""

    name = "whole number"
    parse = staticmethod(integer)

    def __init__(self, least: int = 0, most: int = COUNT_LIMIT):
        super().__init__(least, most)


class Seeds(click.ParamType):
    """A list such as 0,3,5-8 of at most `most` seeds, which are below 2^32."""

    name = "list"

    def __init__(self, most: int = LONGEST_LIST):
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if not isinstance(value, str):
            return value  # a default may be a list
        try:
            return int_ranges(value, SEED_LIMIT, self.most)
        except UserError as error:
            self.fail(f"{error}.", param, ctx)


class PathText(click.ParamType):
    """A path as text, in which ~ is the home directory: shells leave it alone behind an equals sign (--dest=~/x)."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "\0" in value:
            self.fail("a path has no zero byte.", param, ctx)
        if not value:
            self.fail("a path is empty; the current folder is '.'.", param, ctx)
        expanded = os.path.expanduser(value)
        if expanded.startswith("~"):
            user = shown(expanded.partition("/")[0])
            self.fail(f"there is no home directory {user}; './{user}' is the one of that name here.", param, ctx)
        return expanded


class FilePath(PathText):
    """The same as a Path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return Path(super().convert(os.fspath(value), param, ctx))


SEED = Int(0, SEED_LIMIT - 1)
PATH, FILE = PathText(), FilePath()
