"""Whether the figures in README.md and docs are those of benchmarks/results: says what is wrong, a line each.

docs/figures.yaml says for every claim of speed, memory or ratio where it comes from. A measured one has to be the value
in a steady report of at least five rounds, rounded as it is written; a claim that no entry covers is named, too.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.harness.report import Report, first_fault, read_report
from benchmarks.harness.rounds import LEAST_ROUNDS
from dnnlib.errors import UserError
from dnnlib.files import write_text
from dnnlib.words import counted

MANIFEST = Path("docs", "figures.yaml")
PLACE = r"\{[^}]*\}"  # of a number

_WORDS = "two|three|four|five|six|seven|eight|nine|ten|twelve|twenty"
_NUMBER = r"\d[\d.,]*"
_SPAN = rf"{_NUMBER}(?: (?:to|or|and) {_NUMBER})?"
_TIME = r"(?:ms|s|seconds?|min|minutes?|h|hours?|days?)"
_THAN = r"(?:as (?:fast|slow|long|large|many)|faster|slower|longer|larger)"
CLAIM = re.compile(
    rf"\b(?:"
    rf"\d+\.\d+ times|(?:{_NUMBER}|{_WORDS}) times (?:{_THAN}|the )|(?:twice|half) {_THAN}"
    rf"|{_SPAN} ?[x×] {_THAN}|{_SPAN}-fold"
    rf"|(?:half|an? (?:third|quarter|fifth|sixth|eighth|tenth) of) the (?:time|speed|memory)"
    rf"|{_SPAN} ?(?:{_TIME}|KiB|MiB|GiB|kB|MB|GB|[GT]FLOP(?:/s)?|EFLOP|GB/s|s/image|s/kimg)(?![\w/])"
    rf"|{_SPAN} ?(?:images|pictures|steps|frames) ?(?:/s|a second|per second)"
    rf"|(?:seconds|milliseconds) (?:per|an?) (?:\d+ )?(?:images?|kimg|steps?)(?! measured)"  # a table's
    rf"|(?:about|takes?|took|after|in|within|under|train) (?:{_WORDS}|an?|half an?) (?:seconds?|minutes?|hours?)"
    rf"|{_SPAN}% (?:of the (?:machine|time|speed|memory)|of that time|faster|slower)"
    rf")"
)


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    page: str = Field(alias="in")  # relative to the project


class Measured(Entry):
    """A figure from a report.

    says: what the page says, with a format such as {:.2f} in the place of each number. values: for each of them, the
    keys that lead to it in the report. scale: what it is multiplied by.
    """

    says: str
    file: str
    values: list[list[str | int]] = Field(min_length=1)
    scale: float = 1.0


class NotMeasured(Entry):
    """What looks like a measured figure, and why it is none."""

    says: str
    why: str = Field(min_length=10)


class Log(Entry):
    """A page that is the log of runs, with its own commands and figures, and why it is not held against reports."""

    why: str = Field(min_length=10)


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    measured: list[Measured]
    not_measured: list[NotMeasured]
    logs: list[Log]


def read_manifest(root: Path) -> Manifest:
    """docs/figures.yaml. Raises UserError when it does not have that form."""
    path = root / MANIFEST
    try:
        return Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"cannot read {MANIFEST}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{MANIFEST}: {error}") from error
    except ValidationError as error:
        raise UserError(f"{MANIFEST}: {first_fault(error)}") from error


# ---- pages


def pages(root: Path) -> list[str]:
    """README.md and docs/*.md, relative to the project."""
    return ["README.md", *(path.relative_to(root).as_posix() for path in sorted((root / "docs").glob("*.md")))]


def prose(text: str) -> str:
    """A page in one line, without code (but with what is said beside it), comments and the targets of links."""
    text = re.sub(r"^```.*?^```", lambda block: _said_in_code(block[0]), text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return " ".join(text.split())


def _said_in_code(block: str) -> str:
    return "\n".join(line.partition("# ")[2] for line in block.splitlines())


# ---- what is wrong


def problems(root: Path) -> list[str]:
    """One line for each figure that is not as it should be; [] when all are."""
    manifest = read_manifest(root)
    texts = {page: prose((root / page).read_text(encoding="utf-8")) for page in pages(root)}
    found, entries = [], list[Measured | NotMeasured]([*manifest.measured, *manifest.not_measured])
    for entry in entries:
        said, wrong = _as_said(entry, root)
        if wrong is None and said not in texts.get(entry.page, ""):
            wrong = f"the page does not say '{said}'"
        if wrong is None:
            texts[entry.page] = texts[entry.page].replace(said, " ")
        else:
            found.append(f"{MANIFEST}, {entry.page}, '{entry.says}': {wrong}")
    logs = {entry.page for entry in manifest.logs}
    found += [f"{MANIFEST}: no page {page}" for page in sorted(logs - texts.keys())]
    return found + [
        f"{page}: '{claim}' is neither measured nor explained in {MANIFEST}"
        for page, text in texts.items()
        if page not in logs
        for claim in claims(text)
    ]


def claims(text: str) -> Iterator[str]:
    """What looks like a figure of speed, memory or ratio, with a few words around it."""
    text = re.sub(r"`[^`]*`", "``", text)
    for match in CLAIM.finditer(text):
        yield text[max(match.start() - 20, 0) : match.end() + 20].strip()


def _as_said(entry: Measured | NotMeasured, root: Path) -> tuple[str, str | None]:
    """(what the page has to say, or what is wrong with the report)."""
    if isinstance(entry, NotMeasured):
        return " ".join(entry.says.split()), None
    wrong = _misformed(entry) or (None if (root / entry.file).exists() else f"there is no {entry.file}")
    if wrong is not None:
        return "", wrong
    report = read_report(root / entry.file)
    against = objection(report, entry)
    if against is not None:
        return "", f"{entry.file}: {against}"
    return " ".join(entry.says.format(*numbers(report, entry)).split()), None


def _misformed(entry: Measured) -> str | None:
    """What is wrong with the places for numbers; None: nothing."""
    places = len(re.findall(PLACE, entry.says))
    if places != len(entry.values):
        return f"has {places} places for {len(entry.values)} value{'s' * (len(entry.values) != 1)}"
    try:
        entry.says.format(*[1.0] * places)
    except (ValueError, IndexError, KeyError) as error:
        return f"not a format: {error}"
    return None


def numbers(report: Report, entry: Measured) -> list[float]:
    """What the report has in the places of an entry."""
    return [value_at(report, keys) * entry.scale for keys in entry.values]


def objection(report: Report, entry: Measured) -> str | None:
    """Why a report cannot stand for a figure; None: it can."""
    if not report.steady:
        return f"not steady: {report.verdict.against[0]}"
    if report.quick or report.rounds < LEAST_ROUNDS:
        return f"{counted(report.rounds, 'round')}, fewer than {LEAST_ROUNDS}"
    if report.commit is None or report.commit.dirty:
        return "made with code that is not committed"
    for keys in entry.values:
        if not isinstance(value_at(report, keys), int | float):
            return f"no number at {keys}"
        if keys[0] == "series" and keys[-1] == "median" and not report.series[str(keys[1])][str(keys[2])].judged:
            return f"{keys[1]}, {keys[2]} has no stable median; cite its range"
    return None


def value_at(report: Report, keys: list[str | int]) -> Any:
    """What is there in the report's JSON; None where there is nothing."""
    value: Any = report.model_dump(mode="json")
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


# ---- new measurements


def renew(root: Path) -> list[str]:
    """Write the values of steady reports over the numbers that stand in their places; returns the pages changed."""
    changed = []
    for entry in read_manifest(root).measured:
        path = root / entry.page
        if _as_said(entry, root)[1] is not None:
            continue
        text = path.read_text(encoding="utf-8")
        new = renewed(text, entry.says, numbers(read_report(root / entry.file), entry))
        if new != text:
            write_text(path, new)
            changed.append(entry.page)
    return list(dict.fromkeys(changed))


def renewed(text: str, says: str, values: list[float]) -> str:
    """A page with `values` where it says `says` with other numbers; line breaks stay where they are."""
    pieces, formats = re.split(PLACE, says), re.findall(PLACE, says)
    pattern = r"-?\d[\d.]*".join(rf"({_any_spaces(piece)})" for piece in pieces)
    written = [form.format(value) for form, value in zip(formats, values, strict=True)] + [""]

    def put(match: re.Match) -> str:
        return "".join(word for pair in zip(match.groups(), written, strict=True) for word in pair)

    return re.sub(pattern, put, text)


def _any_spaces(piece: str) -> str:
    words = [re.escape(word) for word in re.split(r"\s+", piece)]
    return r"\s+".join(words)
