"""What goes wrong until it works again, as the page and the API tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Alarm:
    """``what`` fails since then, ``tries`` times by now, last for ``error``; ``next`` is when it is tried again."""

    what: str
    since: datetime
    tries: int
    error: str
    next: datetime
