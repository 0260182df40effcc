"""Reports made by hand, in the form that every benchmark writes."""

from datetime import UTC, datetime
from typing import Any

from benchmarks.harness.machine import Machine
from benchmarks.harness.report import Commit, Rate, Report, ratios_of, verdict
from benchmarks.harness.series import Series

MACHINE = Machine(cpu="some CPU", kind="AVX2", switches={}, cores=2, threads=2, torch="2.13.0", gpu=None)


def make_report(
    series: dict[str, dict[str, Series]],
    pairs: list[tuple[str, str]] = (),
    *,
    rounds: int = 5,
    quick: bool = False,
    rate: tuple[float, float] = (100.0, 101.0),
    dirty: bool = False,
    gpu: str | None = None,
    **changes: Any,
) -> Report:
    """A report whose verdict is that of its figures."""
    rates = Rate(convolution="3x3", before=rate[0], after=rate[1])
    ratios = ratios_of(series, list(pairs))
    given = {
        "benchmark": "train_step",
        "command": "python -m benchmarks.train_step",
        "commit": Commit(id="0" * 40, dirty=dirty),
        "date": datetime(2025, 1, 1, tzinfo=UTC),
        "settings": {"cfg": "paper256", "res": 256},
        "facts": {},
    }
    return Report(
        **given | changes,
        rounds=rounds,
        quick=quick,
        machine=MACHINE.model_copy(update={"gpu": gpu}),
        rate=rates,
        series=series,
        ratios=ratios,
        verdict=verdict(rounds, quick, rates, series, ratios),
    )


def around(value: float, unit: str = "s", judged: bool = True, rounds: int = 5) -> Series:
    """Samples that agree, `value` in the middle."""
    return Series.of(unit, [value * (1 + 0.01 * (number - (rounds - 1) / 2)) for number in range(rounds)], judged)
