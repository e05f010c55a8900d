"""Threads that run the queue's jobs, each to its end; one that is stopped in the middle gives its job back."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from time import monotonic
from typing import Any, Protocol

from lab.core import waits
from lab.core.errors import Interrupted, LabError, OperationFailed
from lab.dbod import jobs
from lab.dbod.contract import Outcome, Provider
from lab.dbod.serve.queue import JobState, Queue, QueuedJob

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


class Workers:
    """``count`` threads over a queue."""

    def __init__(self, queue: Queue, provider: Provider, count: int, hooks: Hooks) -> None:
        self._queue = queue
        self._provider = provider
        self._hooks = hooks
        self._changed = threading.Condition()
        self._news = 0
        self._stopping = False
        self._threads = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(count)]

    def start(self) -> None:
        """Give back what a killed server was at, then work."""
        self._queue.recover()
        for thread in self._threads:
            thread.start()

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
            self._queue.give_back(job.id, "the server was stopped while this ran: it runs again at its next start")
            return False
        except LabError as trouble:
            self._return(job, trouble)
            return False
        self._hooks.after(job)
        self.wake()
        return True

    def _return(self, job: QueuedJob, trouble: LabError) -> None:
        """How it went could not be written (the disk is full): let it run again as soon as something can be."""
        while not self._stopping:
            with self._changed:
                self._changed.wait(LOOK_SECONDS)
            with contextlib.suppress(LabError):
                self._queue.give_back(job.id, f"how it went could not be written: {trouble.cause} It runs again.")
                return

    def _work(self) -> None:
        while not self._stopping:
            seen = self._news
            with contextlib.suppress(LabError):  # nothing can be written: nothing was claimed
                if self.run_one():
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
