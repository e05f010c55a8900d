"""Figures over runs: what differs from run to run is in no block of one run, so runs are a level of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.density.analysis import stats
from lab.density.analysis.summary import REFERENCE, Arm, Summary


def across(runs: Sequence[Summary]) -> list[dict[str, Any]]:
    """For each engine and arm its bytes for one more database and its ratio to a plain container, over ``runs``.

    Runs without the arm are left out, and ``runs`` says how many had it; with fewer than three the interval is the
    range of the runs' means.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.arms))
    return [_figures(engine, arm, runs) for engine, arm in names if _having(engine, arm, runs)]


def _figures(engine: str, arm: str, runs: Sequence[Summary]) -> dict[str, Any]:
    some = [run.arms[engine, arm] for run in _having(engine, arm, runs)]
    pairs = []
    for run in _having(engine, arm, runs):
        base = run.arms.get((engine, REFERENCE))
        if base and arm != REFERENCE and (pair := _pair(run.arms[engine, arm], base)):
            pairs.append(pair)
    return {
        "engine": engine,
        "arm": arm,
        "runs": len(some),
        "bytes_per_database": stats.over_runs([list(a.slopes.values()) for a in some]).as_dict(),
        "ratio": stats.ratio_over_runs(pairs).as_dict() if pairs else None,
        "unexplained_worst_block": max((a.worst for a in some), key=abs),
    }


def _having(engine: str, arm: str, runs: Sequence[Summary]) -> list[Summary]:
    return [run for run in runs if (engine, arm) in run.arms and run.arms[engine, arm].accounts]


def _pair(arm: Arm, base: Arm) -> tuple[list[float], list[float]] | None:
    """Slopes of the blocks that both have."""
    blocks = [b for b in arm.slopes if b in base.slopes and arm.slopes[b] > 0 and base.slopes[b] > 0]
    return ([arm.slopes[b] for b in blocks], [base.slopes[b] for b in blocks]) if blocks else None
