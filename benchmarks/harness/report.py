"""The JSON file that every benchmark writes: what was measured, where, when, of which state of the code."""

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.harness.machine import Machine
from benchmarks.harness.series import LEAST_ROUNDS, RULE, Finite, Series, agree, paired_ratio
from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from dnnlib.words import counted

ROOT = Path(__file__).resolve().parents[2]
VERSION = 1
# Changes there do not change what is measured.
NOT_CODE = (":!benchmarks/results", ":!docs", ":!*.md")

Groups = dict[str, dict[str, Series]]  # of each subject its quantities; of each pair of subjects their ratios


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Commit(Section):
    """State of the code; dirty: tracked code differed from it."""

    id: str
    dirty: bool


class Rate(Section):
    """The machine's rate of one fixed convolution, in GFLOP/s, at the benchmark's start and end."""

    convolution: str
    before: Finite
    after: Finite


class Verdict(Section):
    """Whether the figures can be trusted, what speaks against it, and the rule."""

    steady: bool
    against: list[str]
    rule: str


class Report(Section):
    """One run of one benchmark.

    series: of each subject its quantities; ratios: of pairs of subjects, "A to B", round by round; facts: what was
    counted, or measured once.
    """

    version: int = Field(VERSION, ge=VERSION, le=VERSION)
    benchmark: str
    command: str
    commit: Commit | None  # None outside a git checkout
    date: AwareDatetime
    rounds: int = Field(ge=1)
    quick: bool
    machine: Machine
    rate: Rate
    settings: dict[str, Any]
    series: Groups
    ratios: Groups
    facts: dict[str, Any]
    verdict: Verdict

    @model_validator(mode="after")
    def _belongs_together(self) -> "Report":
        for name, series in judged(self.series, self.ratios):
            if len(series.samples) != self.rounds:
                raise ValueError(
                    f"{name} has {counted(len(series.samples), 'sample')} in {counted(self.rounds, 'round')}"
                )
        against = what_speaks_against(self.rounds, self.quick, self.rate, self.series, self.ratios)
        if (self.verdict.steady, self.verdict.against) != (not against, against):
            raise ValueError(f"the verdict is not that of the figures: {against or 'they are steady'}")
        return self

    @property
    def steady(self) -> bool:
        return self.verdict.steady


def verdict(rounds: int, quick: bool, rate: Rate, series: Groups, ratios: Groups) -> Verdict:
    """By RULE."""
    against = what_speaks_against(rounds, quick, rate, series, ratios)
    return Verdict(steady=not against, against=against, rule=RULE)


def what_speaks_against(rounds: int, quick: bool, rate: Rate, series: Groups, ratios: Groups) -> list[str]:
    """Why figures are not to be trusted; [] where nothing is."""
    found = judged(series, ratios)
    against = [f"--quick, {counted(rounds, 'round')}"] if quick else []
    if rounds < LEAST_ROUNDS and not quick:
        against.append(f"{counted(rounds, 'round')}, fewer than {LEAST_ROUNDS}")
    if found and not agree(rate.before, rate.after):
        against.append(f"the machine did {rate.before:.0f} GFLOP/s before and {rate.after:.0f} after")
    return against + [
        f"{name}: {_spread(each.interval, each.unit)}" for name, each in found if each.interval and not each.steady
    ]


def judged(*all_groups: Groups) -> list[tuple[str, Series]]:
    """Every series that has a stable median, with its name."""
    return [
        (f"{name}, {what}", each)
        for groups in all_groups
        for name, quantities in groups.items()
        for what, each in quantities.items()
        if each.judged
    ]


def _spread(interval: tuple[float, float], unit: str) -> str:
    low, high = interval
    return f"{low:.4g} to {high:.4g} {unit}"


def ratios_of(series: Groups, pairs: list[tuple[str, str]]) -> Groups:
    """{"A to B": {quantity: A's samples divided by B's}} of the judged quantities that both have."""
    return {
        f"{first} to {second}": {
            what: paired_ratio(each, series[second][what])
            for what, each in series[first].items()
            if what in series[second] and each.judged
        }
        for first, second in pairs
    }


# ---- the code's state, the command


GIT_LIMIT = 60  # seconds; a checkout on a slow network disk takes a few


def commit(folder: Path = ROOT) -> Commit | None:
    """What is checked out in `folder`; None where that is no git checkout."""
    head = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *NOT_CODE)
    return None if head is None or changes is None else Commit(id=head.strip(), dirty=bool(changes.strip()))


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=GIT_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def relative(word: str, folder: Path) -> str:
    """A word of a command line without absolute paths: relative to `folder`, or the last name where that is outside."""
    option, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    path = Path(value)
    if not path.is_absolute():
        return word
    inside = path.is_relative_to(folder)
    return f"{option}{equals}{path.relative_to(folder) if inside else path.name}"


# ---- files


def write_report(path: Path, report: Report) -> None:
    """Atomically write a report as JSON."""
    write_json(path, report.model_dump(mode="json"))


def read_report(path: Path) -> Report:
    """A report, its derived figures checked. Raises UserError when it cannot be read or is none."""
    try:
        return Report.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(f"{path}: not a report of benchmarks ({first_fault(error)})") from error


def first_fault(error: ValidationError) -> str:
    """Of what pydantic found, where the first is and what."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}"


def now() -> datetime:
    """With the time zone, to the second."""
    return datetime.now().astimezone().replace(microsecond=0)
