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
    records: Sequence[Record], state: Callable[[Record], State], room: Callable[[], Mapping[str, Row]]
) -> list[Row]:
    """One row an instance: its name, its state, the seconds that asking took, and what ``room`` tells of it."""
    used = room()

    def checked(record: Record) -> Row:
        began = monotonic()
        seen = state(record)
        seconds = round(monotonic() - began, 4)
        return {"name": record.name, "state": str(seen), "seconds": seconds, **used.get(record.name, {})}

    return together(checked, records)
