"""A benchmark as a command: the options that all have, and what happens before and after it measures."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.harness.apart import apart
from benchmarks.harness.machine import convolution, convolution_rate, machine
from benchmarks.harness.progress import Progress
from benchmarks.harness.report import Groups, Rate, Report, commit, now, ratios_of, relative, verdict, write_report
from benchmarks.harness.series import LEAST_ROUNDS
from benchmarks.harness.table import closing, table
from benchmarks.harness.turns import Samples, Subject, take_turns
from dnnlib.cli import FILE, Command, Int
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from dnnlib.words import counted
from torch_utils.devices import choose_device

QUICK_ROUNDS = 2
WARMUP = {"cpu": 2, "cuda": 3}  # rounds that are not counted
MOST_ROUNDS, MOST_THREADS = 10_000, 1024


@dataclass(frozen=True)
class Findings:
    """What a benchmark hands back.

    series: of each subject its quantities; pairs: subjects whose ratio is wanted, first to second; facts: what was
    counted, or measured once; lines: more for people to read; failure: why the command ends with status 1, if it does.
    """

    series: Groups
    pairs: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    failure: str | None = None


@dataclass
class Run:
    """How a benchmark is to measure, as the common options say; its first argument."""

    name: str
    device: torch.device
    rounds: int = LEAST_ROUNDS
    quick: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    rate_apart: bool = False  # in another process: threads that have computed keep a fork from doing so
    rate_before: float = 0.0
    progress: Progress = field(default_factory=lambda: Progress("benchmark"))

    def begin(self) -> None:
        """What was asked for makes sense: say what is measured and where, and begin."""
        about = machine(self.device).model_dump()
        facts = {"rounds": self.rounds} | self.settings | about | about["switches"] | {"switches": None}
        click.echo("  ".join(f"{key} {value}" for key, value in facts.items() if value is not None))
        self.rate_before = self.rate()

    def rate(self) -> float:
        """The machine's convolution rate at the moment, GFLOP/s."""
        with self.progress.one_more("the machine's convolution rate"):
            return apart(convolution_rate, self.device) if self.rate_apart else convolution_rate(self.device)

    def take_turns(
        self, subjects: Mapping[str, Subject], warmup: int | None = None, what: str = ""
    ) -> dict[str, Samples]:
        """As turns.take_turns, with this run's rounds; warmup: rounds that do not count, of a quick run one at most."""
        warmup = WARMUP[self.device.type] if warmup is None else warmup
        return take_turns(subjects, self.rounds, min(warmup, 1) if self.quick else warmup, self.progress, what)


Measure = Callable[..., Findings]


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
            if threads is not None:
                torch.set_num_threads(threads)
            count = given_rounds or (quick_rounds if quick else rounds)
            run = Run(name, choose_device(device), count, quick, _settings(options), rate_apart)
            _carry_out(run, measure, options, json_path, ctx.meta["benchmark.arguments"])

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


def _carry_out(run: Run, measure: Measure, options: dict[str, Any], path: Path | None, arguments: list[str]) -> None:
    date, state, run.progress = now(), commit(), Progress(run.name)
    with run.progress:
        findings = measure(run, **options)
        rate = Rate(convolution=convolution(run.device), before=run.rate_before, after=run.rate())
    ratios = ratios_of(findings.series, findings.pairs)
    words = ["python", "-m", f"benchmarks.{run.name}", *(relative(word, Path.cwd()) for word in arguments)]
    report = Report(
        benchmark=run.name,
        command=shlex.join(words),
        commit=state,
        date=date,
        rounds=run.rounds,
        quick=run.quick,
        machine=machine(run.device),
        rate=rate,
        settings=run.settings | {"device": run.device.type},
        series=findings.series,
        ratios=ratios,
        facts=findings.facts,
        verdict=verdict(run.rounds, run.quick, rate, findings.series, ratios),
    )
    click.echo("\n".join([table(report), *findings.lines, *closing(report)]))
    if path is not None:
        write_report(path, report)
    if findings.failure is not None:
        click.echo(findings.failure, err=True)
        raise SystemExit(1)
