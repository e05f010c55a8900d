"""PostgreSQL's archive of its log: whether it goes on from a backup without a gap, and the last commit by a time."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SEGMENT = re.compile(r"[0-9A-F]{24}")
HEADER = struct.Struct("<HHIQ")
"""Of a page: magic, flags, timeline, address."""
BYTES = 24
"""A segment has 2^24 bytes."""
COMMIT = re.compile(
    r"lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.*desc: COMMIT(?:_PREPARED)? (?:.*?)(?P<time>\d{4}-\d\d-\d\d [0-9:.]+) UTC"
)
"""A line of pg_waldump."""
BROKEN = re.compile(r"error in WAL record at (?P<lsn>[0-9A-F]+/[0-9A-F]+)")
"""Its last word, at the end of what was written, too; the place is that of the last record that it could read."""
FAILED = re.compile(r"pg_waldump: error: (?!error in WAL record)(?P<why>.*)")
"""It could not read on, or not even begin: nothing follows from what it did not show."""
STOPPED = re.compile(
    r"^Database cluster state: +shut down$.*^Latest checkpoint location: +(?P<lsn>[0-9A-F]+/[0-9A-F]+)$",
    re.MULTILINE | re.DOTALL,
)
"""Of pg_controldata, for a server that was stopped in order: the last record of its log."""
CONCURRENT = timedelta(seconds=1)
"""Commits that were under way together may lie in the log in another order than their times."""


class Gap(Exception):
    """The archive does not go on; ``reached`` is the time of the last commit before that, or None."""

    def __init__(self, why: str, reached: datetime | None = None) -> None:
        super().__init__(why)
        self.why, self.reached = why, reached


@dataclass(frozen=True)
class Target:
    """Where a recovery stops: the last commit's place (empty: there is none to replay), and its time."""

    lsn: str
    reached: datetime | None
    commits: int


def number(lsn: str) -> int:
    """The number of the segment in which a place lies."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32 | int(low, 16)) >> BYTES


def written(name: str, head: bytes) -> bool:
    """Whether a segment that begins so was written under this name: PostgreSQL renames old ones for later."""
    return len(head) == HEADER.size and HEADER.unpack(head)[3] == _index(name) << BYTES


def segments(names: Sequence[str], lsn: str) -> list[str]:
    """The archive's segments from that of ``lsn`` on, without a hole. Raises: Gap."""
    found: dict[int, str] = {}
    for name in sorted(name for name in names if SEGMENT.fullmatch(name)):
        found[_index(name)] = name  # a later timeline's in the place of an earlier's
    first = number(lsn)
    if first not in found:
        raise Gap(f"the segment in which the backup's log goes on ({lsn}) is gone")
    wanted = [index for index in sorted(found) if index >= first]
    for before, after in itertools.pairwise(wanted):
        if after != before + 1:
            raise Gap(f"the segment after {found[before]} is gone")
    return [found[index] for index in wanted]


def target(words: str, last: str, lsn: str, until: datetime) -> Target:
    """The last commit by ``until`` at ``lsn`` or later, in the segments up to ``last``.

    ``words``: what pg_waldump printed of them, and pg_controldata of the log's data, if it is there. Raises: Gap.
    """
    chosen, reached, count, late = "", None, 0, False
    for line in words.splitlines():
        if not (found := COMMIT.search(line)) or _place(found["lsn"]) < _place(lsn):
            continue
        when = datetime.fromisoformat(found["time"]).replace(tzinfo=UTC)
        if when > until:
            late = True
        elif not late:
            chosen, reached, count = found["lsn"], when, count + 1
        elif when < until - CONCURRENT:
            raise Gap("commits' times go backwards: what is wanted cannot be told from what is later", reached)
    if failed := FAILED.search(words):
        raise Gap(f"pg_waldump cannot read it: {failed['why']}", reached)
    if not late:
        _ends(words, last, reached)
    return Target(chosen, reached, count)


def _ends(said: str, last: str, reached: datetime | None) -> None:
    """See that the log was read to its end. Raises: Gap."""
    broken, stopped = BROKEN.search(said), STOPPED.search(said)
    if broken and number(broken["lsn"]) < _index(last):
        raise Gap(f"the log is spoilt at {broken['lsn']}", reached)
    if stopped is None:
        return
    ended = number(stopped["lsn"]) <= _index(last) and (not broken or _place(broken["lsn"]) >= _place(stopped["lsn"]))
    if not ended:
        raise Gap(f"the log ends before the server's last record ({stopped['lsn']})", reached)


def _index(name: str) -> int:
    return int(name[8:16], 16) << 8 | int(name[16:], 16)


def _place(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)
