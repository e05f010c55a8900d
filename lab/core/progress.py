"""What a long run tells while it runs: lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
import threading
from time import monotonic
from typing import Protocol, TextIO

from rich.console import Console
from rich.status import Status

from lab.core.run_log import RUN

NOTE_SECONDS = 10
"""Between two notes of one step where there is no live line."""


class Progress(Protocol):
    """Receives a run's events; called from several threads. Seconds are wall seconds of the step."""

    def started(self, step: str, title: str) -> None:
        """A step began."""

    def note(self, step: str, text: str) -> None:
        """What the step does or waits for at the moment."""

    def finished(self, step: str, status: str, seconds: float) -> None:
        """A step ended as ``done``, ``kept`` (was there already) or ``failed``."""

    def close(self) -> None:
        """The run is over."""


class People:
    """One line a finished step, and a live line with what is under way (only on a terminal)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._began = monotonic()
        self._titles: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._starts: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._guard = threading.Lock()
        self._status: Status | None = None
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()

    def started(self, step: str, title: str) -> None:
        """Show the step in the live line."""
        with self._guard:
            self._titles[step], self._starts[step] = title, monotonic()
            if self._status is None:
                self._console.print(f"{self._clock()} … {title}")
            self._draw()

    def note(self, step: str, text: str) -> None:
        """Show what it waits for in the live line; off a terminal, when it changes and not more often than a log
        bears."""
        with self._guard:
            if self._notes.get(step) == text or step not in self._titles:
                return
            self._notes[step] = text
            if self._status is None and monotonic() - self._told.get(step, 0) >= NOTE_SECONDS:
                self._told[step] = monotonic()
                self._console.print(f"{self._clock()}   {step}: {text}", style="dim")
            self._draw()

    def finished(self, step: str, status: str, seconds: float) -> None:
        """Print the step's line."""
        with self._guard:
            mark = {"done": "[green]✓[/]", "kept": "[dim]=[/]", "failed": "[red]✗[/]"}[status]
            took = f"{seconds:.0f} s" if status != "kept" else "already there"
            title = self._titles.pop(step, step)
            self._notes.pop(step, None)
            self._console.print(f"{self._clock()} {mark} {title} [dim]{took}[/]")
            self._draw()

    def close(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()

    def _clock(self) -> str:
        seconds = int(monotonic() - self._began)
        return f"[dim]{seconds // 60:3d}:{seconds % 60:02d}[/]"

    def _draw(self) -> None:
        if self._status is None:
            return
        now = monotonic()
        parts = [
            f"{title} ({now - self._starts[step]:.0f} s{', ' + self._notes[step] if step in self._notes else ''})"
            for step, title in self._titles.items()
        ]
        self._status.update("; ".join(parts))


class Events:
    """JSON lines on standard error: ``{"event": "finished", "step": …, "status": …, "seconds": …}``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._guard = threading.Lock()

    def started(self, step: str, title: str) -> None:
        """Event ``started``."""
        self._say(event="started", step=step, title=title)

    def note(self, step: str, text: str) -> None:
        """Event ``note``."""
        self._say(event="note", step=step, text=text)

    def finished(self, step: str, status: str, seconds: float) -> None:
        """Event ``finished``."""
        self._say(event="finished", step=step, status=status, seconds=round(seconds, 1))

    def close(self) -> None:
        """Nothing to do."""

    def _say(self, **event: object) -> None:
        with self._guard:
            print(json.dumps(event), file=self._stream, flush=True)


class Recorded:
    """A progress whose events also become rows of the run's log."""

    def __init__(self, told: Progress) -> None:
        self._told = told
        self._notes: dict[str, str] = {}

    def started(self, step: str, title: str) -> None:
        """Event ``started``."""
        RUN.add("started", step=step, title=title)
        self._told.started(step, title)

    def note(self, step: str, text: str) -> None:
        """Event ``note``; repeated ones are one row."""
        if self._notes.get(step) != text:
            self._notes[step] = text
            RUN.add("note", step=step, text=text)
        self._told.note(step, text)

    def finished(self, step: str, status: str, seconds: float) -> None:
        """Event ``finished``."""
        RUN.add("finished", step=step, status=status, seconds=round(seconds, 1))
        self._told.finished(step, status, seconds)

    def close(self) -> None:
        """The run is over."""
        self._told.close()
