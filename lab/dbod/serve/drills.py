"""Drills: one of a schedule's backups is tried now and then; one that fails is tried again a day later, and told."""

from __future__ import annotations

from datetime import datetime, timedelta

from lab.dbod.contract import Operation, Request
from lab.dbod.database import Database, Row
from lab.dbod.schedules import Schedule
from lab.dbod.serve.alarm import Alarm
from lab.dbod.serve.clock import Now
from lab.dbod.serve.queue import Queue, QueuedJob

AGAIN = timedelta(days=1)
FAILED = """
SELECT COUNT(*) AS tries, MIN(ended) AS since, MAX(ended) AS ended, MAX(id) AS job FROM jobs
WHERE instance = :name AND operation = 'drill' AND state = 'FINISHED_FAIL' AND id > COALESCE((
    SELECT MAX(id) FROM jobs WHERE instance = :name AND operation IN ('drill', 'automatic-backups', 'destroy')
        AND state IN ('FINISHED_OK', 'FINISHED_WARNING')
), 0)
"""
"""Drills of an instance that failed since one went well, by whoever asked, or since its schedule was set."""


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
            due = now.wall - datetime.fromisoformat(failed["ended"]) >= AGAIN
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
        since, ended = (datetime.fromisoformat(failed[key]) for key in ("since", "ended"))
        error = str(self._queue.get(failed["job"]).why)
        return Alarm(
            f"A backup of {one.instance} was tried and is of no use", since, failed["tries"], error, ended + AGAIN
        )

    def _failed(self, one: Schedule) -> Row:
        (row,) = self._database.rows(FAILED, name=one.instance)
        return row if row["tries"] else {}
