"""A report for people: medians with their ranges, a column a subject and a pair; and the verdict."""

from benchmarks.harness.report import Groups, Report
from benchmarks.harness.series import Series

NUMBER = ".4g"
NOTHING = "-"


def table(report: Report) -> str:
    """All series and ratios, quantities downwards; subjects that have none in common are below each other."""
    return "\n".join(_block(block, report.ratios) for block in _blocks(report.series))


def _blocks(series: Groups) -> list[Groups]:
    """Subjects that have quantities in common with one before them, together."""
    blocks: list[Groups] = []
    for name, quantities in series.items():
        shared = next((block for block in blocks if quantities.keys() & _quantities(block).keys()), {})
        shared[name] = quantities
        if len(shared) == 1:
            blocks.append(shared)
    return blocks


def _block(series: Groups, ratios: Groups) -> str:
    within = {name: each for name, each in ratios.items() if each.keys() & _quantities(series).keys()}
    width = max(map(len, _labels(series)))
    cells = [_column(name, quantities, series) for name, quantities in (series | within).items()]
    rows = zip(["", *_labels(series)], *cells, strict=True)
    return "\n".join(f"{label:{width}}" + "".join(row) for label, *row in rows)


def _quantities(series: Groups) -> dict[str, str]:
    """{quantity: unit}, in the order in which they come."""
    return {what: each.unit for quantities in series.values() for what, each in quantities.items()}


def _labels(series: Groups) -> list[str]:
    return [f"{what}, {unit}" for what, unit in _quantities(series).items()]


def _column(name: str, quantities: dict[str, Series], series: Groups) -> list[str]:
    """Head and cells, all of one width."""
    cells = [name, *(_cell(quantities.get(what)) for what in _quantities(series))]
    width = max(map(len, cells)) + 3
    return [f"{cell:>{width}}" for cell in cells]


def _cell(series: Series | None) -> str:
    if series is None:
        return NOTHING
    low, high = series.range
    return f"{series.median:{NUMBER}} ({low:{NUMBER}} to {high:{NUMBER}})"


def closing(report: Report) -> list[str]:
    """The machine's rate and the verdict."""
    rate = report.rate
    lines = [f"the machine's convolution rate: {rate.before:.0f} GFLOP/s before, {rate.after:.0f} after"]
    if report.steady:
        return [*lines, f"steady: {report.rounds} rounds"]
    return [*lines, *(f"not steady, not to be cited: {reason}" for reason in report.verdict.against)]
