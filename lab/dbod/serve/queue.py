"""The queue of jobs: accepted is committed, an instance's jobs run in order, and a killed server's run again."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from lab.core.errors import NoSuch, Refused
from lab.dbod.contract import Operation, Request
from lab.dbod.database import Database, Row
from lab.dbod.dockerhost.records import moment, now

ATTEMPTS = 3
"""How often a job is begun that comes to no end, as its worker or the server dies; a stop in order does not count."""
KEPT_DAYS = 90
"""How long a job that ended is remembered."""
HEADS = """
SELECT jobs.* FROM (SELECT MIN(job) AS job FROM holds GROUP BY name) AS heads JOIN jobs ON jobs.id = heads.job
WHERE jobs.state = 'PENDING' GROUP BY jobs.id
HAVING COUNT(*) = (SELECT COUNT(*) FROM holds WHERE holds.job = jobs.id) ORDER BY jobs.id LIMIT 1
"""
"""The first job that is waiting and comes first on every name that it is about."""


class JobState(StrEnum):
    """A job's state, as DBOD names it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED_OK = "FINISHED_OK"
    FINISHED_WARNING = "FINISHED_WARNING"
    FINISHED_FAIL = "FINISHED_FAIL"


@dataclass(frozen=True)
class QueuedJob:
    """One accepted request; times are ISO 8601 in UTC, ``error`` is a LabError for programs."""

    id: int
    instance: str
    operation: Operation
    request: Request
    asker: str
    state: JobState
    attempts: int
    created: str
    began: str | None
    ended: str | None
    outcome: str | None
    why: str | None
    value: Any
    error: Mapping[str, Any] | None

    @property
    def names(self) -> set[str]:
        """The instances that it is about."""
        return {self.instance, self.request.target} - {""}

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state not in {JobState.PENDING, JobState.RUNNING}


class Queue:
    """The jobs of a home's database. Raises: DiskFull, StateBroken."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._series = str(database.rows("SELECT name FROM series")[0]["name"])

    def accept(
        self, request: Request, asker: str, key: str | None = None, within: sqlite3.Connection | None = None
    ) -> QueuedJob:
        """Commit a job; ``key`` is the asker's own for it: asked again with the same one, it is the same job.

        ``within`` is a transaction of the caller's that the job is part of. Raises: Refused (another job's key).
        """
        if within is not None:
            return self.get(self._insert(within, request, asker, key), within)
        with self._database.write() as change:
            if key is not None and (known := change.execute("SELECT id FROM jobs WHERE key = ?", (key,)).fetchone()):
                job = self.get(known["id"], change)
                if dataclasses.replace(job.request, id="") != request:
                    raise Refused(f"The key {key!r} is that of another job ({job.id}).", "Choose another key.")
                return job
            return self.get(self._insert(change, request, asker, key), change)

    def record(
        self, request: Request, asker: str, began: str, state: JobState, result: Mapping[str, Any], log: list[str]
    ) -> None:
        """Remember what was done beside the queue; ``result`` has outcome, why, value and error as JSON has them."""
        with self._database.write() as change:
            job = self._insert(change, request, asker, None)
            change.execute("DELETE FROM holds WHERE job = ?", (job,))
            change.execute(
                "UPDATE jobs SET state = ?, attempts = 1, created = ?, began = ?, ended = ?, outcome = ?, why = ?, "
                "value = ?, error = ? WHERE id = ?",
                (state, began, began, now(), result["outcome"], result["why"], json.dumps(result["value"]),
                 json.dumps(result["error"]) if result["error"] else None, job),
            )  # fmt: skip
            for line in log:
                _line(change, job, line)

    def claim(self) -> QueuedJob | None:
        """Take the next job that may run; None where none may."""
        with self._database.write() as change:
            row = change.execute(HEADS).fetchone()
            if row is None:
                return None
            change.execute(
                "UPDATE jobs SET state = 'RUNNING', attempts = attempts + 1, began = ? WHERE id = ?",
                (now(), row["id"]),
            )
            return self.get(row["id"], change)

    def note(self, job: int, text: str) -> None:
        """Add a line to a job's log."""
        with self._database.write() as change:
            _line(change, job, text)

    def finish(
        self,
        job: QueuedJob,
        state: JobState,
        outcome: str,
        why: str,
        value: Any,
        error: Mapping[str, Any] | None,
        also: Callable[[sqlite3.Connection, QueuedJob, JobState], None],
    ) -> None:
        """End a job, and do ``also`` in the same commit; its names are free for the next."""
        with self._database.write() as change:
            also(change, job, state)
            change.execute(
                "UPDATE jobs SET state = ?, ended = ?, outcome = ?, why = ?, value = ?, error = ? WHERE id = ?",
                (state, now(), outcome, why, json.dumps(value), json.dumps(error) if error else None, job.id),
            )
            change.execute("DELETE FROM holds WHERE job = ?", (job.id,))

    def give_back(self, job: int, why: str, counted: bool = True) -> None:
        """Let a job that was begun wait again, before all that came later; ``counted``: that was an attempt."""
        with self._database.write() as change:
            change.execute(
                "UPDATE jobs SET state = 'PENDING', attempts = attempts - ? WHERE id = ?", (0 if counted else 1, job)
            )
            _line(change, job, why)

    def left(self) -> list[QueuedJob]:
        """What a killed server was at, the first first."""
        return [_job(row) for row in self._database.rows("SELECT * FROM jobs WHERE state = 'RUNNING' ORDER BY id")]

    def get(self, job: int, within: sqlite3.Connection | None = None) -> QueuedJob:
        """One job. Raises: NoSuch."""
        statement = "SELECT * FROM jobs WHERE id = ?"
        found = list(within.execute(statement, (job,))) if within else self._database.rows(statement, job)
        if not found:
            raise NoSuch(f"There is no job {job}.", f"Jobs are kept for {KEPT_DAYS} days.")
        return _job(found[0])

    def newest(self, instance: str = "", state: str = "", limit: int = 100) -> list[QueuedJob]:
        """The newest jobs first."""
        wanted = [(f"{name} = ?", value) for name, value in (("instance", instance), ("state", state)) if value]
        where = f"WHERE {' AND '.join(name for name, _ in wanted)}" if wanted else ""
        values = [value for _, value in wanted]
        found = self._database.rows(f"SELECT * FROM jobs {where} ORDER BY id DESC LIMIT ?", *values, limit)
        return [_job(row) for row in found]

    def log(self, job: int) -> list[str]:
        """A job's lines."""
        found = self._database.rows("SELECT text FROM lines WHERE job = ? ORDER BY number", job)
        return [row["text"] for row in found]

    def busy(self) -> dict[str, str]:
        """Instances with unfinished jobs: BUSY where one runs, else JOB_PENDING."""
        found = self._database.rows(
            "SELECT name, MAX(state = 'RUNNING') AS runs FROM holds JOIN jobs ON id = job GROUP BY name"
        )
        return {row["name"]: "BUSY" if row["runs"] else "JOB_PENDING" for row in found}

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        found = self._database.rows("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state")
        return dict.fromkeys(map(str, JobState), 0) | {row["state"]: row["n"] for row in found}

    def backups_a_day(self, days: int, instance: str = "") -> list[Row]:
        """Backups that were tried, by day (UTC), by who asked and how they ended."""
        since = (moment() - timedelta(days=days - 1)).date().isoformat()
        return self._database.rows(
            "SELECT substr(ended, 1, 10) AS day, asker = 'schedule' AS automatic, state = 'FINISHED_FAIL' AS failed, "
            "COUNT(*) AS n FROM jobs WHERE operation = 'backup' AND ended >= ? AND (? = '' OR instance = ?) "
            "GROUP BY 1, 2, 3 ORDER BY 1",
            since, instance, instance,
        )  # fmt: skip

    def prune(self) -> None:
        """Forget jobs that ended long ago."""
        before = (moment() - timedelta(days=KEPT_DAYS)).isoformat()
        with self._database.write() as change:
            change.execute("DELETE FROM lines WHERE job IN (SELECT id FROM jobs WHERE ended < ?)", (before,))
            change.execute("DELETE FROM runs WHERE at < ?", (before,))
            change.execute("DELETE FROM jobs WHERE ended < ?", (before,))

    def _insert(self, change: sqlite3.Connection, request: Request, asker: str, key: str | None) -> int:
        job = change.execute(
            "INSERT INTO jobs (instance, operation, request, asker, key, state, created) "
            "VALUES (?, ?, '', ?, ?, 'PENDING', ?)",
            (request.instance, request.operation, asker, key, now()),
        ).lastrowid
        assert job is not None
        # what is made for it has its name from here: a series, since a database that was lost begins again at 1
        known = dataclasses.replace(request, id=f"{self._series}-{job}")
        change.execute("UPDATE jobs SET request = ? WHERE id = ?", (json.dumps(dataclasses.asdict(known)), job))
        for name in {request.instance, request.target} - {""}:
            change.execute("INSERT INTO holds VALUES (?, ?)", (name, job))
        return job


def _line(change: sqlite3.Connection, job: int, text: str) -> None:
    change.execute(
        "INSERT INTO lines VALUES (?, (SELECT COALESCE(MAX(number), 0) + 1 FROM lines WHERE job = ?), ?)",
        (job, job, text),
    )


def _job(row: Any) -> QueuedJob:
    data = {key: row[key] for key in row.keys()}  # noqa: SIM118  # sqlite3.Row iterates over values
    request = json.loads(data["request"])
    request["operation"] = Operation(request["operation"])
    data.pop("key")
    return QueuedJob(
        **{
            **data,
            "request": Request(**request),
            "operation": request["operation"],
            "state": JobState(data["state"]),
            "value": json.loads(data["value"] or "null"),
            "error": json.loads(data["error"] or "null"),
        }
    )
