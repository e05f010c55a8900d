"""What a host knows about its instances and backups; lies in the lab's state, its passwords in the lab's secrets."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lab.core.errors import BadValue, NoSuch, Refused
from lab.core.home import Home

PREFIX = "instance."


@dataclass(frozen=True)
class Backup:
    """A snapshot: ``at`` is when the server was quiesced (ISO 8601, UTC), ``log`` which log it goes on in.

    ``automatic``: a schedule's, which goes when there are newer ones enough.
    """

    id: str
    at: str
    version: str
    log: int
    position: Mapping[str, Any]
    automatic: bool = False

    @property
    def moment(self) -> datetime:
        """``at``."""
        return datetime.fromisoformat(self.at)

    def shown(self) -> dict[str, Any]:
        """For programs."""
        return {"id": self.id, "at": self.at, "version": self.version, "automatic": self.automatic}


@dataclass(frozen=True)
class Record:
    """One instance. ``log`` counts restores: each begins a log of its own, so a replay never mixes two histories.

    ``ends`` is when each log before the present one was given up (ISO 8601, UTC); ``done`` is the id of the request
    that its data are of (a restore, a clone).
    """

    name: str
    engine: str
    version: str
    port: int
    memory: int
    owner: str
    category: str
    created: str
    settings: Mapping[str, str] = field(default_factory=dict)
    backups: tuple[Backup, ...] = ()
    log: int = 1
    ends: tuple[str, ...] = ()
    maintenance: bool = False
    ready: bool = False
    done: str = ""

    def shown(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "engine": self.engine,
            "version": self.version,
            "host": "127.0.0.1",
            "port": self.port,
            "memory": self.memory,
            "owner": self.owner,
            "category": self.category,
            "created": self.created,
        }

    def backup(self, wanted: str) -> Backup:
        """The backup of that id, or the newest. Raises: Refused, BadValue."""
        if not self.backups:
            raise Refused(f"{self.name} has no backup.", "Make one with ./inv dbod backup.")
        if not wanted:
            return self.backups[-1]
        for one in self.backups:
            if one.id == wanted:
                return one
        raise BadValue("backup", wanted, "one of " + ", ".join(b.id for b in self.backups), "flag")


def moment() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def now() -> str:
    """This moment as ISO 8601 in UTC."""
    return moment().isoformat(timespec="milliseconds")


class Records:
    """The records in a home's state."""

    def __init__(self, home: Home) -> None:
        self._state = home.state
        self._guard = threading.Lock()

    def names(self) -> list[str]:
        """Every instance, by name."""
        return sorted(self._state.get("instances", []))

    def get(self, name: str) -> Record:
        """One instance. Raises: NoSuch."""
        data = self._state.get(PREFIX + name)
        if data is None:
            raise NoSuch.instance(name, self.names())
        backups = tuple(Backup(**one) for one in data["backups"])
        return Record(**{**data, "backups": backups, "ends": tuple(data["ends"])})

    def find(self, name: str) -> Record | None:
        """The instance, if there is one."""
        return self.get(name) if PREFIX + name in self._state else None

    def put(self, record: Record) -> Record:
        """Write a record; on disk when this returns."""
        with self._guard:
            self._state[PREFIX + record.name] = dataclasses.asdict(record)
            self._state["instances"] = sorted({*self._state.get("instances", []), record.name})
        return record

    def remove(self, name: str) -> None:
        """Forget an instance."""
        with self._guard:
            self._state["instances"] = [n for n in self._state.get("instances", []) if n != name]
            self._state.forget(PREFIX + name)
