"""MariaDB's binary logs, read without a server: whether they go on from a backup without a gap, and up to which time.

The format: https://mariadb.com/kb/en/2-binlog-event-header/. Only the standard library is imported, since this runs
where nothing else can be reached (beneath.py).
"""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"\xfebin"
HEADER = struct.Struct("<IBIIIH")
"""Timestamp, type, server, size, next position, flags."""
QUERY_HEAD = struct.Struct("<IIBHH")
"""Of a query event: thread, seconds, length of the schema's name, error, length of the variables."""
QUERY, FORMAT, GTID, GTID_LIST = 2, 15, 162, 163
HOUSEKEEPING = frozenset({3, 4, FORMAT, 161, GTID_LIST, 164})
"""Stop, rotate, format, checkpoint, GTID list, encryption: of no transaction."""
IN_USE = 1
"""A flag of the format event while the file is written; its checksum is made without it."""
CHECKSUM = 4
TEXT = re.compile(
    rb"(\s|/\*.*?\*/)*(INSERT|UPDATE|REPLACE|LOAD|SELECT|DELETE\b.*\bWHERE)\b", re.IGNORECASE | re.DOTALL
)
"""Statements that change rows, which are in the log as rows unless a session says otherwise (binlog_format).

The server itself writes ``DELETE FROM x`` of a MEMORY table that a restart has emptied.
"""
NAME = re.compile(r"binlog\.\d+")
CLOCK_SECONDS = 2
"""How far two readings of one clock may seem apart: stamps are whole seconds."""


class Gap(Exception):
    """The log does not go on; ``reached`` is the time (Unix seconds) of the last transaction before that, or None."""

    def __init__(self, why: str, reached: int | None) -> None:
        super().__init__(why)
        self.why, self.reached = why, reached


@dataclass
class Survey:
    """What was read: files by name, where to stop (before the first transaction that is later), and the last time."""

    files: list[str]
    stop_file: str = ""
    stop_position: int = 0
    reached: int | None = None
    transactions: int = 0
    texts: int = 0
    """Statements that are in the log as text: replayed, UUID() or LIMIT may give something else."""
    late: int | None = None
    """The first time after the wanted one."""
    gtid: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """What is looked for. ``start`` is a backup's place in the log: ``file``, ``position``, ``gtid``, and when the
    file was ``made`` (Unix seconds; backups of earlier versions have no such thing).

    ``until``, ``made`` (the backup) and ``now`` are Unix seconds; ``ended``: the server was stopped in order, so that
    no file may have a torn end.
    """

    start: dict[str, Any]
    until: float
    made: float
    now: float
    ended: bool


def survey(folder: Path, query: Query) -> Survey:
    """Read the logs in ``folder`` from a backup's place on. Raises: Gap."""
    present = sorted((p.name for p in folder.iterdir() if NAME.fullmatch(p.name)), key=_number)
    first = str(query.start["file"])
    if first not in present:
        raise Gap(f"{first}, in which the backup's log goes on, is gone", None)
    found = Survey(present[present.index(first) :])
    listed = [line.rsplit("/", 1)[-1] for line in (folder / "binlog.index").read_text().split()]
    if lost := [name for name in listed if _number(name) >= _number(first) and name not in present]:
        raise Gap(f"{lost[0]} is gone", None)
    for before, after in itertools.pairwise(_number(name) for name in found.files):
        if after != before + 1:
            raise Gap(f"binlog.{before + 1:06d} is gone", None)
    for name in found.files:
        _Reader(folder / name, found, query).read()
    return found


def made(file: BinaryIO) -> int:
    """When a log was begun (Unix seconds): the stamp of its first event. Raises: OSError (it is none)."""
    head = file.read(len(MAGIC) + HEADER.size)
    if len(head) < len(MAGIC) + HEADER.size or not head.startswith(MAGIC):
        raise OSError("this is no binary log")
    return int(HEADER.unpack_from(head, len(MAGIC))[0])


class _Reader:
    """One file, read event by event into the survey."""

    def __init__(self, path: Path, found: Survey, wanted: Query) -> None:
        self._path, self._found, self._wanted = path, found, wanted
        self._first, self._last = path.name == found.files[0], path.name == found.files[-1]
        self._begin = int(wanted.start["position"]) if self._first else len(MAGIC)
        self._begun = not self._first
        self._group: int | None = None
        self._stamp = self._texts = 0

    def read(self) -> None:
        end = len(MAGIC)
        for at, (when, kind, server, size), body in self._events():
            if not self._begun and at >= self._begin:
                self._enter(at)
            if kind == FORMAT and self._first and self._anew(when):
                raise Gap(f"{self._path.name} was begun anew after the backup (RESET MASTER)", None)
            if kind == GTID_LIST:
                self._list(body)
            if kind == GTID:
                self._end_group()
                sequence, domain = struct.unpack_from("<QI", body)
                self._found.gtid[domain] = (server, sequence)
                self._group = at if at >= self._begin else None
            if kind not in HOUSEKEEPING and self._group is not None:
                self._stamp = max(self._stamp, when)
                self._texts += kind == QUERY and bool(TEXT.match(_statement(body)))
            end = at + size
        if not self._begun:
            self._enter(end)
        if self._torn and self._group is not None:
            end = self._group  # the server died while it wrote this one: it was never committed
            self._found.gtid = self._before
        else:
            self._end_group()
        if not self._found.stop_file and self._last:
            self._found.stop_file, self._found.stop_position = self._path.name, end

    def _anew(self, made: int) -> bool:
        """Whether the first file is another one of the same name than the backup's."""
        if "made" in self._wanted.start:
            return made != int(self._wanted.start["made"])
        return made > self._wanted.made + CLOCK_SECONDS

    def _enter(self, at: int) -> None:
        """At the backup's place: the log has just what the server had written then."""
        if at != self._begin:
            raise Gap(f"{self._path.name} is not the file that the backup's log goes on in", None)
        self._begun = True
        if "gtid" not in self._wanted.start:  # a backup of an earlier version of the lab
            return
        words = [word.split("-") for word in str(self._wanted.start["gtid"]).split(",") if word]
        if {int(domain): (int(server), int(sequence)) for domain, server, sequence in words} != self._found.gtid:
            raise Gap(f"{self._path.name} has another history than the backup", None)

    def _list(self, body: bytes) -> None:
        """Each file begins with what had been written before it."""
        if self._first:
            self._found.gtid = _gtids(body)
        elif _gtids(body) != self._found.gtid:
            why = f"{self._path.name} does not go on where the file before it ended"
            raise Gap(why, self._found.reached)

    def _end_group(self) -> None:
        found, stamp = self._found, self._stamp
        group, texts = self._group, self._texts
        self._group, self._stamp, self._texts = None, 0, 0
        self._before = dict(found.gtid)
        if group is None:
            return
        if stamp > self._wanted.now + CLOCK_SECONDS:
            ahead = stamp - self._wanted.now
            raise Gap(
                f"a transaction in {self._path.name} is stamped {ahead:.0f} s ahead of the clock", found.reached
            )
        if stamp > self._wanted.until:
            if not found.stop_file:
                found.stop_file, found.stop_position, found.late = self._path.name, group, stamp
        elif found.stop_file:
            why = f"times in {self._path.name} go backwards: what is wanted cannot be told from what is later"
            raise Gap(why, found.reached)
        else:
            found.reached = max(stamp, found.reached or 0)
            found.transactions += 1
            found.texts += texts

    def _events(self) -> Iterator[tuple[int, tuple[int, int, int, int], bytes]]:
        """Position, (timestamp, type, server, size), body without its checksum. Raises: Gap, for a spoilt event.

        A torn end is left out where the server may have died: of the last file, or of one whose follower says so.
        """
        self._torn, self._before = False, dict(self._found.gtid)
        with self._path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise Gap(f"{self._path.name} is no binary log", None)
            at, sums = len(MAGIC), False
            while head := file.read(HEADER.size):
                event = _rest(file, head)
                if event is None:
                    if self._last and self._wanted.ended:
                        raise Gap(f"{self._path.name} is spoilt at {at}, or its end is gone", self._found.reached)
                    self._torn = True
                    return
                when, kind, server, size, _, flags = HEADER.unpack(head)
                if at == len(MAGIC):
                    if kind != FORMAT:
                        raise Gap(f"{self._path.name} is spoilt: it does not begin with its format", None)
                    # whether events carry a checksum; this one does where its last bytes are not 0
                    sums = event[-CHECKSUM - 1] == 1 or event[-CHECKSUM:] != bytes(CHECKSUM)
                if sums and not _whole(event, flags, kind):
                    raise Gap(f"{self._path.name} is spoilt at {at}: its checksum is another", self._found.reached)
                yield at, (when, kind, server, size), event[HEADER.size : -CHECKSUM if sums else None]
                at += size


def _rest(file: BinaryIO, head: bytes) -> bytes | None:
    """The whole event that begins with ``head``; None where it is torn."""
    if len(head) < HEADER.size:
        return None
    size = HEADER.unpack(head)[3]
    if size < HEADER.size:
        return None
    event = head + file.read(size - HEADER.size)
    return event if len(event) == size else None


def _whole(event: bytes, flags: int, kind: int) -> bool:
    if kind == FORMAT and flags & IN_USE:
        event = event[:17] + struct.pack("<H", flags & ~IN_USE) + event[19:]
    (kept,) = struct.unpack("<I", event[-CHECKSUM:])
    return bool(zlib.crc32(event[:-CHECKSUM]) == kept)


def _statement(body: bytes) -> bytes:
    """The text of a query event; empty where it has none."""
    if len(body) < QUERY_HEAD.size:
        return b""
    _, _, schema, _, status = QUERY_HEAD.unpack_from(body)
    return body[QUERY_HEAD.size + status + schema + 1 :]


def _gtids(body: bytes) -> dict[int, tuple[int, int]]:
    """Domain to (server, sequence), the last one of each."""
    (count,) = struct.unpack_from("<I", body)
    rows = (struct.unpack_from("<IIQ", body, 4 + 16 * i) for i in range(count & 0x0FFFFFFF))
    return {domain: (server, sequence) for domain, server, sequence in rows}


def _number(name: str) -> int:
    return int(name.rsplit(".", 1)[1])
