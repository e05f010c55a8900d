"""This moment on two clocks: the one of the wall, which can be set, and one that only goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from lab.dbod.dockerhost.records import moment


@dataclass(frozen=True)
class Now:
    """``wall`` in UTC; ``steady`` in seconds since the host started, with the time that it slept."""

    wall: datetime
    steady: float


def now() -> Now:
    """This moment."""
    return Now(moment(), time.clock_gettime(time.CLOCK_BOOTTIME))
