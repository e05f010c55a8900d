"""What DBOD knows of an instance beside its server: description, project, e-group …, and who changed what."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from lab.dbod.database import Database, Row
from lab.dbod.dockerhost.records import now

FIELDS = ("class", "description", "e_group", "expiry_date", "project", "username")
"""Of an instance's own; attributes are free keys beside them."""
FIELD, ATTRIBUTE = "field", "attribute"


class Book:
    """Fields and attributes of instances, and their change history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, instance: str, kind: str) -> dict[str, str]:
        """An instance's fields or attributes."""
        found = self._database.rows(
            "SELECT key, value FROM attributes WHERE instance = ? AND kind = ? ORDER BY key", instance, kind
        )
        return {row["key"]: row["value"] for row in found}

    def fields(self) -> dict[str, dict[str, str]]:
        """Every instance's fields."""
        made: dict[str, dict[str, str]] = {}
        for row in self._database.rows("SELECT instance, key, value FROM attributes WHERE kind = ?", FIELD):
            made.setdefault(row["instance"], {})[row["key"]] = row["value"]
        return made

    def write(self, instance: str, kind: str, values: Mapping[str, str | None], who: str) -> None:
        """Set values, or remove those that are None; what changes is recorded."""
        with self._database.write() as change:
            known = "SELECT key, value FROM attributes WHERE instance = ? AND kind = ?"
            old = {row["key"]: row["value"] for row in change.execute(known, (instance, kind))}
            for key, value in values.items():
                if value == old.get(key):
                    continue
                if value is None:
                    change.execute(
                        "DELETE FROM attributes WHERE instance = ? AND kind = ? AND key = ?", (instance, kind, key)
                    )
                else:
                    change.execute(
                        "INSERT OR REPLACE INTO attributes VALUES (?, ?, ?, ?)", (instance, kind, key, value)
                    )
                self.changed(change, instance, who, key, old.get(key), value)

    def forget(self, change: sqlite3.Connection, instance: str, who: str) -> None:
        """The instance is gone: only its history stays."""
        change.execute("DELETE FROM attributes WHERE instance = ?", (instance,))
        self.changed(change, instance, who, "instance", instance, None)

    def changed(
        self, change: sqlite3.Connection, instance: str, who: str, attribute: str, old: str | None, new: str | None
    ) -> None:
        """Record a change within the caller's transaction."""
        change.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", (now(), instance, who, attribute, old, new))

    def history(self, instance: str, limit: int = 200) -> list[Row]:
        """Who changed what, newest first."""
        return self._database.rows(
            "SELECT at, who, attribute, old, new FROM changes WHERE instance = ? ORDER BY rowid DESC LIMIT ?",
            instance, limit,
        )  # fmt: skip
