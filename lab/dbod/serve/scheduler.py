"""Recurrent backups: what is due becomes a job; what was missed while no server ran is run once, and recorded."""

from __future__ import annotations

from datetime import datetime, timedelta

from lab.dbod.contract import Operation, Request
from lab.dbod.database import Database, Row
from lab.dbod.schedules import Schedule, Schedules
from lab.dbod.serve.queue import Queue, QueuedJob

ASKER = "schedule"
LATE = timedelta(minutes=10)
"""A backup that is later than this was missed: the server looks every few seconds."""


class Scheduler:
    """Turns due times into jobs: the job and the mark that it was made are one commit."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue
        self.schedules = Schedules(database)

    def tick(self, now: datetime) -> list[QueuedJob]:
        """One backup for each instance that is due, however many due times have passed."""
        return [self._run(one, now) for one in self.schedules.all() if one.waiting(now)]

    def runs(self, instance: str, limit: int = 50) -> list[Row]:
        """When an instance was due: at which moment it was noticed, how many due times were missed, and the job."""
        return self._database.rows(
            "SELECT due, at, missed, job FROM runs WHERE instance = ? ORDER BY due DESC LIMIT ?", instance, limit
        )

    def _run(self, one: Schedule, now: datetime) -> QueuedJob:
        due = one.latest(now)
        late = now - due > LATE
        missed = one.waiting(now) - (0 if late else 1)
        said = f"due {due:%Y-%m-%d %H:%M} UTC"
        if missed:
            said += f", run {(now - due).total_seconds() / 3600:.1f} h after it; {missed} due times missed"
        with self._database.write() as change:
            job = self._queue.accept(Request(Operation.BACKUP, one.instance, keep=one.keep), ASKER, within=change)
            change.execute("UPDATE schedules SET last = ? WHERE instance = ?", (due.isoformat(), one.instance))
            change.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?)",
                (one.instance, due.isoformat(), now.isoformat(), missed, job.id),
            )
            change.execute("INSERT INTO lines VALUES (?, 1, ?)", (job.id, said))
        return job
