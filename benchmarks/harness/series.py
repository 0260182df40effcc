"""A measured quantity: its samples, their median and range, and the rule by which it is steady."""

import statistics
from collections.abc import Sequence
from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, Field, model_validator

from benchmarks.harness.rounds import LEAST_ROUNDS

LIMIT = 1.15
CONFIDENCE = 0.9
RULE = (
    f"Steady: at least {LEAST_ROUNDS} rounds, and in every judged series and ratio the ends of the "
    f"{CONFIDENCE:.0%} confidence interval of the median differ by a factor of at most {LIMIT}; where anything is "
    "judged, so do the machine's convolution rates before and after."
)
DIGITS = 6  # significant ones that are kept of a sample

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Series(BaseModel):
    """One quantity, a sample a round.

    interval: of the median, by order statistics; None where there are too few samples for one.
    judged: whether the quantity has a stable median at all; of one that has none (the time of a disk, a wait that is
    next to zero), only the range means something, and `steady` is None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    samples: list[Finite] = Field(min_length=1)
    median: Finite
    range: tuple[Finite, Finite]
    interval: tuple[Finite, Finite] | None
    judged: bool = True
    steady: bool | None

    @classmethod
    def of(cls, unit: str, samples: Sequence[float], judged: bool = True) -> "Series":
        """The series of these samples. Raises ValueError when there are none, or one is infinite or NaN."""
        rounded = [float(f"{sample:.{DIGITS}g}") for sample in samples]
        return cls(unit=unit, samples=rounded, judged=judged, **_derived(rounded, judged))

    @model_validator(mode="after")
    def _belongs_together(self) -> "Series":
        for name, value in _derived(self.samples, self.judged).items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is {getattr(self, name)}, but the samples give {value}")
        return self


class _Derived(TypedDict):
    """What follows from the samples."""

    median: float
    range: tuple[float, float]
    interval: tuple[float, float] | None
    steady: bool | None


def _derived(samples: list[float], judged: bool) -> _Derived:
    if not samples:
        raise ValueError("no samples")
    interval = median_interval(samples)
    return {
        "median": statistics.median(samples),
        "range": (min(samples), max(samples)),
        "interval": interval,
        "steady": (interval is not None and agree(*interval)) if judged else None,
    }


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """The order statistics between which the median lies with CONFIDENCE, whatever the distribution; None: too few."""
    from scipy.stats import binom

    place = int(binom.ppf((1 - CONFIDENCE) / 2, len(samples), 0.5))
    ordered = sorted(samples)
    return (ordered[place - 1], ordered[-place]) if place > 0 else None


def agree(one: float, other: float) -> bool:
    """Whether two values of one sign differ by a factor of at most LIMIT."""
    low, high = sorted((abs(one), abs(other)))
    return low == high == 0 or (one * other > 0 and high / low <= LIMIT)


def paired_ratio(first: Series, second: Series) -> Series:
    """first / second, round by round. Raises ValueError when they are not of the same rounds and unit."""
    if len(first.samples) != len(second.samples) or first.unit != second.unit:
        raise ValueError(
            f"{len(first.samples)} in {first.unit} and {len(second.samples)} in {second.unit} are no pairs of samples"
        )
    return Series.of("ratio", [a / b for a, b in zip(first.samples, second.samples, strict=True)])
