"""Linux's own figures: /proc/meminfo, smaps, CPU times. All sizes in bytes; ``root`` is another /proc in tests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ (\d+)\s*(.*)$")


@dataclass(frozen=True)
class Share:
    """One process's proportional share: what is shared by k processes counts 1/k in each. Bytes.

    ``anon`` and ``shmem`` must be held; ``file`` is page cache that the kernel counts as available.
    """

    anon: int = 0
    shmem: int = 0
    file: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.anon + other.anon, self.shmem + other.shmem, self.file + other.file)

    @property
    def held(self) -> int:
        """Anonymous and shared memory together."""
        return self.anon + self.shmem


@dataclass(frozen=True)
class Mapping:
    """One mapping of a process: permissions, name, size and proportional share in bytes."""

    perms: str
    name: str
    size: int
    pss: int


@dataclass(frozen=True)
class Cpu:
    """The machine's processor time since boot in seconds: ``busy`` by anybody here, ``steal`` by the host above."""

    busy: float
    steal: float
    total: float


def meminfo(root: Path = PROC) -> dict[str, int]:
    """/proc/meminfo in bytes (fields without a unit, such as HugePages_Total, are left out)."""
    return parse_meminfo((root / "meminfo").read_text())


def parse_meminfo(text: str) -> dict[str, int]:
    """``Name:  123 kB`` lines, in bytes."""
    found = re.findall(r"^([\w()]+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(value) * 1024 for name, value in found}


def share(pid: int, root: Path = PROC) -> Share | None:
    """The process's proportional share from smaps_rollup; None if it is gone or has no memory of its own."""
    try:
        text = (root / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return parse_rollup(text)


def parse_rollup(text: str) -> Share:
    """smaps_rollup's Pss_Anon, Pss_Shmem and Pss_File."""
    values = parse_meminfo(text)
    return Share(values.get("Pss_Anon", 0), values.get("Pss_Shmem", 0), values.get("Pss_File", 0))


def shares(pids: Iterable[int], root: Path = PROC) -> Share:
    """The sum over processes that are there."""
    total = Share()
    for pid in pids:
        total += share(pid, root) or Share()
    return total


def mappings(pid: int, root: Path = PROC) -> Iterator[Mapping]:
    """Every mapping of a process with its share; nothing if it is gone."""
    try:
        text = (root / str(pid) / "smaps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return
    head: re.Match[str] | None = None
    size = 0
    for row in text.splitlines():
        if match := _MAPPING.match(row):
            head = match
        elif head and row.startswith("Size:"):
            size = int(row.split()[1]) * 1024
        elif head and row.startswith("Pss:"):
            yield Mapping(head[1], head[3], size, int(row.split()[1]) * 1024)
            head = None


def cpu_seconds(pid: int, root: Path = PROC) -> float:
    """User and system time of a process and of its ended children, in seconds; 0 if it is gone."""
    try:
        fields = (root / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICKS


def started(pid: int, root: Path = PROC) -> str | None:
    """The process's start time as the kernel tells it: with the pid, the process's identity. None if it is gone."""
    try:
        return (root / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu(root: Path = PROC) -> Cpu:
    """The machine's processor time."""
    values = [int(v) / TICKS for v in (root / "stat").read_text().splitlines()[0].split()[1:9]]
    idle = values[3] + values[4]
    return Cpu(sum(values) - idle - values[7], values[7], sum(values))


def held_elsewhere(root: Path = PROC) -> dict[str, int]:
    """What no field of meminfo names, in bytes: free pages that processors keep for themselves, socket buffers."""
    page = os.sysconf("SC_PAGE_SIZE")
    kept = re.findall(r"^\s+count:\s+(\d+)$", (root / "zoneinfo").read_text(), re.MULTILINE)
    sockets = re.findall(r"\bmem (\d+)", (root / "net" / "sockstat").read_text())
    return {"processors_free": sum(map(int, kept)) * page, "sockets": sum(map(int, sockets)) * page}


def available(root: Path = PROC) -> int:
    """MemAvailable, and the free pages that processors keep for themselves, which it leaves out; bytes.

    Linux >= 6.7 lets those lists grow to hundreds of MiB (mm: auto-tune PCP high), and they move with every exit.
    """
    return meminfo(root)["MemAvailable"] + held_elsewhere(root)["processors_free"]


def swapped_pages(root: Path = PROC) -> int:
    """Pages swapped in or out since boot."""
    text = (root / "vmstat").read_text()
    return sum(int(v) for v in re.findall(r"^pswp(?:in|out) (\d+)$", text, re.MULTILINE))


def disk_bytes(root: Path = PROC) -> tuple[int, int]:
    """Bytes read from and written to disks since boot, by everybody."""
    text = (root / "vmstat").read_text()
    read, written = (re.search(rf"^{name} (\d+)$", text, re.MULTILINE) for name in ("pgpgin", "pgpgout"))
    return tuple(int(found[1]) * 1024 if found else 0 for found in (read, written))  # type: ignore[return-value]


def pressure_full(root: Path = PROC) -> float | None:
    """Seconds since boot in which every task waited for memory (PSI ``full``); None where the kernel keeps none."""
    try:
        text = (root / "pressure" / "memory").read_text()
    except OSError:
        return None
    match = re.search(r"^full .*total=(\d+)", text, re.MULTILINE)
    return int(match[1]) / 1e6 if match else None
