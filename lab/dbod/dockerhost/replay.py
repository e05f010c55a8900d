"""To a point in time: what a restored snapshot lacks is replayed from the engine's own log, by the engine itself.

MariaDB's binary logs are handed to the server as relay logs, whose SQL thread applies them up to a position (the
image has no mariadb-binlog). PostgreSQL's archive is read by its own recovery.
"""

from __future__ import annotations

import os
import re
import struct
from datetime import datetime
from pathlib import Path

from lab.core import process, waits
from lab.core.errors import CheckFailed, DatabaseFailed
from lab.dbod.dockerhost.engines import DATA, LOG, UID
from lab.engines.sql import Session

SECONDS = 3600.0
MAGIC = b"\xfebin"
HEADER = struct.Struct("<IBIIIH")
"""Timestamp, type, server, size, next position, flags: https://mariadb.com/kb/en/2-binlog-event-header/"""
GTID_EVENT = 162
HOUSEKEEPING = frozenset({3, 4, 15, 161, 163, 164})
"""Stop, rotate, format, checkpoint, GTID list, encryption: of no transaction, and written after the last one."""
RELAY = "dbod-relay"


def stop_position(files: list[Path], start: int, until: datetime) -> tuple[int, int]:
    """Where the first transaction with an event later than ``until`` begins: index of the file, and position.

    ``start`` is the position in the first file. Where there is none, the end of the last file's last whole event.
    """
    index, end = 0, start
    for index, path in enumerate(files):
        data = path.read_bytes()
        if data[:4] != MAGIC:
            raise CheckFailed(path.name, "it is no binary log")
        at = end = start if index == 0 else len(MAGIC)
        group = 0
        while at + HEADER.size <= len(data):
            stamp, kind, _, size, _, _ = HEADER.unpack_from(data, at)
            if size < HEADER.size or at + size > len(data):
                break  # a torn end: the server died while it wrote
            if kind == GTID_EVENT:
                group = at
            if stamp > until.timestamp() and group and kind not in HOUSEKEEPING:
                return index, group
            at += size
            end = at
    return index, end


def relay(log: Path, data: Path, first: str) -> list[Path]:
    """Copy the binary logs from ``first`` on into ``data`` as relay logs with their index; we may read them."""
    listed = process.run(*process.as_root("ls", log)).stdout.split()
    # beside them lie their index and, since MariaDB 11, an index of GTIDs for each (binlog.000001.idx)
    wanted = sorted(n for n in listed if re.fullmatch(r"binlog\.\d+", n) and n >= first)
    if not wanted:
        raise CheckFailed("the log", f"{first} is gone")
    copies = []
    for number, name in enumerate(wanted, 1):
        copy = data / f"{RELAY}.{number:06d}"
        process.run(*process.as_root("cp", log / name, copy))
        copies.append(copy)
    process.run(*process.as_root("chown", str(os.geteuid()), *copies))
    process.run(*process.as_root("chmod", "a+x", data))
    return copies


def hand_over(copies: list[Path], data: Path) -> None:
    """Give the relay logs to the server's user, with the index that it reads."""
    index = data / f"{RELAY}.index"
    text = "".join(f"{DATA}/{copy.name}\n" for copy in copies)
    process.run(*process.as_root("tee", index), stdin=text)
    process.run(*process.as_root("chown", f"{UID}:{UID}", index, *copies))
    process.run(*process.as_root("chmod", "0700", data))


MARIADB_REPLAYS = {
    "relay_log": f"{DATA}/{RELAY}",
    "relay_log_index": f"{DATA}/{RELAY}.index",
    "skip_slave_start": "ON",
    # the events are this server's own
    "replicate_same_server_id": "ON",
}


def apply(session: Session, start: int, file: Path, position: int) -> None:
    """Let the SQL thread apply the relay logs up to ``position`` in ``file``. Raises: GaveUp with its own words."""
    session.execute(
        "CHANGE MASTER TO MASTER_HOST = 'nowhere', MASTER_USER = 'nobody', MASTER_USE_GTID = no, "
        f"RELAY_LOG_FILE = '{RELAY}.000001', RELAY_LOG_POS = {start}"
    )
    session.execute(f"START SLAVE SQL_THREAD UNTIL RELAY_LOG_FILE = '{file.name}', RELAY_LOG_POS = {position}")
    names = ("Slave_SQL_Running", "Last_SQL_Error", "Relay_Log_File", "Relay_Log_Pos")

    def seen() -> dict[str, str]:
        return dict(zip(names, session.columns("SHOW SLAVE STATUS", names)[0], strict=True))

    waits.until(
        "the binary logs to be replayed",
        lambda: seen()["Slave_SQL_Running"] == "No",
        seconds=SECONDS,
        every=0.1,
        describe=lambda: str(seen()),
    )
    if said := seen()["Last_SQL_Error"]:
        raise DatabaseFailed("the replay", str(said))
    session.execute("RESET SLAVE ALL")


def save_wal(data: Path, log: Path) -> None:
    """Put the segments that were not archived yet beside those that were, from a stopped server's folder."""
    script = 'cd "$1" && for f in ????????????????????????; do [ -f "$2/$f" ] || cp -p "$f" "$2/$f"; done'
    process.run(*process.as_root("sh", "-c", script, "sh", data / "pg_wal", log))


def forget_wal(log: Path, first: str) -> None:
    """Remove archived segments before ``first`` (a name without its timeline); histories stay."""
    listed = process.run(*process.as_root("ls", log)).stdout.split()
    gone = [name for name in listed if re.fullmatch(r"[0-9A-F]{24}", name) and name[8:] < first]
    process.run(*process.as_root("rm", "-f", *(log / name for name in gone)))


def recovery(time: datetime) -> dict[str, str]:
    """PostgreSQL's settings for a recovery up to and with ``time``."""
    return {
        "restore_command": f"cp {LOG}-replayed/%f %p",
        "recovery_target_time": time.isoformat(sep=" "),
        "recovery_target_action": "promote",
        # only the history that the backup is of
        "recovery_target_timeline": "current",
    }
