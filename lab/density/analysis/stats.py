"""Statistics over blocks and runs: Student's t, ratios on the log scale, slopes, curves at an objective.

A block is the unit of one run: instances of one block are not independent, so every function takes one value a block.
Runs are a level above: what differs from run to run is in no block of one run (Kalibera & Jones, ISMM'13; Abedi &
Brecht, ICPE'17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats as scipy_stats

from lab.density.protocol import BLOCKS, CONFIDENCE, RUNS

RESAMPLES = 1999


@dataclass(frozen=True)
class Estimate:
    """A point with its interval; ``blocks`` is how many values it is over.

    ``how``: ``t95`` (95 % over the blocks of one run), ``t95-runs`` (95 % over runs), ``bootstrap95`` (95 %, two
    samples apart) or ``range`` (too few values for an interval).
    """

    point: float
    low: float
    high: float
    blocks: int
    how: str

    def as_dict(self) -> dict[str, float | int | str]:
        """Plain values for JSON."""
        return {"point": self.point, "low": self.low, "high": self.high, "blocks": self.blocks, "how": self.how}


@dataclass(frozen=True)
class Line:
    """A least-squares line y = intercept + slope * x, with the standard error of the slope (0 with two points)."""

    slope: float
    intercept: float
    error: float


@dataclass(frozen=True)
class Step:
    """One point of a load curve: ``figure`` (such as transactions a second) at which latency was ``ms``."""

    figure: float
    ms: float


def mean(values: Sequence[float]) -> Estimate:
    """The mean over one run's blocks with its t interval. Raises: ValueError on no value, or one not finite.

    Of 5 or 10 skewed blocks it covers the truth in 93 to 97 % of runs (test_stats); BCa did so in 80 and 86 %.
    """
    return _mean(values, BLOCKS, "t95")


def over_runs(runs: Sequence[Sequence[float]]) -> Estimate:
    """The mean of several runs' means, with a t interval over runs; of one run its own. Raises: ValueError."""
    if len(runs) == 1:
        return mean(runs[0])
    return _mean([mean(blocks).point for blocks in runs], RUNS, "t95-runs")


def ratio(top: Sequence[float], bottom: Sequence[float]) -> Estimate:
    """The geometric mean of block-wise ``top / bottom``: pairs of one block.

    Raises: ValueError if the lists differ in length or a value is not positive.
    """
    return ratio_over_runs([(top, bottom)])


def ratio_over_runs(runs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Estimate:
    """``ratio`` over several runs' (top, bottom). Raises: ValueError."""
    logs = []
    for top, bottom in runs:
        if len(top) != len(bottom):
            raise ValueError("a ratio needs pairs")
        if any(v <= 0 for v in (*top, *bottom)):
            raise ValueError("a ratio needs positive values")
        logs.append([math.log(t / b) for t, b in zip(top, bottom, strict=True)])
    found = over_runs(logs)
    return Estimate(math.exp(found.point), math.exp(found.low), math.exp(found.high), found.blocks, found.how)


def at_objective(curve: Sequence[Step], limit_ms: float) -> float:
    """The largest figure of a load curve whose latency keeps ``limit_ms``, read between its points; 0 if none."""
    best = max((step.figure for step in curve if step.ms <= limit_ms), default=0.0)
    for one, two in pairwise(curve):
        if (one.ms <= limit_ms) != (two.ms <= limit_ms):
            share = (limit_ms - one.ms) / (two.ms - one.ms)
            best = max(best, one.figure + share * (two.figure - one.figure))
    return best


def curve_ratio(
    top: Sequence[Sequence[Step]], bottom: Sequence[Sequence[Step]], limit_ms: float, seed: int = 0
) -> Estimate:
    """How many times ``bottom``'s figure ``top`` has at the objective; each a list of runs of one curve's steps.

    The runs of the two have nothing to do with each other: each side is resampled for itself, and a resample's curve
    is the mean of its runs. Raises: ValueError if a side is empty or its runs differ in length, or if no step keeps
    the objective.
    """
    sides = [np.array([[(s.figure, s.ms) for s in run] for run in side], dtype=float) for side in (top, bottom)]
    if any(side.ndim != 3 for side in sides):
        raise ValueError("a curve needs runs")

    def value(side: np.ndarray) -> float:
        return at_objective([Step(*row) for row in side.mean(axis=0)], limit_ms)

    point = [value(side) for side in sides]
    if not all(point):
        raise ValueError("no step keeps the objective")
    draw = np.random.default_rng(seed)
    resamples = [[value(side[draw.integers(0, len(side), len(side))]) for side in sides] for _ in range(RESAMPLES)]
    low, high = np.percentile([t / b for t, b in resamples if b], [2.5, 97.5])
    return Estimate(point[0] / point[1], float(low), float(high), min(map(len, sides)), "bootstrap95")


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a line. Raises: ValueError with fewer than two different x."""
    if len(set(x)) < 2:
        raise ValueError("a slope needs two different levels")
    fit = scipy_stats.linregress(x, y)
    return Line(float(fit.slope), float(fit.intercept), 0.0 if len(x) < 3 else float(fit.stderr))


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values (``share`` 0..1): a value that was really seen."""
    if not sorted_values:
        raise ValueError("no values")
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


def upper_quantile(sorted_values: Sequence[float], share: float, confidence: float = CONFIDENCE) -> float:
    """An upper confidence limit of a percentile, free of any distribution (order statistics, binomial).

    With too few values for the asked confidence the largest is given.
    """
    n = len(sorted_values)
    if n == 0:
        raise ValueError("no values")
    rank = int(scipy_stats.binom.ppf(confidence, n, share))
    return sorted_values[min(rank, n - 1)]


def _mean(values: Sequence[float], enough: int, how: str) -> Estimate:
    sample = np.asarray(values, dtype=float)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError("an estimate needs finite values")
    point, count = float(sample.mean()), int(sample.size)
    if count < enough:
        return Estimate(point, float(sample.min()), float(sample.max()), count, "range")
    half = float(scipy_stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sample.std(ddof=1) / math.sqrt(count))
    return Estimate(point, point - half, point + half, count, how)
