"""What a guest says about its own memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.density.host.procfs import Share


@dataclass(frozen=True)
class Guest:
    """What a virtual machine says about itself, in bytes: /proc/meminfo, its database's share, its other parts'."""

    meminfo: dict[str, int]
    database: Share
    parts: dict[str, int] = field(default_factory=dict)
