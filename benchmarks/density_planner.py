"""Planner: 168 instances proven optimal, and 100,000 instances of a few classes within 1 % of the bound."""

from __future__ import annotations

import json
import sys

from lab.density.planning import planner
from lab.density.planning.planner import Class

GIB = 1024.0


def main() -> None:
    """Print one JSON object a case: hosts, bound, gap, seconds, and the simple rules beside them."""
    small = [Class("mysql", 141, (392.0, 0.1)), Class("other", 27, (310.0, 0.2))]
    large = [
        Class(f"{size}-{busy}", 8333 + 2 * number, (memory, cpus))
        for number, (size, memory, busy, cpus) in enumerate(
            (size, memory, busy, cpus)
            for size, memory in (("small", 0.093), ("middle", 0.71), ("large", 5.3), ("huge", 19.7))
            for busy, cpus in (("idle", 0.02), ("light", 0.31), ("busy", 1.9))
        )
    ]
    for name, fleet, host in (("168", small, (4 * GIB, 8.0)), ("100000", large, (192.0, 32.0))):
        plan = planner.solve(fleet, host, seconds=45)
        assert planner.verify(plan.best, fleet, host)
        told = {
            "fleet": name,
            "instances": sum(c.count for c in fleet),
            "hosts": plan.best.hosts,
            "bound": plan.bound,
            "gap": round(plan.gap, 5),
            "optimal": plan.optimal,
            "first_fit": plan.first_fit.hosts,
            "best_fit": plan.best_fit.hosts,
            "seconds": round(plan.best.seconds + plan.first_fit.seconds + plan.best_fit.seconds, 2),
        }
        json.dump(told, sys.stdout)
        print()


if __name__ == "__main__":
    main()
