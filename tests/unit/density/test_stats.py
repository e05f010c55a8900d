"""Intervals against known answers and against simulated data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.density.analysis import stats


def test_few_blocks_give_a_range_and_say_so() -> None:
    got = stats.mean([3.0, 1.0, 2.0])
    assert (got.point, got.low, got.high, got.blocks, got.how) == (2.0, 1.0, 3.0, 3, "range")


def test_equal_values_have_no_width() -> None:
    got = stats.mean([4.0] * 10)
    assert (got.low, got.high, got.how) == (4.0, 4.0, "bca95")


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [1.0, math.inf]])
def test_a_mean_refuses_what_is_no_number(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        stats.mean(bad)


def test_ratio_of_pairs_is_geometric_and_cancels_what_a_block_shares() -> None:
    host = [1.0, 10.0, 3.0, 0.2, 5.0, 7.0]
    got = stats.ratio([2 * h for h in host], host)
    assert got.point == pytest.approx(2)
    assert got.high - got.low < 1e-9


def test_ratio_refuses_lists_that_do_not_pair_and_values_without_a_logarithm() -> None:
    with pytest.raises(ValueError, match="pairs"):
        stats.ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="positive"):
        stats.ratio([1.0], [0.0])


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """10 blocks of skewed data, 300 runs: a 95 % interval of so few blocks holds the truth in 85 to 99 % of them."""
    random = np.random.default_rng(7)
    truth = math.exp(0.3**2 / 2)
    resamples, stats.RESAMPLES = stats.RESAMPLES, 999
    try:
        hits = 0
        for run in range(300):
            got = stats.mean(list(random.lognormal(0, 0.3, 10)), run)
            hits += got.low <= truth <= got.high
    finally:
        stats.RESAMPLES = resamples
    assert 0.85 <= hits / 300 <= 0.99


def test_the_interval_of_a_ratio_covers_it() -> None:
    random = np.random.default_rng(11)
    resamples, stats.RESAMPLES = stats.RESAMPLES, 999
    try:
        hits = 0
        for run in range(200):
            host = random.lognormal(0, 1, 10)
            got = stats.ratio(list(3 * host * random.lognormal(0, 0.1, 10)), list(host), run)
            hits += got.low <= 3 <= got.high
    finally:
        stats.RESAMPLES = resamples
    assert 0.85 <= hits / 200 <= 0.99


def test_a_line_is_found() -> None:
    got = stats.line([1, 2, 3, 4], [12, 22, 32, 42])
    assert got.slope == pytest.approx(10)
    assert got.intercept == pytest.approx(2)
    with pytest.raises(ValueError, match="two different"):
        stats.line([2, 2], [1, 3])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_percentiles_were_seen_and_their_upper_limit_is_not_below(values: list[float], share: float) -> None:
    values.sort()
    point, upper = stats.percentile(values, share), stats.upper_quantile(values, share)
    assert point in values
    assert upper in values
    assert upper >= point


def test_the_upper_limit_of_p95_is_exceeded_by_the_true_p95_as_rarely_as_promised() -> None:
    random = np.random.default_rng(3)
    truth = -math.log(0.05)
    misses = sum(stats.upper_quantile(sorted(random.exponential(1, 400)), 0.95) < truth for _ in range(500))
    assert misses / 500 <= 0.08
