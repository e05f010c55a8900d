"""Where memory is: an arm's on the host, and a guest's by its own account."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.density.host.procfs import Share


@dataclass(frozen=True)
class Guest:
    """What a virtual machine says about itself, in bytes: /proc/meminfo, its database's share, its other parts'."""

    meminfo: dict[str, int]
    database: Share
    parts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Resident:
    """Where an arm's memory is, in bytes, each page counted once (proportional shares).

    ``files`` are mapped program files: page cache, which the kernel counts as available.
    """

    parts: dict[str, int]
    files: int
    guests: tuple[Guest, ...] = ()
