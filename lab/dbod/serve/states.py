"""The state checker's record: a row a look and instance, for three days; what monitoring graphs are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from lab.dbod.database import Database, Row

KEPT = timedelta(days=3)


class States:
    """The record in a home's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, seen: Iterable[Mapping[str, Any]], now: datetime) -> None:
        """One look: ``name``, ``state`` and, where it was measured, the ``seconds`` that asking took."""
        at = int(now.timestamp())
        rows = [(at, one["name"], one["state"], one.get("seconds")) for one in seen]
        with self._database.write() as change:
            change.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?)", rows)
            change.execute("DELETE FROM states WHERE at < ?", (int((now - KEPT).timestamp()),))

    def of(self, instance: str, since: datetime) -> list[Row]:
        """An instance's rows since then, oldest first; ``at`` is in seconds since 1970."""
        return self._database.rows(
            "SELECT at, state, seconds FROM states WHERE instance = ? AND at >= ? ORDER BY at",
            instance, int(since.timestamp()),
        )  # fmt: skip

    def summary(self, since: datetime) -> list[Row]:
        """Each look since then: how many instances were in which state, and their longest answer."""
        return self._database.rows(
            "SELECT at, state, COUNT(*) AS n, MAX(seconds) AS seconds FROM states WHERE at >= ? "
            "GROUP BY at, state ORDER BY at",
            int(since.timestamp()),
        )
