"""DBOD's operations as one typed contract; names and states are those of CERN's dbod-core and dbod-webapp."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from lab.core.errors import BadValue, LabError
from lab.core.waits import Note
from lab.engines.sql import Session

ENGINES = ("mariadb", "postgresql")
CATEGORIES = ("PROD", "REF", "TEST")
DISK_MOST = 16 * 1024
"""GiB: more than any store has."""
NAME = r"[a-z][a-z0-9_]{0,29}"
"""What is a schema's, an account's and a container's name alike."""
TIME = "%Y-%m-%d_%H:%M:%S"
"""dbod-core's form of a point in time; here always UTC."""


class Operation(StrEnum):
    """What a user or an operator can ask for."""

    CREATE = "create"
    DESTROY = "destroy"
    LIST = "list"
    START = "start"
    STOP = "stop"
    PING = "ping"
    MONITOR = "monitor"
    CHECK = "check"
    CONFIG_GET = "config-get"
    CONFIG_PUT = "config-put"
    BACKUP = "backup"
    BACKUPS = "backups"
    BACKUP_DELETE = "backup-delete"
    DRILL = "drill"
    AUTOMATIC_BACKUPS = "automatic-backups"
    RESTORE = "restore"
    CLONE = "clone"
    UPGRADE = "upgrade"
    RESIZE = "resize"
    LOGS = "logs"
    CREDENTIALS = "credentials"
    REPLICATE = "replicate"
    PROMOTE = "promote"
    MAINTENANCE = "maintenance"
    REPAIR = "repair"
    ADOPT = "adopt"


READS = frozenset(
    {
        Operation.LIST,
        Operation.PING,
        Operation.MONITOR,
        Operation.CHECK,
        Operation.CONFIG_GET,
        Operation.BACKUPS,
        Operation.LOGS,
        Operation.CREDENTIALS,
    }
)
"""Operations that change nothing."""


class Outcome(StrEnum):
    """How a provider fulfilled an operation."""

    NATIVE = "native"
    WITH_WORK = "with work"
    MISSING = "missing"
    FAILED = "failed"


class State(StrEnum):
    """An instance's state, as DBOD names it."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    BUSY = "BUSY"
    MAINTENANCE = "MAINTENANCE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Request:
    """One operation and what it needs; ``memory`` is its limit in MiB, ``port`` 0 lets the provider choose.

    ``backup`` is a backup's id, ``time`` a point after it (``TIME``), ``target`` the name of a clone, ``on`` switches
    automatic backups and maintenance. ``every`` is in hours, from ``hour`` (UTC) of week day ``day`` (0: Monday) on;
    ``keep`` is how many automatic backups stay, and marks a backup as one of them (0: made by hand, stays).
    ``days`` is how long a backup made by hand stays (0: until it is deleted), ``drill`` how often one of a schedule's
    is tried (0: never), ``disk`` the room for data, and for the log, in GiB (0: the provider's default, or as it is).
    ``id`` is the asker's for this very request: what was done under it is not done again, and a backup has it.
    """

    operation: Operation
    instance: str = ""
    engine: str = "mariadb"
    memory: int = 256
    port: int = 0
    owner: str = ""
    category: str = "TEST"
    backup: str = ""
    time: str = ""
    target: str = ""
    version: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    on: bool = True
    every: int = 24
    hour: int = 0
    day: int = 0
    keep: int = 0
    days: int = 0
    drill: int = 0
    disk: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        """Refuse what no provider could use. Raises: BadValue."""
        if self.operation not in {Operation.LIST, Operation.CHECK, Operation.REPAIR}:
            _named("instance", self.instance)
        if self.operation in {Operation.CLONE, Operation.REPLICATE}:
            _named("target", self.target)
            if self.target == self.instance:
                raise BadValue("target", self.target, "another name than the source's", "flag")
        _one_of("engine", self.engine, ENGINES)
        _one_of("category", self.category, CATEGORIES)
        _between("memory", self.memory, 64, 1024 * 1024)
        _between("every", self.every, 1, 24 * 7)
        _between("hour", self.hour, 0, 23)
        _between("day", self.day, 0, 6)
        _between("keep", self.keep, 0, 1000)
        _between("days", self.days, 0, 3650)
        _between("drill", self.drill, 0, 365)
        _between("disk", self.disk, 0, DISK_MOST)
        if not re.fullmatch(r"[a-z0-9-]{0,40}", self.id):
            raise BadValue("id", self.id, "lower-case letters, digits and - (at most 40)", "request")
        if self.port:
            _between("port", self.port, 1024, 65535)
        if self.time:
            self.moment()
        if self.operation is Operation.BACKUP_DELETE and not self.backup:
            raise BadValue("backup", "", "the id of one, as ./inv dbod backups lists them", "flag")
        if self.operation is Operation.CONFIG_PUT and not self.settings:
            raise BadValue("settings", "", "at least one key=value", "flag")
        for key, value in self.settings.items():
            if not re.fullmatch(r"[a-z][a-z0-9_.]*", key) or not re.fullmatch(r"[^\x00-\x1f'\"\\]*", value):
                raise BadValue(
                    "settings", f"{key}={value}", "key=value in plain characters, one setting each", "flag"
                )

    def moment(self) -> datetime | None:
        """``time`` as UTC, or None where none is given. Raises: BadValue."""
        if not self.time:
            return None
        try:
            if "_" in self.time:
                return datetime.strptime(self.time, TIME).replace(tzinfo=UTC)
            given = datetime.fromisoformat(self.time)
        except ValueError as error:
            wanted = "a UTC time such as 2026-01-31_23:59:59, or one of RFC 3339: 2026-01-31T23:59:59.5+01:00"
            raise BadValue("time", self.time, wanted, "flag") from error
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)


Value = Any
"""What an operation gives back, as JSON has it."""
Handler = Callable[[Request, Note], Value]


class Provider(Protocol):
    """Who fulfils the contract. Every operation is in exactly one of ``does`` and ``lacks``.

    ``work`` names the operations of ``does`` that the engine or platform does not have by itself, and what was added.
    """

    @property
    def name(self) -> str:
        """docker-host, shared or trove."""

    @property
    def does(self) -> Mapping[Operation, Handler]:
        """The operations that it has; a handler raises LabErrors, ``Missing`` where the platform lacks a part."""

    @property
    def work(self) -> Mapping[Operation, str]:
        """Operation to what had to be added around the platform."""

    @property
    def lacks(self) -> Mapping[Operation, str]:
        """Operation to why the provider cannot give it (a phrase)."""

    def session(self, name: str) -> AbstractContextManager[Session]:
        """SQL with the credentials that the instance's owner has. Raises: Refused, sql.ERRORS."""


@dataclass(frozen=True)
class Result:
    """How one operation ended: ``seconds`` of wall time, ``why`` (added work, what is missing, what failed), log."""

    provider: str
    operation: Operation
    instance: str
    outcome: Outcome
    seconds: float
    why: str = ""
    log: tuple[str, ...] = ()
    value: Value = None
    error: LabError | None = None

    @property
    def job(self) -> str:
        """DBOD's state of the job."""
        return "FINISHED_FAIL" if self.error else "FINISHED_OK"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "provider": self.provider,
            "operation": str(self.operation),
            "instance": self.instance,
            "job": self.job,
            "outcome": str(self.outcome),
            "seconds": round(self.seconds, 3),
            "why": self.why,
            "log": list(self.log),
            "value": self.value,
            "error": self.error.as_dict() if self.error else None,
        }


def _named(key: str, value: str) -> None:
    if not re.fullmatch(NAME, value):
        raise BadValue(key, value, "lower-case letters, digits and _ (at most 30, a letter first)", "flag")


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadValue(key, value, "one of " + ", ".join(known), "flag")


def _between(key: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadValue(key, value, f"a whole number from {low} to {high}", "flag")
