"""What a host knows about its instances and backups: rows of the home's database, with copies beside the data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from lab.core.errors import BadValue, NoSuch, Refused, StateBroken
from lab.core.home import Home
from lab.dbod import database
from lab.dbod.database import OLD_RECORDS, Database, Row, has_data
from lab.dbod.dockerhost import copies
from lab.dbod.dockerhost.copies import Copy, Damaged, checksum

OLD_DATABASES = "shared.databases"
"""The fact that named the databases of shared servers, until version 2."""


@dataclass(frozen=True)
class Backup:
    """A snapshot: ``at`` is when the server was quiesced (ISO 8601, UTC), ``log`` which log it goes on in.

    ``automatic``: a schedule's, which goes when there are newer ones enough; ``until`` is when one made by hand may
    go (empty: never by itself). ``seal`` tells whether it is what was written (seals.py); ``drilled`` is when it was
    last seen to start, and ``damaged`` why it is of no use.
    """

    id: str
    at: str
    version: str
    log: int
    position: Mapping[str, Any]
    automatic: bool = False
    until: str = ""
    seal: str = ""
    drilled: str = ""
    damaged: str = ""

    @property
    def moment(self) -> datetime:
        """``at``."""
        return datetime.fromisoformat(self.at)

    def shown(self) -> dict[str, Any]:
        """For programs."""
        known = ("id", "at", "version", "automatic", "until", "drilled", "damaged")
        return {key: getattr(self, key) for key in known}


@dataclass(frozen=True)
class Record:
    """One instance. ``log`` counts restores: each begins a log of its own, so a replay never mixes two histories.

    ``ends`` is when each log before the present one was given up (ISO 8601, UTC); ``done`` is the id of the request
    that its data are of (a restore, a clone, an adoption); ``databases`` are those in a shared server, by owner.
    ``disk`` is the room of its data, and of its log, in GiB (0: no limit, as before version 3).
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
    databases: Mapping[str, str] = field(default_factory=dict)
    disk: int = 0

    def shown(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "engine": self.engine,
            "version": self.version,
            "host": "127.0.0.1",
            "port": self.port,
            "memory": self.memory,
            "disk": self.disk,
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
    """The records of a home: rows of its database, each with a copy beside the data.

    Raises: StateBroken (what they lie in is damaged or gone), DiskFull.
    """

    def __init__(self, home: Home, store: Callable[[], Path]) -> None:
        """``store`` gives the folder of the data, mounted."""
        self._home = home
        self._store = store

    @cached_property
    def _database(self) -> Database:
        made = database.of(self._home)
        if OLD_RECORDS in self._home.state:
            self._take_over(made)
        # one that is being created has no password yet
        if made.rows("SELECT name FROM instances WHERE record LIKE '%\"ready\": true%' LIMIT 1"):
            need_secrets(self._home)
        return made

    def names(self) -> list[str]:
        """Every instance, by name."""
        return [str(row["name"]) for row in self._database.rows("SELECT name FROM instances ORDER BY name")]

    def all(self) -> list[Record]:
        """Every instance, by name, as they were at one moment."""
        return [self._read(row) for row in self._database.rows("SELECT * FROM instances ORDER BY name")]

    def get(self, name: str) -> Record:
        """One instance. Raises: NoSuch."""
        if found := self.find(name):
            return found
        raise NoSuch.instance(name, self.names())

    def find(self, name: str) -> Record | None:
        """The instance, if there is one."""
        rows = self._database.rows("SELECT * FROM instances WHERE name = ?", name)
        return self._read(rows[0]) if rows else None

    def put(self, record: Record) -> Record:
        """Write a record and its copy; on disk when this returns."""
        store, made = self._store(), self._database
        with made.write() as change:
            write(change, record, self._home, store)
        return record

    def remove(self, name: str) -> None:
        """Forget an instance."""
        store, made = self._store(), self._database
        with made.write() as change:
            change.execute("DELETE FROM instances WHERE name = ?", (name,))
            copies.path(store, name).unlink(missing_ok=True)

    def _read(self, row: Row) -> Record:
        try:
            return read(row)
        except Damaged as error:
            raise StateBroken(self._home.path / database.FILE, str(error), self._home.name) from error

    def _take_over(self, made: Database) -> None:
        """What lay in the home's state until version 2; a run that is killed within does it again."""
        state, store = self._home.state, self._store()
        names = [name for name in state[OLD_RECORDS] if f"instance.{name}" in state]
        with made.write() as change:
            for name in names:
                shared = {
                    one: str(known["owner"])
                    for one, known in (state.get(OLD_DATABASES) or {}).items()
                    if name == f"shared_{known['engine']}"
                }
                if not change.execute("SELECT 1 FROM instances WHERE name = ?", (name,)).fetchone():
                    record = of(state[f"instance.{name}"])
                    write(change, replace(record, databases=shared), self._home, store)
        state.forget(OLD_RECORDS, OLD_DATABASES, *(f"instance.{name}" for name in names))


def write(change: Connection, record: Record, home: Home, store: Path, least: int = 0) -> None:
    """The row and, before that is committed, its copy; ``least`` is a serial that the new one is to be above."""
    row = change.execute("SELECT serial FROM instances WHERE name = ?", (record.name,)).fetchone()
    serial, told = max(row["serial"] if row else 0, least) + 1, dataclasses.asdict(record)
    change.execute(
        "INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?)",
        (record.name, serial, json.dumps(told), checksum([record.name, serial, told])),
    )
    tables = {
        table: [dict(one) for one in change.execute(f"SELECT * FROM {table} WHERE instance = ?", (record.name,))]
        for table in copies.TABLES
    }
    known = home.secrets.of({record.name, *record.databases})
    copies.write(store, Copy(record.name, serial, told, known, tables), copies.key(home.path))


def read(row: Row) -> Record:
    """The record of a row. Raises: Damaged."""
    try:
        told = json.loads(row["record"])
        if checksum([row["name"], row["serial"], told]) == row["sum"]:
            return of(told)
    except (ValueError, TypeError) as error:
        raise Damaged(f"the record of {row['name']} is none: {error}") from error
    raise Damaged(f"the record of {row['name']} is not what was written")


def of(data: Mapping[str, Any]) -> Record:
    """The record that was told as JSON."""
    backups = tuple(Backup(**one) for one in data["backups"])
    return Record(**{**data, "backups": backups, "ends": tuple(data["ends"])})


def held(home: Home) -> str:
    """The databases on demand in a home, as words; empty where there are none."""
    if not has_data(home):
        return ""
    try:
        rows = database.of(home).rows("SELECT name FROM instances")
        return ", ".join(sorted({*(row["name"] for row in rows), *home.state.get(OLD_RECORDS, [])}))
    except StateBroken:
        return "its records cannot be read"


def need_secrets(home: Home) -> None:
    """Raises: StateBroken, where the passwords of what there is are gone or damaged."""
    _ = home.secrets
    if not (file := home.path / "secrets.json").exists():
        raise StateBroken(file, "it is gone", home.name)


def password(home: Home, record: Record) -> str:
    """The administrator's; made while the instance is. Raises: StateBroken, if that of a whole one is gone."""
    key = f"dba.{record.name}"
    if record.ready and key not in home.secrets:
        raise StateBroken(home.path / "secrets.json", f"the password of {record.name} is gone", home.name)
    return home.secrets[key]
