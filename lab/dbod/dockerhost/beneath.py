"""Work in an instance's folder, which its administrator can write in: done as its user, the folder being the root.

What somebody has planted there (links, pipes, devices) then leads nowhere else: a path cannot leave the folder, and
the user has no right to anything beyond it. The program is this very module, started as root; it changes its root
folder and its user, and then does one thing with the standard library alone.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.dbod.dockerhost import binlog, wal

UID = 1001
"""The database servers' user, in the images and on the store."""


class Planted(Exception):
    """Something is there that is no plain file."""


def do(action: str, words: dict[str, Any]) -> Any:
    """One of the actions, in this process."""
    return ACTIONS[action](**words)


def _survey(log: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """binlog.survey; with ``gap`` and ``reached`` where there is a gap."""
    try:
        found = binlog.survey(_folder(log), binlog.Query(**wanted))
    except binlog.Gap as gap:
        return {"gap": gap.why, "reached": gap.reached}
    return {**asdict(found), "gap": ""}


def _made(log: str, name: str) -> int:
    """When a binary log was begun (Unix seconds)."""
    with _open(_folder(log) / name) as file:
        return binlog.made(file)


def _copy(pairs: list[tuple[str, str]]) -> None:
    """Copy plain files; what stands at the target is replaced, never written through."""
    for source, target in pairs:
        part = Path(f"{target}.part")
        part.unlink(missing_ok=True)
        with _open(Path(source)) as read:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as written:
                shutil.copyfileobj(read, written, 1 << 20)
        part.replace(target)


def _write(path: str, text: str) -> None:
    """A file with that text in the place of whatever is there."""
    part = Path(f"{path}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _remove(folder: str, patterns: list[str]) -> None:
    """Unlink what matches one of them in a folder; links themselves, not what they lead to."""
    for path in [found for pattern in patterns for found in _folder(folder).glob(pattern)]:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)


def _names(folder: str) -> list[str]:
    """What is in a folder, sorted."""
    return sorted(path.name for path in _folder(folder).iterdir())


def _segments(folder: str) -> list[str]:
    """The segments of PostgreSQL's log in a folder; not those that only wait for use, with older content."""
    found = []
    for path in sorted(_folder(folder).iterdir()):
        if wal.SEGMENT.fullmatch(path.name):
            with _open(path) as file:
                if wal.written(path.name, file.read(wal.HEADER.size)):
                    found.append(path.name)
    return found


def _save_wal(data: str, log: str) -> None:
    """Put a stopped PostgreSQL's segments that were not archived yet beside those that were."""
    for name in _segments(f"{data}/pg_wal"):
        if not os.path.lexists(f"/{log}/{name}"):
            _copy([(f"{data}/pg_wal/{name}", f"{log}/{name}")])


ACTIONS: dict[str, Callable[..., Any]] = {
    "survey": _survey,
    "made": _made,
    "copy": _copy,
    "write": _write,
    "remove": _remove,
    "names": _names,
    "segments": _segments,
    "save_wal": _save_wal,
}


def _folder(name: str) -> Path:
    path = Path("/", name)
    if not stat.S_ISDIR(path.stat(follow_symlinks=False).st_mode):
        raise Planted(f"{name} is no folder")
    return path


def _open(path: Path) -> Any:
    """A plain file for reading. Raises: Planted, for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Planted(f"{path.name} is no plain file")
    return os.fdopen(handle, "rb")


def main() -> None:
    """``FOLDER ACTION`` with the arguments as JSON on standard input; the answer as JSON on standard output."""
    folder, action = sys.argv[1:]
    words = json.load(sys.stdin)
    os.chroot(folder)
    os.chdir("/")
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.umask(0o077)
    try:
        answer = {"value": do(action, words)}
    except (OSError, Planted) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)
