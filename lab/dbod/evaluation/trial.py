"""One provider with one engine under trial: operations and SQL that a scenario may use, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.core import waits
from lab.core.errors import LabError, Missing
from lab.core.waits import silent
from lab.dbod import database, jobs
from lab.dbod.contract import TIME, Operation, Outcome, Provider, Request, Result, Value
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.serve import clock
from lab.dbod.serve.clock import Now
from lab.dbod.serve.service import Service
from lab.engines import sql

ANSWER_SECONDS = 60.0
SECOND = 1.1
"""Longer than the engines' logs can tell two moments apart."""


class Unmet(Exception):  # not an error of the lab: what a scenario found
    """What should have been seen, and what was seen."""


@dataclass
class Trial:
    """Instances are named after the engine; ``evidence`` is what was read back, in words."""

    provider: Provider
    engine: str
    name: str
    results: list[Result] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    @property
    def other(self) -> str:
        """The name of a second instance."""
        return f"{self.name}_b"

    def do(self, operation: Operation, instance: str = "", **given: Any) -> Value:
        """An operation that must succeed; what it gives. Raises: Missing, LabError."""
        request = Request(operation, instance or self.name, engine=self.engine, **given)
        result = jobs.perform(self.provider, request)
        self.results.append(result)
        if result.error:
            raise result.error
        return result.value

    def refused(self, operation: Operation, **given: Any) -> None:
        """An operation that must be refused. Raises: Missing, Unmet."""
        try:
            self.do(operation, **given)
        except jobs.REFUSALS as error:
            self.evidence.append(f"refused: {error.cause}")
            return
        raise Unmet(f"{operation} with {given} should have been refused, and was done")

    def sql(self, statement: str, *parameters: object, instance: str = "") -> list[tuple[object, ...]]:
        """A statement with the owner's credentials, as soon as the server answers. Raises: sql.ERRORS, TimedOut."""
        name = instance or self.name

        def answers() -> bool:
            with self.provider.session(name) as session:
                return bool(session.execute("SELECT 1"))

        waits.until(
            f"{name} to answer", answers, seconds=ANSWER_SECONDS, every=0.2,
            transient=sql.ERRORS,
        )  # fmt: skip
        with self.provider.session(name) as session:
            return session.execute(statement, *parameters)

    def empty(self) -> None:
        """A table of our own without rows."""
        self.sql(f"CREATE SCHEMA IF NOT EXISTS {self.name}")
        self.sql(f"DROP TABLE IF EXISTS {self.name}.ledger")
        self.sql(f"CREATE TABLE {self.name}.ledger (id INTEGER PRIMARY KEY, word VARCHAR(40))")

    def write(self, number: int, instance: str = "") -> None:
        """One row."""
        self.sql(f"INSERT INTO {self.name}.ledger VALUES (%s, %s)", number, f"word-{number}", instance=instance)

    def reads(self, *wanted: int, instance: str = "") -> None:
        """Exactly these rows must be there. Raises: Unmet."""
        rows = self.sql(f"SELECT id, word FROM {self.name}.ledger ORDER BY id", instance=instance)
        if rows != [(number, f"word-{number}") for number in wanted]:
            raise Unmet(f"rows {list(wanted)} should be there, rows {[row[0] for row in rows]} are")
        self.evidence.append(f"read back of {instance or self.name}: rows {', '.join(map(str, wanted)) or 'none'}")

    def follows(self, *wanted: int, instance: str) -> None:
        """Exactly these rows must come to a replica. Raises: TimedOut."""

        def came() -> bool:
            self.reads(*wanted, instance=instance)
            return True

        waits.until(
            f"{instance} to follow", came, seconds=ANSWER_SECONDS,
            transient=(Unmet, *sql.ERRORS),
        )  # fmt: skip

    def expect(self, true: bool, words: str) -> None:
        """What was seen, in words, and whether it is as it must be. Raises: Unmet."""
        if not true:
            raise Unmet(f"not so: {words}")
        self.evidence.append(words)

    def served(self, hours: float) -> int | None:
        """What dbod-serve does that many hours on: due times that it made up for, or None where nothing was due."""
        host = self.provider
        if not isinstance(host, DockerHost):
            raise Missing(host.name, Operation.AUTOMATIC_BACKUPS, "dbod-serve keeps schedules for container hosts")
        service = Service(host, database.of(host.home), 1, silent)
        now = clock.now()
        made = service.scheduler.tick(Now(now.wall + timedelta(hours=hours), now.steady))
        while service.workers.run_one():
            pass
        for job in made:
            if error := service.queue.get(job.id).error:
                raise Unmet(f"the backup failed: {error['cause']}")
        return int(service.scheduler.runs(self.name)[0]["missed"]) if made else None

    def moment(self) -> str:
        """A point in time that everything before is earlier than, and everything after later, by a second."""
        waits.pause(SECOND)
        now = datetime.now(UTC).strftime(TIME)
        waits.pause(SECOND)
        return now


def ended(trial: Trial, error: Exception | None, principal: Operation) -> tuple[Outcome, str, float]:
    """Outcome, why, and the seconds of the first ``principal`` operation that succeeded (0 where none did)."""
    seconds = next((r.seconds for r in trial.results if r.operation is principal and not r.error), 0.0)
    if isinstance(error, Missing):
        return Outcome.MISSING, error.why, seconds
    if isinstance(error, LabError):
        return Outcome.FAILED, error.cause, seconds
    if error is not None:
        return Outcome.FAILED, str(error), seconds
    work = trial.provider.work.get(principal, "")
    return (Outcome.WITH_WORK if work else Outcome.NATIVE), work, seconds
