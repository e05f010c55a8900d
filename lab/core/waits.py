"""The one place that waits: a deadline, a condition that is fatal, and words for both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeVar

from lab.core.errors import GaveUp, Interrupted, TimedOut

T = TypeVar("T")
Note = Callable[[str], None]


def silent(_: str) -> None:
    """A note that nobody reads."""


cancelled = threading.Event()
"""Set on Ctrl-C, so that waits in worker threads end at once."""


def pause(seconds: float) -> None:
    """Wait a fixed time (a sampling interval, never a guess at readiness); ends early on Ctrl-C."""
    if cancelled.wait(seconds):
        raise Interrupted("the same command again")


def until(
    what: str,
    probe: Callable[[], T | None],
    *,
    seconds: float,
    setting: str = "",
    every: float = 1.0,
    fatal: Callable[[], str | None] | None = None,
    transient: tuple[type[Exception], ...] = (),
    describe: Callable[[], str] | None = None,
    note: Note | None = None,
    log: Path | None = None,
) -> T:
    """Call ``probe`` until it gives something true, and return that.

    ``seconds`` bounds the wait and ``setting`` is the flag that raises it, where one does; ``fatal`` returns a reason
    to give up at once; exceptions of ``transient`` types count as "not yet" and are shown in the timeout's text;
    ``describe`` says what is seen at the moment. Monotonic clock only. Raises: TimedOut, GaveUp, Interrupted.
    """
    deadline = monotonic() + seconds
    last = ""
    while True:
        try:
            result = probe()
            last = describe() if describe and not result else last
        except transient as error:
            result, last = None, f"{type(error).__name__}: {error}"
        if result:
            return result
        if fatal and (reason := fatal()):
            raise GaveUp(what, reason, log=log)
        if note:
            note(f"waiting for {what}" + (f": {last}" if last else ""))
        if monotonic() >= deadline:
            raise TimedOut(what, seconds, setting, last, log)
        pause(min(every, max(0.0, deadline - monotonic())))
