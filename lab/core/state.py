"""The lab's state: a small versioned JSON file of facts, written atomically under a lock.

State is a cache; reality wins. Whoever reads a fact asks the machine whether it still holds.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.core.errors import DiskFull, LabBusy, StateBroken

VERSION = 1


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text`` so that a reader, or a crash, sees the old file or the new one; never half. Raises: DiskFull."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise DiskFull(str(path)) from error
        raise


@contextlib.contextmanager
def lock(directory: Path, name: str, who: str = "") -> Iterator[None]:
    """Hold the lab's lock as ``who``; it ends with the process that holds it.

    Raises: LabBusy at once if another has it.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    holder = directory / "lock.holder"
    held = FileLock(directory / "lock")
    try:
        held.acquire(timeout=0)
    except Timeout as busy:
        raise LabBusy(name, holder.read_text() if holder.exists() else "unknown") from busy
    try:
        holder.write_text(f"{who}, process {os.getpid()}" if who else f"process {os.getpid()}")
        yield
    finally:
        held.release()


class State:
    """Facts about one lab by name: ``state["machine.image"] = "sha256:…"``; each write is on disk when it returns."""

    def __init__(self, path: Path, name: str) -> None:
        """Read ``path`` if it is there. Raises: StateBroken."""
        self.path = path
        self.name = name
        self._guard = threading.Lock()
        self._data: dict[str, Any] = {"version": VERSION, "name": name, "facts": {}, "steps": {}}
        if not path.exists():
            return
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise StateBroken(path, str(error), name) from error
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise StateBroken(path, f"version {VERSION} was expected", name)
        if not isinstance(data.get("facts"), dict) or not isinstance(data.get("steps"), dict):
            raise StateBroken(path, "facts or steps are missing", name)
        self._data = data

    def __contains__(self, key: str) -> bool:
        return key in self._data["facts"]

    def __getitem__(self, key: str) -> Any:
        return self._data["facts"][key]

    def __setitem__(self, key: str, value: object) -> None:
        with self._guard:
            if self._data["facts"].get(key) != value:
                self._data["facts"][key] = value
                self._save()

    def get(self, key: str, default: object = None) -> Any:
        """The fact, or ``default``."""
        return self._data["facts"].get(key, default)

    def forget(self, *keys: str) -> None:
        """Drop facts that no longer hold."""
        with self._guard:
            for key in keys:
                self._data["facts"].pop(key, None)
            self._save()

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """Per step name: ``status``, ``seconds``, ``ended`` (ISO 8601, UTC)."""
        return self._data["steps"]  # type: ignore[no-any-return]

    def record(self, step: str, status: str, seconds: float, ended: str) -> None:
        """Note how a step went."""
        with self._guard:
            self._data["steps"][step] = {"status": status, "seconds": round(seconds, 1), "ended": ended}
            self._save()

    def _save(self) -> None:
        write_atomically(self.path, json.dumps(self._data, indent=1, sort_keys=True), 0o600)
