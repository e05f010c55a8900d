"""Drills: one of a schedule's backups is tried now and then; one that fails is tried again a day later, and told."""

from __future__ import annotations

from datetime import timedelta

from lab.dbod.contract import Operation, Request
from lab.dbod.database import Database
from lab.dbod.schedules import Schedule
from lab.dbod.serve import failures
from lab.dbod.serve.alarm import Alarm
from lab.dbod.serve.clock import Now
from lab.dbod.serve.failures import Failures
from lab.dbod.serve.queue import Queue, QueuedJob

AGAIN = timedelta(days=1)


class Drills:
    """Of a home's schedules."""

    def __init__(self, database: Database, queue: Queue, asker: str) -> None:
        self._database = database
        self._queue = queue
        self._asker = asker

    def due(self, one: Schedule, now: Now) -> bool:
        """Whether one is to be made now: the schedule's time has come, or the last one failed a day ago."""
        if not one.drill:
            return False
        due = one.tried(now.wall)
        if not due and (failed := self._failed(one)):
            due = now.wall - failed.ended >= AGAIN
        return due and one.instance not in self._queue.busy()

    def ask(self, one: Schedule, now: Now) -> QueuedJob:
        """Accept a drill; it and the mark that it was asked for are one commit."""
        with self._database.write() as change:
            job = self._queue.accept(Request(Operation.DRILL, one.instance), self._asker, within=change)
            change.execute(
                "UPDATE schedules SET drilled = ? WHERE instance = ?", (now.wall.isoformat(), one.instance)
            )
        return job

    def alarm(self, one: Schedule) -> Alarm | None:
        """That the last drill of an instance failed."""
        failed = self._failed(one)
        if not failed:
            return None
        error, what = str(self._queue.get(failed.job).why), f"A backup of {one.instance} was tried and is of no use"
        return Alarm(what, failed.since, failed.tries, error, failed.ended + AGAIN)

    def _failed(self, one: Schedule) -> Failures | None:
        return failures.find(self._database, one.instance, Operation.DRILL)
