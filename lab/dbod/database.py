"""What databases on demand must not lose, in one SQLite file of a home: what is committed survives a kill."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.core.errors import DiskFull, LabBusy, StateBroken
from lab.core.home import Home

FILE = "dbod.db"
OLD_RECORDS = "instances"
"""The fact that names a home's instances while their records lie in its state: until version 2."""
BUSY_SECONDS = 30.0
Row = dict[str, Any]
SCHEMA = """
CREATE TABLE series (name TEXT NOT NULL);
INSERT INTO series VALUES (lower(hex(randomblob(2))));

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, operation TEXT NOT NULL, request TEXT NOT NULL,
    asker TEXT NOT NULL, key TEXT UNIQUE, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL, began TEXT, ended TEXT, outcome TEXT, why TEXT, value TEXT, error TEXT
);
CREATE INDEX jobs_of_instance ON jobs (instance, id);
CREATE INDEX jobs_ended ON jobs (ended);
CREATE TABLE lines (job INTEGER NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (job, number))
    WITHOUT ROWID;
-- the names that an unfinished job is about: it runs when it is the first on each of them
CREATE TABLE holds (name TEXT NOT NULL, job INTEGER NOT NULL, PRIMARY KEY (name, job)) WITHOUT ROWID;
CREATE INDEX holds_of_job ON holds (job);

CREATE TABLE schedules (
    instance TEXT PRIMARY KEY, every INTEGER NOT NULL, hour INTEGER NOT NULL, day INTEGER NOT NULL,
    keep INTEGER NOT NULL, last TEXT NOT NULL
);
CREATE TABLE runs (
    instance TEXT NOT NULL, due TEXT NOT NULL, at TEXT NOT NULL, missed INTEGER NOT NULL, job INTEGER NOT NULL,
    PRIMARY KEY (instance, due)
) WITHOUT ROWID;

CREATE TABLE states (at INTEGER NOT NULL, instance TEXT NOT NULL, state TEXT NOT NULL, seconds REAL,
    PRIMARY KEY (instance, at)) WITHOUT ROWID;
CREATE INDEX states_at ON states (at);

CREATE TABLE attributes (instance TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (instance, kind, key)) WITHOUT ROWID;
CREATE TABLE changes (at TEXT NOT NULL, instance TEXT NOT NULL, who TEXT NOT NULL, attribute TEXT NOT NULL,
    old TEXT, new TEXT);
CREATE INDEX changes_of_instance ON changes (instance, at);
"""
INSTANCES = """
-- record is JSON, serial grows with every change of it, sum is over all three: SQLite itself has no checksums
CREATE TABLE instances (name TEXT PRIMARY KEY, serial INTEGER NOT NULL, record TEXT NOT NULL, sum TEXT NOT NULL)
"""
DRILLS = """
-- days between two drills (0: none), and when one was last asked for
ALTER TABLE schedules ADD COLUMN drill INTEGER NOT NULL DEFAULT 0;
ALTER TABLE schedules ADD COLUMN drilled TEXT NOT NULL DEFAULT ''
"""
STEPS = (SCHEMA, INSTANCES, DRILLS)
"""What makes version 1 of nothing, 2 of version 1, …"""


class Database:
    """One connection a thread, writers one after another; a commit is on disk when it returns."""

    def __init__(self, path: Path, name: str) -> None:
        """Open or make it. Raises: StateBroken, DiskFull."""
        self._path = path
        self._name = name
        self._guard = threading.Lock()
        self._mine = threading.local()
        path.touch(0o600)
        with self.write() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > len(STEPS):
                raise StateBroken(path, f"version {len(STEPS)} was expected, not {version}", name)
            if version < len(STEPS):
                for statement in ";\n".join(STEPS[version:]).split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(STEPS)}")

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing. Raises: DiskFull, LabBusy, StateBroken."""
        with self._guard, self._told():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def rows(self, statement: str, *parameters: object, **named: object) -> list[Row]:
        """The rows of a query, outside of any transaction; its parameters are ?, or :name. Raises: StateBroken."""
        with self._told():
            return [dict(row) for row in self._connection().execute(statement, named or parameters)]

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if found is None:
            found = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = FULL")
            self._mine.connection = found
        return found

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "disk is full" in str(error):
                raise DiskFull(str(self._path)) from error
            if "is locked" in str(error):
                raise LabBusy(self._name, f"it writes {self._path}") from error
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise StateBroken(self._path, str(error), self._name) from error


def has_data(home: Home) -> bool:
    """Whether databases' data lie in a home: a store that was made, be it not mounted now."""
    store = home.path / "store"
    return store.with_suffix(".btrfs").exists() or (store.is_dir() and any(store.iterdir()))


def of(home: Home) -> Database:
    """The home's, made where nothing is yet. Raises: StateBroken (damaged, or gone from beside data), DiskFull."""
    path, facts = home.path / FILE, home.path / "state.json"
    if has_data(home):
        # until version 2 the records lay in the facts, and a home with data need not have had a database
        late = facts.exists() and OLD_RECORDS in home.state
        for file in (facts, path):
            if not (file.exists() and file.stat().st_size) and not (file is path and late):
                raise StateBroken(file, "it is gone or empty", home.name)
    return Database(path, home.name)
