"""The host around a trial: load that is not ours, steal, swapping; the page cache emptied; memory come to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from lab.core import process, waits
from lab.core.errors import TimedOut
from lab.core.units import MIB
from lab.density.host import procfs

LOOK_SECONDS = 1.0
LOUD = 0.25
"""More processor time than this (in cores) used by others, or stolen, marks a trial."""
DROP = Path("/proc/sys/vm/drop_caches")
STILL_BYTES = 2 * MIB
STILL_SAMPLES = 4
STILL_EVERY = 0.3
CALM = 0.1
"""Cores that a machine may use at most to pass for one that has booted and rests."""


@dataclass(frozen=True)
class Mark:
    """The host at one moment."""

    cpu: procfs.Cpu
    swapped: int
    pressure: float | None
    disk: tuple[int, int]
    """Bytes read, bytes written."""


def mark() -> Mark:
    """Take the counters."""
    return Mark(procfs.cpu(), procfs.swapped_pages(), procfs.pressure_full(), procfs.disk_bytes())


def since(before: Mark) -> dict[str, float | int | None]:
    """What happened since, by everybody: processor time and steal in cores, disk in bytes a second, pages swapped.

    ``stalled``: seconds in which everything waited for memory.
    """
    now = mark()
    wall = max((now.cpu.total - before.cpu.total) / processors(), 0.01)
    stalled = None if now.pressure is None or before.pressure is None else now.pressure - before.pressure
    return {
        "busy": round((now.cpu.busy - before.cpu.busy) / wall, 3),
        "disk_read": round((now.disk[0] - before.disk[0]) / wall),
        "disk_written": round((now.disk[1] - before.disk[1]) / wall),
        "steal": round((now.cpu.steal - before.cpu.steal) / wall, 3),
        "swapped": now.swapped - before.swapped,
        "stalled": stalled,
    }


def outside() -> float:
    """Processor time that others use now, in cores: looked at while nothing of ours runs."""
    before = procfs.cpu()
    waits.pause(LOOK_SECONDS)
    now = procfs.cpu()
    wall = max((now.total - before.total) / processors(), 0.01)
    return round((now.busy - before.busy) / wall, 3)


def processors() -> int:
    """How many processors the kernel counts time for."""
    return sum(line[:3] == "cpu" and line[3:4].isdigit() for line in (procfs.PROC / "stat").read_text().splitlines())


def drop_caches() -> bool:
    """Write dirty pages out and empty the page cache; False where we may not."""
    process.run("sync", timeout=120)
    done = process.run(*process.as_root("sh", "-c", f"echo 3 > {DROP}"), check=False)
    return done.ok


def rest(seconds: float) -> bool:
    """Wait until MemAvailable stands still (four samples within 2 MiB); False if it did not within ``seconds``."""
    seen: list[int] = []

    def still() -> bool:
        seen.append(procfs.available())
        last = seen[-STILL_SAMPLES:]
        return len(last) == STILL_SAMPLES and max(last) - min(last) < STILL_BYTES

    try:
        waits.until("memory to rest", still, seconds=seconds, every=STILL_EVERY)
    except TimedOut:
        return False
    return True


def calm(pids: Callable[[], Iterable[int]], seconds: float) -> bool:
    """Wait until these processes use next to no processor time (booting is over); False if not within ``seconds``."""
    seen: list[tuple[float, float]] = []

    def resting() -> bool:
        found = list(pids())
        seen.append((monotonic(), sum(procfs.cpu_seconds(p) for p in found)))
        if len(seen) < 3:
            return False
        (began, before), (now, used) = seen[-3], seen[-1]
        return used - before < CALM * len(found) * (now - began)

    try:
        waits.until("machines to rest", resting, seconds=seconds, every=0.5)
    except TimedOut:
        return False
    return True
