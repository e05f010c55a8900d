"""What stack.sh says: its phases with their times, and, where it failed, the command, the place and the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from lab.config.rows import Trap

LAST_LINES = 15
_LINE = re.compile(r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:[.|,]\d+)? \| ?(?P<text>.*)$")
_XTRACE = re.compile(r"^\++ (?P<where>\S+:\S*:\d+)\s*:\s+(?P<command>.*)$")
_END = re.compile(r"^Error on exit$|^stack\.sh failed: full log in|^\+.*:\s+err_trap$")
"""DevStack's own traps begin here; what they print after it (the whole world's state) is no reason."""
_ERROR = re.compile(r"^\[ERROR\] (?P<where>\S+) (?P<text>.*)$")


@dataclass(frozen=True)
class Failure:
    """Where and on what stack.sh ended, its last lines before that, and the known trap, if it is one."""

    where: str
    command: str
    last_lines: str
    trap: Trap | None


def plain(line: str) -> str:
    """A line of the log without its time."""
    found = _LINE.match(line)
    return found["text"] if found else line


def phases(summary: str, end: datetime | None = None) -> list[tuple[str, int]]:
    """DevStack's own phase lines with the seconds until the next one (the last: until ``end``, else 0)."""
    said: list[tuple[datetime, str]] = []
    for line in summary.splitlines():
        found = _LINE.match(line)
        if found and not found["text"].startswith("stack.sh log "):
            said.append((datetime.fromisoformat(found["time"]).replace(tzinfo=UTC), found["text"].strip()))
    times = [time for time, _ in said] + [end or (said[-1][0] if said else datetime.now(UTC))]
    return [(text, round((times[i + 1] - time).total_seconds())) for i, (time, text) in enumerate(said)]


def failure(log: str, traps: Iterable[Trap]) -> Failure:
    """Why the run that wrote ``log`` (its end is enough) failed."""
    lines = [plain(line) for line in log.splitlines()]
    ends = [number for number, line in enumerate(lines) if _END.search(line)]
    lines = [line for line in (lines[: ends[0]] if ends else lines) if line.strip()]
    where = command = ""
    for line in reversed(lines):
        if found := _ERROR.match(line):
            where, command = found["where"], found["text"]
            break
    else:
        for line in reversed(lines):
            if found := _XTRACE.match(line):
                where, command = found["where"], found["command"]
                break
    told = [line for line in lines if not _XTRACE.match(line)]
    last = "\n".join((told or lines)[-LAST_LINES:])
    searched = "\n".join(lines[-4 * LAST_LINES :])
    trap = next((trap for trap in traps if re.search(trap.match, searched)), None)
    return Failure(where, command, last, trap)
