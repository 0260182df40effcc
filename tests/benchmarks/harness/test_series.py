"""Medians, their intervals, the rule of steadiness, and ratios of pairs."""

import json
import math

import pytest
from pydantic import ValidationError

from benchmarks.harness.series import LIMIT, Series, agree, median_interval, paired_ratio


def test_median_range_and_interval_are_those_of_the_samples():
    series = Series.of("s", [3.0, 1.0, 2.0, 5.0, 4.0])
    assert (series.median, series.range, series.interval) == (3, (1, 5), (1, 5))
    assert Series.of("s", [1.0, 2.0]).median == 1.5


@pytest.mark.parametrize("count, dropped", [(1, None), (4, None), (5, 0), (7, 0), (8, 1), (10, 1), (11, 2), (13, 3)])
def test_the_interval_lies_between_order_statistics(count: int, dropped: int | None):
    expected = None if dropped is None else (dropped, count - 1 - dropped)
    assert median_interval(range(count)) == expected


@pytest.mark.parametrize("count", range(5, 40))
def test_the_interval_holds_the_median_nine_times_in_ten_and_none_narrower_does(count: int):
    low, _ = median_interval(range(count))

    def outside(k: int) -> float:
        """Probability that fewer than k of `count` samples are below the median, or above it."""
        return 2 * sum(math.comb(count, i) for i in range(k)) / 2**count

    assert outside(low + 1) <= 0.1 < outside(low + 2)


@pytest.mark.parametrize("samples, steady", [
    ([1.0, 1.0, 1.1, 1.0, LIMIT], True),
    ([1.0, 1.0, 1.1, 1.0, LIMIT + 0.001], False),
    ([1.0, 1.0, 1.0, 1.0], False),  # too few
    ([1.0] * 7 + [9.0], True),  # one slow round of eight
    ([1.0] * 6 + [9.0], False),  # of seven
    ([1.0] * 9 + [9.0] * 2, True),
    ([1.0] * 8 + [9.0] * 3, False),
    ([-1.0, 1.0, 1.0, 1.0, 1.0], False),
    ([0.0] * 5, True),
])  # fmt: skip
def test_steady(samples: list[float], steady: bool):
    assert Series.of("s", samples).steady is steady
    assert Series.of("s", samples, judged=False).steady is None


def test_two_values_agree():
    assert agree(100, 115)
    assert agree(115, 100)
    assert not agree(100, 116)
    assert not agree(1, -1)


def test_ratios_are_of_pairs_not_of_medians():
    first, second = Series.of("s", [1.0, 20.0, 300.0]), Series.of("s", [2.0, 10.0, 100.0])
    ratio = paired_ratio(first, second)
    assert (ratio.unit, ratio.samples, ratio.median) == ("ratio", [0.5, 2, 3], 2)
    drifting = [1.0, 2.0, 4.0, 8.0, 16.0]  # neither is steady, but their ratio is
    pair = Series.of("s", drifting), Series.of("s", [value * 3 for value in drifting])
    assert [each.steady for each in pair] == [False, False]
    assert paired_ratio(*pair).steady


@pytest.mark.parametrize("second", [Series.of("s", [1.0]), Series.of("ms", [1.0, 2.0])])
def test_what_is_no_pair_is_refused(second: Series):
    with pytest.raises(ValueError, match="are no pairs"):
        paired_ratio(Series.of("s", [1.0, 2.0]), second)


@pytest.mark.parametrize("samples", [[], [float("nan")], [1.0, float("inf")]])
def test_what_is_no_measurement_is_refused(samples: list[float]):
    with pytest.raises(ValueError):
        Series.of("s", samples)


def test_samples_are_kept_to_six_digits_and_survive_json():
    series = Series.of("s", [0.123456789, 123456789.0, 1 / 3])
    assert series.samples == [0.123457, 123457000.0, 0.333333]
    assert Series.model_validate(json.loads(series.model_dump_json())) == series


@pytest.mark.parametrize("change", [{"median": 9.0}, {"range": [0, 3]}, {"steady": True}, {"interval": [1, 3]}])
def test_derived_figures_that_were_changed_are_noticed(change: dict):
    content = Series.of("s", [1.0, 2.0, 3.0]).model_dump(mode="json")
    with pytest.raises(ValidationError, match="the samples give"):
        Series.model_validate(content | change)
