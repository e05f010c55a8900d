"""The step engine: each step says how to see that it is done, and does it; independent steps overlap.

A run of the same steps is also its resume: ``check`` asks the machine, so what is there is kept and what is
missing, for whatever reason, is made.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from time import monotonic

from lab.core import process, waits
from lab.core.errors import Interrupted, LabError
from lab.core.progress import Progress
from lab.core.state import State
from lab.core.waits import Note


@dataclass(frozen=True)
class Step:
    """One thing that a run makes.

    ``done`` asks reality whether it is there; ``run`` makes it, telling what it waits for through its argument;
    ``after`` names the steps that must have ended before. A step may be run again at any time after being killed.
    """

    name: str
    title: str
    done: Callable[[], bool]
    run: Callable[[Note], None]
    after: tuple[str, ...] = ()


def run(steps: Sequence[Step], state: State, progress: Progress, resume: str) -> None:
    """Run ``steps``, each as soon as those it is after have ended.

    The first failure stops the starting of further steps, lets the ones under way end, and is raised. ``resume``
    is the command that goes on, named in Interrupted.

    Raises: ValueError (a step comes after one that there is not, or after itself through others), and whatever a step
    raises; a LabError then has that step's title.
    """
    by_name = {step.name: step for step in steps}
    if unknown := [(s.name, a) for s in steps for a in s.after if a not in by_name]:
        raise ValueError(f"step {unknown[0][0]!r} comes after {unknown[0][1]!r}, which is no step of this run")
    order = TopologicalSorter({s.name: set(s.after) for s in steps})
    order.prepare()
    waits.cancelled.clear()
    failure: BaseException | None = None
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        pending: dict[concurrent.futures.Future[None], str] = {}
        try:
            while order.is_active() or pending:
                if failure is None:
                    for name in order.get_ready():
                        pending[pool.submit(_one, by_name[name], state, progress)] = name
                if not pending:
                    break
                ended, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in ended:
                    name = pending.pop(future)
                    if error := future.exception():
                        failure = failure or error
                    else:
                        order.done(name)
        except KeyboardInterrupt:
            waits.cancelled.set()
            process.end_all()
            failure = Interrupted(resume)
    if failure is not None:
        raise failure


def _one(step: Step, state: State, progress: Progress) -> None:
    began = monotonic()

    def ended(status: str) -> None:
        seconds = monotonic() - began
        if status != "kept":
            state.record(step.name, status, seconds, datetime.now(UTC).isoformat(timespec="seconds"))
        progress.finished(step.name, status, seconds)

    try:
        if step.done():
            ended("kept")
            return
        progress.started(step.name, step.title)
        step.run(lambda text: progress.note(step.name, text))
    except BaseException as error:
        if isinstance(error, LabError):
            error.step = step.title
        ended("failed")
        raise
    ended("done")
