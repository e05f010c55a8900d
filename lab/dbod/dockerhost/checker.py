"""The state checker: connects to every instance, many at a time, and says what it saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from lab.dbod.contract import State
from lab.dbod.dockerhost.records import Record

TOGETHER = 16
Row = dict[str, Any]


def together(ask: Callable[[Record], Row], records: Sequence[Record]) -> list[Row]:
    """What ``ask`` gives of each instance: one that does not answer holds up none but itself."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(ask, records))


def check(
    records: Sequence[Record], state: Callable[[Record], State], full: Callable[[], Mapping[str, float]]
) -> list[Row]:
    """One row an instance: its name, its state, the seconds that asking took, and what share of its room is used."""
    used = full()

    def checked(record: Record) -> Row:
        began = monotonic()
        seen = state(record)
        seconds, room = round(monotonic() - began, 4), round(used.get(record.name, 0.0), 3)
        return {"name": record.name, "state": str(seen), "seconds": seconds, "full": room}

    return together(checked, records)
