"""Raw rows: one JSON object a line, flushed as they come, so that a killed run keeps what it measured."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.core.errors import BadFile, DiskFull

FILE = "rows.jsonl"
STOPPED = "stopped"
"""A trial that the time limit cut short: it is tried again when the run goes on."""
Row = dict[str, Any]


class Rows:
    """The rows of one run's folder. Each has ``kind`` and ``at`` (ISO 8601, UTC); sizes are bytes, times seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self._guard = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        _end_torn_line(self.path)

    def add(self, kind: str, **values: Any) -> Row:
        """Append one row and return it. Raises: DiskFull."""
        row = {"kind": kind, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        with self._guard:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise DiskFull(str(self.path)) from error
                raise
        return row


def read(folder: Path) -> list[Row]:
    """Every row of a folder; a line that a kill cut short is left out. Raises: BadFile."""
    return list(_read(folder / FILE))


def of(rows: list[Row], kind: str, **wanted: object) -> list[Row]:
    """The rows of a kind whose values equal ``wanted``."""
    return [r for r in rows if r["kind"] == kind and all(r.get(k) == v for k, v in wanted.items())]


def finished(rows: list[Row]) -> list[Row]:
    """Rows without those of trials that were cut short, and of attempts that a later one repeated."""
    attempt: dict[str, int] = {}
    whole: set[tuple[str, int]] = set()
    numbered: list[tuple[Row, tuple[str, int] | None]] = []
    for row in rows:
        key: str = row.get("trial", "")
        if row["kind"] == "begin":
            attempt[key] = attempt.get(key, 0) + 1
        mine = (key, attempt.get(key, 0)) if key else None
        if mine and row["kind"] == "trial" and row["status"] != STOPPED:
            whole.add(mine)
        numbered.append((row, mine))
    return [row for row, mine in numbered if mine is None or mine in whole]


def _read(path: Path) -> Iterator[Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadFile(
            path, error.strerror or str(error), "Name the folder that ./inv density-bench wrote."
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise BadFile(
                path, f"line {number} is no JSON", "Take the folder from its backup, or run again."
            ) from error
        if not isinstance(row, dict) or "kind" not in row:
            raise BadFile(path, f"line {number} is no row of ours", "Name the folder that ./inv density-bench wrote.")
        yield row


def _end_torn_line(path: Path) -> None:
    """Cut a last line without an end, so that the next row does not continue it."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])
