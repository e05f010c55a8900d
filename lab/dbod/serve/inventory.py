"""What is known of instances: as fresh as the last look, or the last job; an older answer never replaces a newer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any

from lab.core.errors import Refused
from lab.dbod.contract import Operation, Request, Value
from lab.dbod.dockerhost.records import now

Facts = dict[str, Any]
SEEN = ("state", "bytes", "log_bytes")
"""What a look tells anew."""


class Inventory:
    """Facts by instance; ``ask`` has the provider answer. Raises: what that raises."""

    def __init__(self, ask: Callable[[Request], Value]) -> None:
        self._ask = ask
        self._facts: dict[str, Facts] = {}
        self._learned: dict[str, float] = {}
        self._guard = threading.Lock()

    def names(self) -> list[str]:
        """Every instance."""
        with self._guard:
            return sorted(self._facts)

    def all(self) -> list[Facts]:
        """Every instance's facts, by name."""
        with self._guard:
            return [dict(facts) for _, facts in sorted(self._facts.items())]

    def learn(self, name: str) -> None:
        """Ask for one; for a job on it, which holds its name: so answers come in the order of jobs."""
        try:
            seen = self._ask(Request(Operation.MONITOR, name))
        except Refused:
            seen = None
        with self._guard:
            self._learned[name] = monotonic()
            if seen is None:
                self._facts.pop(name, None)
            else:
                self._facts[name] = {**self._facts.get(name, {}), **seen, "seen": now()}

    def refresh(self) -> None:
        """Ask for all."""
        began = monotonic()
        found = {str(one["name"]): {**one, "seen": now()} for one in self._ask(Request(Operation.LIST))}
        with self._guard:
            for name in self._since(began):
                found.pop(name, None)
                if name in self._facts:
                    found[name] = self._facts[name]
            self._facts = found

    def saw(self, rows: Iterable[Mapping[str, Any]], at: datetime, began: float) -> None:
        """Take over the states, and sizes where they are told, of a look that ``began`` then."""
        with self._guard:
            newer = self._since(began)
            for row in rows:
                if row["name"] in self._facts and row["name"] not in newer:
                    told = {key: row[key] for key in SEEN if key in row}
                    self._facts[row["name"]].update(told, seen=at.isoformat())

    def _since(self, began: float) -> set[str]:
        return {name for name, at in self._learned.items() if at >= began}
