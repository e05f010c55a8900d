"""Seconds of ``up``: cold with empty caches, on a running lab, warm from the committed image; and of ``--help``.

Run as ``python -m benchmarks.up [FLAGS]`` from the checkout; it makes and destroys a lab named ``bench`` by ``up
FLAGS`` (``--hypervisor=qemu``, say) and empties the lab's cache. One cold and one warm run; ``--help`` is the median
of five.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "bench"


def inv(*words: str) -> float:
    """Wall seconds of one command, which must succeed."""
    began = monotonic()
    subprocess.run([ROOT / "inv", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return monotonic() - began


def shown(flags: list[str]) -> list[str]:
    """Flags as a result that is kept may have them: without the paths of the machine that it was measured on."""
    return [f"{flag.partition('=')[0]}=DIR" if "=/" in flag else flag for flag in flags]


def up() -> tuple[float, float, list[dict[str, Any]]]:
    """Wall seconds to the end (a database that answered SQL), to the API (fresh heartbeats), and the events."""
    began = monotonic()
    child = subprocess.Popen(
        [ROOT / "inv", "up", f"--name={NAME}", "--events", *sys.argv[1:]],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    events, api = [], 0.0
    for line in child.stderr:
        if line.startswith("{"):
            events.append(json.loads(line))
            if events[-1]["event"] == "finished" and events[-1]["step"] == "heartbeats":
                api = monotonic() - began
    if child.wait() != 0:
        sys.exit("up failed")
    return monotonic() - began, api, events


def main() -> None:
    """Print the table as JSON."""
    inv("destroy", f"--name={NAME}")
    cold, cold_api, events = up()
    again, _, _ = up()
    inv("destroy", f"--name={NAME}", "--keep-cache")
    warm, warm_api, warm_events = up()
    inv("destroy", f"--name={NAME}", "--keep-cache")
    rows = {
        "flags": shown(sys.argv[1:]),
        "machine": f"{os.cpu_count()} processors, {platform.platform()}",
        "cold up to SQL": cold,
        "cold up to API": cold_api,
        "up on a running lab": again,
        "warm up to API": warm_api,
        "warm up to SQL": warm,
        "--help, median of 5": statistics.median(inv("--help") for _ in range(5)),
        "cold steps": {e["step"]: e["seconds"] for e in events if e["event"] == "finished"},
        "warm steps": {e["step"]: e["seconds"] for e in warm_events if e["event"] == "finished"},
    }
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
