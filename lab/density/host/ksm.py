"""Kernel samepage merging: switched on for a trial, waited for until it settled, its processor time charged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.core import waits
from lab.core.errors import TimedOut
from lab.density.host import procfs

SYSFS = Path("/sys/kernel/mm/ksm")
PAGE = 4096
FAST = {"pages_to_scan": "4000", "sleep_millisecs": "20", "run": "1"}
"""About 800 MB/s at most: a trial is minutes, not the days that a host has to settle."""
SCANS = 2
SAME = 0.01
"""Settled: at least SCANS full scans since the start, and pages_sharing moved less than SAME between the last two."""


@dataclass(frozen=True)
class Merged:
    """KSM's own account: bytes ``saved``, ``profit`` (saved less its own metadata), scans, ksmd's CPU seconds."""

    saved: int
    profit: int
    full_scans: int
    cpu: float


def present(root: Path = SYSFS) -> bool:
    """Whether this kernel merges pages and lets us say so."""
    return (root / "run").exists()


def read(root: Path = SYSFS) -> Merged:
    """What KSM says now."""
    return Merged(
        _value(root, "pages_sharing") * PAGE,
        _value(root, "general_profit"),
        _value(root, "full_scans"),
        _daemon_seconds(),
    )


@contextlib.contextmanager
def running(record: Callable[[dict[str, str]], None], root: Path = SYSFS) -> Iterator[None]:
    """KSM on, and afterwards as it was found; ``record`` is told what was found before anything changes."""
    before = {name: (root / name).read_text().strip() for name in FAST}
    record(before)
    try:
        for name, value in FAST.items():
            (root / name).write_text(value)
        yield
    finally:
        restore(before, root)
        record({})


def restore(before: dict[str, str], root: Path = SYSFS) -> None:
    """Put KSM's settings back; 2 gives every merged page its own copy again before it stops."""
    for name, value in before.items():
        if name == "run" and value == "0":
            (root / name).write_text("2")
        (root / name).write_text(value)


def settle(seconds: float, root: Path = SYSFS) -> bool:
    """Wait until merging has settled; False if it had not within ``seconds`` (the row says so)."""
    first = read(root).full_scans
    seen: dict[int, int] = {}

    def settled() -> bool:
        scans, sharing = _value(root, "full_scans"), _value(root, "pages_sharing")
        seen.setdefault(scans, sharing)
        last = [seen[s] for s in sorted(seen)][-2:]
        return scans >= first + SCANS and len(last) == 2 and abs(last[1] - last[0]) <= SAME * max(last[0], 1)

    try:
        waits.until("KSM to settle", settled, seconds=seconds, every=0.5)
    except TimedOut:
        return False
    return True


def _value(root: Path, name: str) -> int:
    try:
        return int((root / name).read_text())
    except FileNotFoundError:
        return 0


def _daemon_seconds() -> float:
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "ksmd":
            return procfs.cpu_seconds(process.pid)
    return 0.0
