"""A run of a benchmark: how it is to measure, what it finds, and the report that is made of that."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.harness.apart import apart
from benchmarks.harness.machine import convolution, convolution_rate, machine
from benchmarks.harness.progress import Progress
from benchmarks.harness.report import Groups, Rate, Report, commit, now, ratios_of, relative, verdict, write_report
from benchmarks.harness.rounds import LEAST_ROUNDS
from benchmarks.harness.table import closing, table
from benchmarks.harness.turns import Samples, Subject, take_turns

WARMUP = {"cpu": 2, "cuda": 3}  # rounds that are not counted


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


def carry_out(
    run: Run, measure: Callable[..., Findings], options: dict[str, Any], path: Path | None, arguments: list[str]
) -> None:
    """Measure, print the table, and write the report. Ends the process with status 1 where that is what was found."""
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
