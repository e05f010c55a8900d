"""Statistics over blocks: BCa intervals, ratios on the log scale, slopes. A block is the unit that is resampled.

Instances of one block are not independent, so every function takes one value a block
(Kalibera & Jones, ISMM'13; Abedi & Brecht, ICPE'17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

ENOUGH = 5
"""With fewer blocks an interval would promise more than it holds: the range is given instead."""
RESAMPLES = 9999


@dataclass(frozen=True)
class Estimate:
    """A point with its interval. ``how``: ``bca95`` (95 % over blocks) or ``range`` (fewer than 5 blocks)."""

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


def mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean over blocks with its BCa interval. Raises: ValueError on no values or a value that is not finite."""
    sample = np.asarray(values, dtype=float)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError("an estimate needs finite values")
    point, blocks = float(sample.mean()), int(sample.size)
    if blocks < ENOUGH:
        return Estimate(point, float(sample.min()), float(sample.max()), blocks, "range")
    if np.ptp(sample) == 0:
        return Estimate(point, point, point, blocks, "bca95")
    done = scipy_stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    low, high = done.confidence_interval
    return Estimate(point, float(low), float(high), blocks, "bca95")


def ratio(top: Sequence[float], bottom: Sequence[float], seed: int = 0) -> Estimate:
    """The geometric mean of block-wise ``top / bottom``: pairs of one block, resampled together.

    Raises: ValueError if the lists differ in length or a value is not positive.
    """
    if len(top) != len(bottom):
        raise ValueError("a ratio needs pairs")
    if any(v <= 0 for v in (*top, *bottom)):
        raise ValueError("a ratio needs positive values")
    logs = mean([math.log(t / b) for t, b in zip(top, bottom, strict=True)], seed)
    return Estimate(math.exp(logs.point), math.exp(logs.low), math.exp(logs.high), logs.blocks, logs.how)


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


def upper_quantile(sorted_values: Sequence[float], share: float, confidence: float = 0.95) -> float:
    """An upper confidence limit of a percentile, free of any distribution (order statistics, binomial).

    With too few values for the asked confidence the largest is given.
    """
    n = len(sorted_values)
    if n == 0:
        raise ValueError("no values")
    rank = int(scipy_stats.binom.ppf(confidence, n, share))
    return sorted_values[min(rank, n - 1)]
