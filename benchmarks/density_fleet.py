"""The whole fleet of 168 databases as containers: seconds until all answered, memory, and what sampling costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lab.core.progress import People
from lab.density.measure import fleet


def main() -> None:
    """Write the fleet's rows to the folder given as argument and print the figures that README shows."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/fleet")
    fleet.fleet("dbod", out, People())
    told = json.loads((out / "fleet.json").read_text())
    wanted = ("fleet", "answered_at_start", "up_seconds", "answered_after_settling", "memory_bytes", "sampling_cores")
    json.dump({key: told[key] for key in wanted}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
