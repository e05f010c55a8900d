"""What dbod-serve does beside answering: workers, schedules, the state checker, and what is known of instances."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic

from lab.core.errors import LabError, Missing, NoSuch, NotUp, OperationFailed
from lab.core.waits import Note
from lab.dbod import jobs
from lab.dbod.contract import Operation, Provider, Request, State, Value
from lab.dbod.database import Database
from lab.dbod.serve import clock
from lab.dbod.serve.alarm import Alarm
from lab.dbod.serve.book import Book
from lab.dbod.serve.clock import Now
from lab.dbod.serve.inventory import Facts, Inventory
from lab.dbod.serve.queue import JobState, Queue, QueuedJob
from lab.dbod.serve.room import Room
from lab.dbod.serve.scheduler import Scheduler
from lab.dbod.serve.states import States
from lab.dbod.serve.workers import Workers

LOOK_SECONDS = 60.0
"""Between two looks of the state checker."""
BEAT_SECONDS = 1.0
SERVER = "dbod-serve"
"""As whom the server holds the home's lock."""
STOP_SECONDS = 30.0
UNSEEN = frozenset({Operation.BACKUP, Operation.BACKUP_DELETE, Operation.DRILL, Operation.AUTOMATIC_BACKUPS})
"""Jobs after which an instance is as it was before."""


class Service:
    """One provider, served."""

    def __init__(self, provider: Provider, database: Database, workers: int, note: Note) -> None:
        self.provider = provider
        self.queue = Queue(database)
        self.scheduler = Scheduler(database, self.queue)
        self.states = States(database)
        self.book = Book(database)
        self.inventory = Inventory(self._do)
        self.workers = Workers(self.queue, provider, workers, self)
        self.trouble = ""
        self._note = note
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._looked: float | None = None
        self._alarms: set[str] = set()
        self._room = Room(LOOK_SECONDS)

    def start(self) -> None:
        """Learn what there is, take up what a killed server left, then go on beside the caller."""
        self.refresh()
        self.workers.start()
        self._heart.start()

    def stop(self) -> None:
        """Let what runs end, within ``STOP_SECONDS``."""
        self._stopped.set()
        self.workers.stop(STOP_SECONDS)
        if self._heart.is_alive():
            self._heart.join(STOP_SECONDS)

    def ask(self, request: Request, asker: str, key: str | None = None) -> QueuedJob:
        """Accept a job: it is on disk when this returns. Raises: Missing, NoSuch, Refused, DiskFull."""
        operation = request.operation
        if operation not in self.provider.does:
            raise Missing(self.provider.name, operation, self.provider.lacks[operation])
        if operation is not Operation.CREATE:
            self.need(request.instance)
        job = self.queue.accept(request, asker, key)
        self.workers.wake()
        return job

    def read(self, operation: Operation, instance: str) -> Value:
        """An operation that changes nothing, at once. Raises: LabErrors."""
        self.need(instance)
        return self._do(Request(operation, instance))

    def need(self, name: str) -> None:
        """Raises: NoSuch, unless there is such an instance or a job that will make it."""
        if name in self.inventory.names() or name in self.queue.busy():
            return
        self.refresh()
        if name not in self.inventory.names():
            if self.trouble:
                raise NotUp(
                    f"Provider {self.provider.name} cannot be asked: {self.trouble}",
                    "./inv dbod-serve's own output says more.",
                )
            raise NoSuch.instance(name, self.inventory.names())

    def facts(self) -> list[Facts]:
        """Every instance with its state as DBOD names it: a job on it counts for more than what was last seen."""
        busy, fields = self.queue.busy(), self.book.fields()
        automatic = {one.instance for one in self.scheduler.schedules.all()}
        return [
            {
                **facts,
                **fields.get(facts["name"], {}),
                "state": busy.get(facts["name"], facts["state"]),
                "automatic": facts["name"] in automatic,
            }
            for facts in self.inventory.all()
        ]

    def alarms(self) -> list[Alarm]:
        """What goes wrong now."""
        return [*self.workers.alarms(), *self.scheduler.alarms(clock.now()), *self._room.alarms()]

    def fact(self, name: str) -> Facts:
        """One instance. Raises: NoSuch."""
        self.need(name)
        for one in self.facts():
            if one["name"] == name:
                return one
        raise NoSuch.instance(name, self.inventory.names())

    def beat(self, now: Now) -> None:
        """What is to be done now and then: jobs for what is due, and a look at every instance once a minute."""
        if self.scheduler.tick(now) or self.queue.busy():
            self.workers.wake()  # commands put jobs into the queue, too
        self._tell(now)
        if self._looked is None or now.steady - self._looked >= LOOK_SECONDS:
            self._looked = now.steady
            self.look(now.wall)
            self.queue.prune()

    def _tell(self, now: Now) -> None:
        """Say which alarms of schedules and of room are new, and which are over."""
        found = {one.what: one for one in (*self.scheduler.alarms(now), *self._room.alarms())}
        for what in sorted(found.keys() - self._alarms):
            self._note(f"alarm: {what}: {found[what].error} Tried again at {found[what].next:%Y-%m-%d %H:%M} UTC")
        for what in sorted(self._alarms - found.keys()):
            self._note(f"no longer: {what}")
        self._alarms = set(found)

    def look(self, now: datetime) -> None:
        """The state checker's round; where the provider cannot say, every state is UNKNOWN."""
        began = monotonic()
        try:
            seen = list(self._do(Request(Operation.CHECK)))
            self.trouble = ""
        except LabError as error:
            self._trouble(error)
            seen = [{"name": name, "state": str(State.UNKNOWN)} for name in self.inventory.names()]
        self.states.add(seen, now)
        self._room.saw(seen, now)
        if {one["name"] for one in seen} != set(self.inventory.names()):
            self.refresh()
        self.inventory.saw(seen, now, began)

    def refresh(self) -> None:
        """Ask the provider for its instances."""
        try:
            self.inventory.refresh()
        except LabError as error:
            self._trouble(error)

    def _beat(self) -> None:
        while not self._stopped.is_set():
            try:
                self.beat(clock.now())
            except LabError as error:  # the disk is full, say: the next beat tries again
                self._trouble(error)
            except Exception as fault:  # noqa: BLE001  # without a heart there are no schedules and no looks
                self._trouble(OperationFailed("dbod-serve's round", fault))
            self._stopped.wait(BEAT_SECONDS)

    def _do(self, request: Request) -> Value:
        try:
            result = jobs.perform(self.provider, request)
        except LabError:
            raise
        except Exception as fault:  # drivers have many; none of them may end the thread that looks
            what = f"{request.operation} {request.instance}".strip()
            raise OperationFailed(what, fault) from fault
        if result.error:
            raise result.error
        return result.value

    def _trouble(self, error: LabError) -> None:
        if error.cause != self.trouble:
            self._note(f"{error.cause} {error.remedy}")
        self.trouble = error.cause

    def before(self, job: QueuedJob) -> None:
        """A job is about to end: whoever sees that it has ended shall see its instances as it left them."""
        for name in job.names if job.operation not in UNSEEN else ():
            try:
                self.inventory.learn(name)
            except LabError as error:
                self._trouble(error)

    def ending(self, change: sqlite3.Connection, job: QueuedJob, state: JobState) -> None:
        """What the job changed goes into the history in the same commit as its end."""
        if state is JobState.FINISHED_FAIL:
            if job.operation is Operation.CREATE and job.instance not in self.inventory.names():
                self.book.forget(change, job.instance, job.asker)
            return
        if job.operation is Operation.DESTROY:
            self.book.forget(change, job.instance, job.asker)
        elif told := CHANGES.get(job.operation):
            for attribute, new in told(job.request).items():
                self.book.changed(change, job.instance, job.asker, attribute, None, new)

    def after(self, job: QueuedJob) -> None:
        """A job has ended."""
        job = self.queue.get(job.id)
        why = f" ({job.why})" if job.state != JobState.FINISHED_OK else ""
        self._note(f"job {job.id}: {job.operation} {job.instance}: {job.state}{why}")

    def died(self, worker: Alarm) -> None:
        """A worker ended in the middle of its work."""
        self._note(f"{worker.what}: {worker.error}; it is started again at {worker.next:%H:%M:%S} UTC")


CHANGES: Mapping[Operation, Callable[[Request], dict[str, str]]] = {
    Operation.CREATE: lambda asked: {"instance": asked.engine},
    Operation.CLONE: lambda asked: {"clone": asked.target},
    Operation.CONFIG_PUT: lambda asked: dict(asked.settings),
    Operation.RESIZE: lambda asked: {"disk": str(asked.disk)} if asked.disk else {"memory": str(asked.memory)},
    Operation.BACKUP_DELETE: lambda asked: {"backup": f"{asked.backup} deleted"},
    Operation.ADOPT: lambda _: {"instance": "adopted"},
    Operation.RESTORE: lambda asked: {"data": " ".join(filter(None, ("restored", asked.backup, asked.time)))},
    Operation.UPGRADE: lambda asked: {"version": asked.version},
    Operation.MAINTENANCE: lambda asked: {"maintenance": "on" if asked.on else "off"},
    Operation.AUTOMATIC_BACKUPS: lambda asked: {"automatic backups": f"every {asked.every} h" if asked.on else "off"},
}
"""What a job that was done changed, for the change history."""
