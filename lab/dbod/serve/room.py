"""Instances whose data or log have nearly all the room that they may have, as the state checker saw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from lab.dbod.serve.alarm import Alarm

MOST = 0.9
"""The share of its room above which an instance is told of."""


class Room:
    """What the last look saw."""

    def __init__(self, every: float) -> None:
        """``every``: seconds between two looks."""
        self._every = timedelta(seconds=every)
        self._seen: dict[str, tuple[float, datetime, int]] = {}
        self._at: datetime | None = None

    def saw(self, rows: Iterable[Mapping[str, Any]], now: datetime) -> None:
        """Take over a look's rows; those of other providers tell no ``full``."""
        full = {str(row["name"]): float(row["full"]) for row in rows if row.get("full", 0.0) >= MOST}
        known, self._at = self._seen, now
        self._seen = {
            name: (share, known[name][1], known[name][2] + 1) if name in known else (share, now, 1)
            for name, share in full.items()
        }

    def alarms(self) -> list[Alarm]:
        """One for each that is nearly full."""
        return [
            Alarm(
                f"{name} has {share:.0%} of its room in use", since, looks,
                f"./inv dbod resize --instance={name} --disk=GIB gives it more.", (self._at or since) + self._every,
            )
            for name, (share, since, looks) in sorted(self._seen.items())
        ]  # fmt: skip
