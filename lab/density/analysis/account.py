"""The closed account: what one more database costs the host, and where that memory is.

The headline is the slope of available memory's loss over N. The parts are slopes as well: processes by proportional
share, and the kernel's own by /proc/meminfo. What no part explains of the raw slope is published: the residual and
what other programs took, together. The residual alone could not fail, since a part that is read too small makes the
others' memory larger by as much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.core import waits
from lab.density.analysis import stats
from lab.density.host import procfs
from lab.density.host.resident import Resident
from lab.density.protocol import MOMENTS, SAMPLE_SECONDS

KERNEL = {
    "page_tables": ("PageTables", "SecPageTables"),
    "slab": ("SUnreclaim",),
    "stacks": ("KernelStack",),
    "percpu": ("Percpu",),
}
"""Kernel memory that MemAvailable does not count: parts of the account by /proc/meminfo's fields."""
KEPT = (
    "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "AnonPages", "Shmem", "Slab", "SReclaimable",
    "SUnreclaim",
    "KernelStack", "PageTables", "SecPageTables", "Percpu", "VmallocUsed", "AnonHugePages", "KReclaimable", "Mapped",
    "Active(anon)", "Inactive(anon)", "Active(file)", "Inactive(file)", "Unevictable", "Mlocked", "Dirty",
    "Writeback", "Hugetlb", "CmaTotal", "CmaFree",
)  # fmt: skip


@dataclass(frozen=True)
class Account:
    """Bytes for one more database: ``slope`` of the host's loss, ``parts`` of it, the ``residual`` that is left.

    ``others``: memory of processes in no part, by the same line: programs that are none of the arm's, or a part that
    is read too small; it is not in ``slope``.
    """

    slope: float
    parts: dict[str, float]
    others: float
    residual: float

    @property
    def raw(self) -> float:
        """The slope of all that the host lost, whoever took it."""
        return self.slope + self.others

    @property
    def unexplained(self) -> float:
        """What is in no part, of the raw slope, signed; 1 if that is not positive (nothing was measured)."""
        return (self.residual + self.others) / self.raw if self.raw > 0 else 1.0


def sample(look: Callable[[], Resident]) -> dict[str, Any]:
    """The middle one of ``MOMENTS`` looks over ``SAMPLE_SECONDS``, as plain values for a row; bytes.

    ``spread``: available memory of the moment that had most less that of the one that had least.
    """
    moments = []
    for number in range(MOMENTS):
        if number:
            waits.pause(SAMPLE_SECONDS / (MOMENTS - 1))
        moments.append(_moment(look()))
    return middle(moments)


def middle(moments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The moment whose available memory is the median: one whole moment, so that its parts belong together."""
    ordered = sorted(moments, key=available)
    return {**ordered[len(ordered) // 2], "spread": available(ordered[-1]) - available(ordered[0])}


def _moment(resident: Resident) -> dict[str, Any]:
    """The host's meminfo and the arm's parts now. ``guest`` stays empty."""
    info = procfs.meminfo()
    return {
        "meminfo": {name: info[name] for name in KEPT if name in info},
        "elsewhere": procfs.held_elsewhere(),
        "parts": resident.parts,
        "files": resident.files,
        "guest": {},
    }


def available(sample: dict[str, Any]) -> int:
    """``procfs.available`` at that moment, in bytes."""
    return int(sample["meminfo"]["MemAvailable"] + sample["elsewhere"]["processors_free"])


def others(sample: dict[str, Any]) -> int:
    """Memory of programs that are none of the arm's (the bench itself, other users of the host), in bytes."""
    info = sample["meminfo"]
    return int(info["AnonPages"] + info.get("Shmem", 0) - sum(sample["parts"].values()))


def close(levels: Sequence[int], samples: Sequence[dict[str, Any]]) -> Account:
    """The account of one trial from its samples at increasing ``levels`` of N (two at least)."""
    foreign = stats.line(levels, [others(s) for s in samples]).slope
    slope = stats.line(levels, [-available(s) for s in samples]).slope - foreign
    names = sorted({name for s in samples for name in s["parts"]})
    parts = {name: stats.line(levels, [s["parts"].get(name, 0) for s in samples]).slope for name in names}
    for name, fields in KERNEL.items():
        parts[name] = stats.line(levels, [sum(s["meminfo"].get(f, 0) for f in fields) for s in samples]).slope
    return Account(slope, parts, foreign, slope - sum(parts.values()))


def guests(resident: Resident) -> dict[str, int]:
    """Sums over the guests that answered: what is inside guest RAM, by the guests' own account."""
    if not resident.guests:
        return {}
    total: dict[str, int] = {"answered": len(resident.guests)}
    for one in resident.guests:
        info = one.meminfo
        kernel = sum(info.get(f, 0) for f in ("Slab", "KernelStack", "PageTables", "Percpu"))
        cache = info.get("Cached", 0) + info.get("Buffers", 0) - info.get("Shmem", 0)
        other = info["AnonPages"] + info.get("Shmem", 0) - one.database.held - sum(one.parts.values())
        for name, size in (
            ("total", info["MemTotal"]),
            ("free", info["MemFree"]),
            ("database", one.database.held),
            ("other_programs", max(0, other)),
            ("page_cache", cache),
            ("kernel", kernel),
            *one.parts.items(),
        ):
            total[name] = total.get(name, 0) + size
    return total
