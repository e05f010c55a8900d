"""Published figures that the density report shows beside its own; only those whose raw data were read."""

from __future__ import annotations

import csv
from pathlib import Path

from lab.density.analysis import stats
from lab.density.analysis.stats import Estimate, Step

BODEN = 6.0
"""Memory per instance, KVM over Docker: 15 MySQL, KSM on, no interval (bodenr/cloudy-docker-kvm-bench, 2014)."""
FELTER = Path(__file__).parent / "felter.csv"
"""Ten runs of each arm; its first two lines say from where."""


def felter(limit_ms: float) -> Estimate:
    """Felter 2014: transactions a second with a p95 of at most ``limit_ms``, Docker over KVM."""
    with FELTER.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    runs: dict[str, dict[str, list[Step]]] = {"docker": {}, "KVM": {}}
    for row in rows:
        step = Step(float(row["transactions_per_second"]), float(row["p95_ms"]))
        runs[row["arm"]].setdefault(row["run"], []).append(step)
    docker, kvm = (list(runs[arm].values()) for arm in ("docker", "KVM"))
    return stats.curve_ratio(docker, kvm, limit_ms)
