"""What a command did, as rows of ``.lab/NAME/logs/run.jsonl``: begun, decided, each step's events, how it ended.

A command learns only while it runs which lab it is about, so rows wait in memory until ``belongs_to`` is told; those
of a command that never belonged to a lab (it was refused, or asks about the host) are written nowhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lab.core.units import MIB

FILE = "run.jsonl"
MOST_BYTES = 8 * MIB
"""A larger file becomes ``run.jsonl.1``, in place of the one before."""
SPOKEN = ("--command", "-c")
"""Flags after which a user's own words stand; those may be a secret and are left out."""


class RunLog:
    """The rows of this process. Threads may add to it; a row that cannot be written is lost, the command goes on."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._rows: list[dict[str, object]] = []
        self.folder: Path | None = None

    def add(self, event: str, **facts: object) -> None:
        """A row: the time (ISO 8601, UTC), this process's id, ``event``, and plain values."""
        row = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "process": os.getpid(), "event": event}
        with self._guard:
            self._rows.append({**row, **facts})
            self._write()

    def begin(self, words: Sequence[str]) -> None:
        """Forget what an earlier command of this process left, and begin with what was typed."""
        with self._guard:
            self._rows, self.folder = [], None
        self.add("begun", typed=[_unspoken(words, at) for at in range(len(words))])

    def belongs_to(self, folder: Path) -> None:
        """From now on rows go to the logs of the lab in ``folder``, with those that waited."""
        with self._guard:
            self.folder = folder / "logs"
            self._write()

    def forget(self) -> None:
        """The lab is gone; nothing more is written."""
        with self._guard:
            self.folder = None

    def _write(self) -> None:
        if not self._rows or self.folder is None or not self.folder.parent.is_dir():
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True, mode=0o700)
            path = self.folder / FILE
            if path.exists() and path.stat().st_size > MOST_BYTES:
                path.replace(path.with_name(f"{FILE}.1"))
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8"
            ) as file:
                file.writelines(json.dumps(row, default=str) + "\n" for row in self._rows)
        self._rows = []


def _unspoken(words: Sequence[str], at: int) -> str:
    if at and words[at - 1] in SPOKEN:
        return "…"
    flag, equals, _ = words[at].partition("=")
    return f"{flag}=…" if equals and flag in SPOKEN else words[at]


RUN = RunLog()
"""This process's."""
