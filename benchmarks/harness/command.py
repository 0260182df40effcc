"""A benchmark as a command: the options that all have, and what happens before and after it measures."""

import sys
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.harness.rounds import LEAST_ROUNDS, MOST_ROUNDS, MOST_THREADS, QUICK_ROUNDS
from dnnlib.cli import FILE, Command, Int
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from dnnlib.words import counted

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings

Measure = Callable[..., "Findings"]


class BenchmarkCommand(Command):
    """Keeps its arguments as they were given, for the report."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["benchmark.arguments"] = list(args)
        return super().parse_args(ctx, args)


def benchmark(
    rounds: int = LEAST_ROUNDS,
    quick_rounds: int = QUICK_ROUNDS,
    rounds_option: str = "--rounds",
    rounds_help: str = "Rounds that count; their median is reported.",
    has_device: bool = True,
    rate_apart: bool = False,
    about: str | None = None,
) -> Callable[[Measure], click.Command]:
    """Make a command of a function (run: Run, **options of its own) -> Findings.

    The function checks its options, calls `run.begin()` and measures. about: the help text, instead of its docstring.
    """

    def decorate(measure: Measure) -> click.Command:
        name = Path(measure.__code__.co_filename).stem

        @click.pass_context
        def main(
            ctx: click.Context,
            /,
            json_path: Path | None,
            given_rounds: int | None,
            quick: bool,
            threads: int | None,
            device: str = "cpu",
            **options: Any,
        ) -> None:
            if quick and given_rounds is not None:
                raise UserError(f"--quick takes {counted(quick_rounds, 'round')}; leave it or {rounds_option} out")
            if json_path is not None:
                if json_path.is_dir():  # an empty name is the current one
                    raise UserError(f"--json '{json_path}' is a directory; name a file")
                make_dir(json_path.parent)
            if sys.stderr.isatty():
                sys.stderr.write("loading PyTorch ...\r")
            import torch

            from benchmarks.harness.run import Run, carry_out
            from torch_utils.devices import choose_device

            if threads is not None:
                torch.set_num_threads(threads)
            count = given_rounds or (quick_rounds if quick else rounds)
            run = Run(name, choose_device(device), count, quick, _settings(options), rate_apart)
            carry_out(run, measure, options, json_path, ctx.meta["benchmark.arguments"])

        update_wrapper(main, measure)  # with its options
        command = click.command(name, cls=BenchmarkCommand, help=about)(main)
        command.params += _common_options(rounds, quick_rounds, rounds_option, rounds_help, has_device)
        return command

    return decorate


def _common_options(
    rounds: int, quick_rounds: int, rounds_option: str, rounds_help: str, has_device: bool
) -> list[click.Option]:
    device = click.Option(["--device"], default="auto", show_default=True, help="auto, cuda or cpu.")
    return [
        *[device] * has_device,
        click.Option(["--threads"], type=Int(1, MOST_THREADS), metavar="N",
                     help="CPU threads.  [default: PyTorch's choice]"),
        click.Option([rounds_option, "given_rounds"], type=Int(1, MOST_ROUNDS), metavar="N",
                     help=f"{rounds_help}  [default: {rounds}]"),
        click.Option(["--quick"], is_flag=True,
                     help=f"{counted(quick_rounds, 'round')}, to see that it runs; never to be cited."),
        click.Option(["--json", "json_path"], type=FILE, metavar="FILE",
                     help="Write the report here, too."),
    ]  # fmt: skip


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """What a report says of a benchmark's own options: all but paths."""
    return {name: value for name, value in options.items() if not isinstance(value, Path)}
