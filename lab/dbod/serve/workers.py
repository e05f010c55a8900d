"""Threads that run the queue's jobs, each to its end; one that ends in the middle gives its job back."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from lab.core import waits
from lab.core.errors import Interrupted, LabError, OperationFailed, PoisonJob
from lab.dbod import jobs
from lab.dbod.contract import Outcome, Provider
from lab.dbod.dockerhost.records import moment
from lab.dbod.serve import backoff
from lab.dbod.serve.alarm import Alarm
from lab.dbod.serve.queue import ATTEMPTS, JobState, Queue, QueuedJob

LOOK_SECONDS = 5.0
"""How often a worker looks for work that nobody told it of."""
WARNING = "warning:"
"""Notes that begin so end a job that was done as FINISHED_WARNING."""


class Hooks(Protocol):
    """What else is to be done when a job ends."""

    def before(self, job: QueuedJob) -> None:
        """It is done, and still holds its names."""

    def ending(self, change: sqlite3.Connection, job: QueuedJob, state: JobState) -> None:
        """Part of the commit that ends it."""

    def after(self, job: QueuedJob) -> None:
        """It has ended."""

    def died(self, worker: Alarm) -> None:
        """A worker ended in the middle of its work; it is started again."""


class Workers:
    """``count`` threads over a queue; ``restarts`` is how often one of them had to be started again."""

    def __init__(self, queue: Queue, provider: Provider, count: int, hooks: Hooks) -> None:
        self._queue = queue
        self._provider = provider
        self._hooks = hooks
        self._changed = threading.Condition()
        self._news = 0
        self._stopping = False
        self._dead: dict[str, Alarm] = {}
        self.restarts = 0
        names = [f"worker-{n}" for n in range(count)]
        self._threads = [threading.Thread(target=self._kept, args=(one,), name=one, daemon=True) for one in names]

    def start(self) -> None:
        """Give back what a killed server was at, then work."""
        self.recover()
        for thread in self._threads:
            thread.start()

    def recover(self) -> None:
        """What a killed server was at runs again, or has failed where it was begun often enough."""
        for job in self._queue.left():
            self._again(job, "the server ended while this ran")

    def alarms(self) -> list[Alarm]:
        """The workers that ended and do not work again yet."""
        return [alarm for _, alarm in sorted(self._dead.items())]

    def stop(self, seconds: float) -> None:
        """Begin nothing new, let what runs end for ``seconds``, then interrupt it: it runs at the next start."""
        self._stopping = True
        self.wake()
        began = [thread for thread in self._threads if thread.is_alive()]
        until = monotonic() + seconds
        for thread in began:
            thread.join(max(0.0, until - monotonic()))
        waits.cancelled.set()
        for thread in began:
            thread.join(seconds)

    def wake(self) -> None:
        """There is something new in the queue, or to be seen of it."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    @property
    def stopping(self) -> bool:
        """Whether no further job is begun."""
        return self._stopping

    def run_one(self) -> bool:
        """Run the next job that may run; whether there was one."""
        job = self._queue.claim()
        if job is None:
            return False
        try:
            self._run(job)
        except Interrupted:
            why = "the server was stopped while this ran: it runs again at its next start"
            self._queue.give_back(job.id, why, counted=False)
            return False
        except LabError as trouble:
            with self._changed:
                self._changed.wait(LOOK_SECONDS)
            self._return(job, f"how it went could not be written: {trouble.cause.rstrip('.')}")
            return False
        except BaseException as fault:
            self._return(job, f"its worker ended: {_said(fault)}")
            raise
        self._hooks.after(job)
        self.wake()
        return True

    def _return(self, job: QueuedJob, how: str) -> None:
        """Let a job go that came to no end, as soon as something can be written (the disk may be full)."""
        while not self._stopping:
            with contextlib.suppress(LabError):
                self._again(job, how)
                return
            with self._changed:
                self._changed.wait(LOOK_SECONDS)

    def _again(self, job: QueuedJob, how: str) -> None:
        """Let it run again; begun ``ATTEMPTS`` times, it has failed. Raises: LabError (nothing can be written)."""
        if job.attempts < ATTEMPTS:
            self._queue.give_back(job.id, f"{how}: it runs again, and what was done is not done twice")
            return
        error = PoisonJob(f"job {job.id} ({job.operation} {job.instance})", job.attempts, how)
        self._queue.note(job.id, f"{error.cause} {error.remedy}")
        ended = (job, JobState.FINISHED_FAIL, str(Outcome.FAILED), error.cause, None, error.as_dict())
        try:
            self._queue.finish(*ended, self._hooks.ending)
        except LabError:
            raise
        except Exception:  # noqa: BLE001  # what else is to be done at its end may be what ended its workers
            self._queue.finish(*ended, lambda *_: None)
        self._hooks.after(job)
        self.wake()

    def _kept(self, name: str) -> None:
        """Work, and begin anew after whatever ends that, later each time."""
        while not self._stopping:
            try:
                self._work(name)
            except BaseException as fault:  # noqa: BLE001  # also what means to end the thread
                before, now = self._dead.get(name), moment()
                tries = before.tries + 1 if before else 1
                wait = backoff.WORKER.after(tries)
                since = before.since if before else now
                alarm = Alarm(f"{name} of the server died", since, tries, _said(fault), now + timedelta(seconds=wait))
                self._dead[name] = alarm
                self.restarts += 1
                self._hooks.died(alarm)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, wait)

    def _work(self, name: str) -> None:
        while not self._stopping:
            seen = self._news
            with contextlib.suppress(LabError):  # nothing can be written: nothing was claimed
                ran = self.run_one()
                self._dead.pop(name, None)
                if ran:
                    continue
            with self._changed:
                # what came after we had looked must not be slept over
                if self._news == seen and not self._stopping:
                    self._changed.wait(LOOK_SECONDS)

    def _run(self, job: QueuedJob) -> None:
        warned: list[str] = []

        def note(text: str) -> None:
            self._queue.note(job.id, text)
            if WARNING in text:
                warned.append(text.partition(WARNING)[2].strip())

        value: Any = None
        error: LabError | None = None
        try:
            result = jobs.perform(self._provider, job.request, note)
            outcome, why, value, error = result.outcome, result.why, result.value, result.error
        except Interrupted:
            raise
        except LabError as refused:
            outcome, why, error = Outcome.FAILED, refused.cause, refused
        except Exception as fault:  # noqa: BLE001  # a fault in one job must not end the others' worker
            error = OperationFailed(str(job.operation), fault)
            outcome, why = Outcome.FAILED, error.cause
        if error:
            self._queue.note(job.id, f"{error.cause} {error.remedy}")
        state = JobState.FINISHED_FAIL if error else JobState.FINISHED_WARNING if warned else JobState.FINISHED_OK
        why = "; ".join(warned) if warned and not error else why
        told = error.as_dict() if error else None
        self._hooks.before(job)
        self._queue.finish(job, state, str(outcome), why, value, told, self._hooks.ending)


def _said(fault: BaseException) -> str:
    return f"{type(fault).__name__}: {str(fault)[:300]}".removesuffix(": ")
