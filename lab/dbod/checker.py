"""The state checker: connects to every instance and records what it saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from lab.dbod.contract import State
from lab.dbod.records import Record
from lab.density.rows import Rows
from lab.home import Home

TOGETHER = 16
FOLDER = "states"
"""Of the home; its rows.jsonl is the record that monitoring graphs would be drawn from."""


def check(home: Home, records: Sequence[Record], state: Callable[[Record], State]) -> list[dict[str, Any]]:
    """One row an instance: its name, its state, and the seconds that asking took."""

    def checked(record: Record) -> dict[str, Any]:
        began = monotonic()
        seen = state(record)
        return {"instance": record.name, "state": str(seen), "seconds": round(monotonic() - began, 4)}

    rows = Rows(home.path / FOLDER)
    with ThreadPoolExecutor(TOGETHER) as pool:
        return [rows.add("state", **one) for one in pool.map(checked, records)]
