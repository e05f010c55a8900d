"""Recurrent backups: what is due becomes a job, once; what fails is tried again, later each time, until it works."""

from __future__ import annotations

from datetime import datetime, timedelta

from lab.dbod.contract import Operation, Request
from lab.dbod.database import Database, Row
from lab.dbod.schedules import Schedule, Schedules
from lab.dbod.serve import backoff, failures
from lab.dbod.serve.alarm import Alarm
from lab.dbod.serve.clock import Now
from lab.dbod.serve.drills import Drills
from lab.dbod.serve.failures import Failures
from lab.dbod.serve.queue import Queue, QueuedJob

ASKER = "schedule"
LATE = timedelta(minutes=10)
"""A backup that is later than this was missed: the server looks every few seconds."""
UNDER_WAY = """
SELECT 1 FROM holds JOIN jobs ON jobs.id = holds.job
WHERE holds.name = :name AND jobs.instance = :name AND jobs.operation = 'backup'
"""


class Scheduler:
    """Turns due times into jobs: the job and the mark that it was made are one commit.

    A due time is planned on the steady clock: to set the clock of the wall moves none, and what comes after is
    reckoned from the due time that is nearest then. What a server finds when it starts it has from recorded times.
    """

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue
        self._due: dict[str, tuple[Schedule, float]] = {}
        self._retry: dict[str, tuple[int, float]] = {}
        self.schedules = Schedules(database)
        self._drills = Drills(database, queue, ASKER)

    def tick(self, now: Now) -> list[QueuedJob]:
        """One backup for each instance that is due, however many due times have passed, or that is to be retried."""
        made = []
        for one in self.schedules.all():
            if now.steady >= self._planned(one, now):
                made.append(self._run(one, now))
                continue
            failing = self._failing(one.instance)
            if failing and now.steady >= self._retried(one.instance, failing, now) and not self._asked(one.instance):
                made.append(self._again(one, failing))
            elif self._drills.due(one, now):
                made.append(self._drills.ask(one, now))
        return made

    def following(self, one: Schedule, now: Now) -> datetime:
        """When a schedule is due next, as the clock of the wall is set now."""
        return now.wall + timedelta(seconds=self._planned(one, now) - now.steady)

    def alarms(self, now: Now) -> list[Alarm]:
        """The schedules whose backups fail, or were tried and are of no use."""
        made = []
        for one in self.schedules.all():
            if failing := self._failing(one.instance):
                steady = min(self._retried(one.instance, failing, now), self._planned(one, now))
                ahead = timedelta(seconds=0 if self._asked(one.instance) else steady - now.steady)
                error = str(self._queue.get(failing.job).why)
                what = f"The automatic backup of {one.instance} fails"
                made.append(Alarm(what, failing.since, failing.tries, error, now.wall + ahead))
            if drill := self._drills.alarm(one):
                made.append(drill)
        return made

    def runs(self, instance: str, limit: int = 50) -> list[Row]:
        """When an instance was due: at which moment it was noticed, how many due times were missed, and the job."""
        return self._database.rows(
            "SELECT due, at, missed, job FROM runs WHERE instance = ? ORDER BY due DESC LIMIT ?", instance, limit
        )

    def _planned(self, one: Schedule, now: Now) -> float:
        """When it is due, on the steady clock; planned once, and anew when the schedule is another."""
        known = self._due.get(one.instance)
        if known is None or known[0] != one:
            known = self._due[one.instance] = (one, now.steady + one.ahead(now.wall).total_seconds())
        return known[1]

    def _run(self, one: Schedule, now: Now) -> QueuedJob:
        late = timedelta(seconds=now.steady - self._planned(one, now))
        passed = late // one.step
        # what the wall says of the time that was planned: its clock may have been set since
        due = one.nearest(now.wall - late) + passed * one.step
        late -= passed * one.step
        missed = passed + (1 if late > LATE else 0)
        said = f"due {due:%Y-%m-%d %H:%M} UTC"
        if missed:
            said += f", run {late.total_seconds() / 3600:.1f} h after it; {missed} due times missed"
        with self._database.write() as change:
            job = self._queue.accept(Request(Operation.BACKUP, one.instance, keep=one.keep), ASKER, within=change)
            change.execute("UPDATE schedules SET last = ? WHERE instance = ?", (due.isoformat(), one.instance))
            change.execute(  # a clock that was set back comes to a due time again: the later run is the record
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)",
                (one.instance, due.isoformat(), now.wall.isoformat(), missed, job.id),
            )
            change.execute("INSERT INTO lines VALUES (?, 1, ?)", (job.id, said))
        del self._due[one.instance]
        return job

    def _failing(self, instance: str) -> Failures | None:
        return failures.find(self._database, instance, Operation.BACKUP, ASKER)

    def _asked(self, instance: str) -> bool:
        return bool(self._database.rows(UNDER_WAY, name=instance))

    def _retried(self, instance: str, failing: Failures, now: Now) -> float:
        """When it is tried again, on the steady clock; the wall's may have been set, and is heard within limits."""
        known = self._retry.get(instance)
        if known is None or known[0] != failing.job:
            pause = backoff.BACKUP.after(failing.tries)
            gone = min(max(0.0, (now.wall - failing.ended).total_seconds()), pause)
            known = self._retry[instance] = (failing.job, now.steady + pause - gone)
        return known[1]

    def _again(self, one: Schedule, failing: Failures) -> QueuedJob:
        said = f"tried again: job {failing.job} failed, as did {failing.tries - 1} before it"
        with self._database.write() as change:
            job = self._queue.accept(Request(Operation.BACKUP, one.instance, keep=one.keep), ASKER, within=change)
            change.execute("INSERT INTO lines VALUES (?, 1, ?)", (job.id, said))
        return job
