"""The lock of a provider: one changes it at a time, a command or the dbod-serve that has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lab.core import state
from lab.core.home import Home
from lab.core.waits import Note
from lab.dbod.contract import READS, Handler, Operation, Request, Value

TROVE = "serve"
"""The lock's folder in a lab's home, for Trove: the home's own lock is that of up and its like."""
UNLOCKED = READS - {Operation.LOGS}
"""What changes nothing on any provider: to publish a log, as Trove must, may restart the server."""


def alone(body: Handler, folder: Path, name: str) -> Handler:
    """``body`` while this process holds the lock in ``folder`` of the home ``name``; it raises LabBusy, too."""

    def run(request: Request, note: Note) -> Value:
        with state.lock(folder, name):
            return body(request, note)

    return run


def guarded(handlers: Mapping[Operation, Handler], home: Home, folder: str) -> dict[Operation, Handler]:
    """``handlers``, alone where they change something; ``folder`` is the lock's in the home."""
    path = home.path / folder
    return {one: body if one in UNLOCKED else alone(body, path, home.name) for one, body in handlers.items()}
