"""To a point in time: what a restored snapshot lacks is replayed from the engine's own log, by the engine itself.

MariaDB's binary logs are handed to the server as relay logs, whose SQL thread applies them up to a position (the
image has no mariadb-binlog). PostgreSQL's archive is read by its own recovery, up to and with one commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.core import waits
from lab.core.errors import DatabaseFailed, Refused
from lab.dbod.dockerhost import wal
from lab.dbod.dockerhost.engines import DATA, LOG
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Backup
from lab.engines.sql import Session

SECONDS = 3600.0
RELAY = "dbod-relay"
MARIADB_REPLAYS = {
    "relay_log": f"{DATA}/{RELAY}",
    "relay_log_index": f"{DATA}/{RELAY}.index",
    "skip_slave_start": "ON",
    # the events are this server's own
    "replicate_same_server_id": "ON",
    # what the log holds has been done by events already; done again it would be there twice. With DISABLED the log's
    # own CREATE EVENT would be an error
    "event_scheduler": "OFF",
}


@dataclass(frozen=True)
class MariadbReplay:
    """Binary logs by name, the position in the first where it begins and in the last where it stops."""

    files: tuple[str, ...]
    start: int
    stop: int
    transactions: int
    reached: datetime | None
    texts: int = 0

    @property
    def doubt(self) -> str:
        """Why what comes back may be other rows than were committed; empty where it cannot be."""
        if not self.texts:
            return ""
        return f"{self.texts} statements are in the log as text (binlog_format); UUID() or LIMIT may give others now"


@dataclass(frozen=True)
class PostgresqlReplay:
    """The commit up to which it goes (empty: the snapshot itself is what is wanted)."""

    lsn: str
    commits: int
    reached: datetime | None
    doubt: str = ""


Replay = MariadbReplay | PostgresqlReplay


def survey(instance: Instance, backup: Backup, time: datetime, *, ended: bool) -> Replay:
    """What a replay from ``backup`` to ``time`` takes; ``ended``: the server was stopped in order. Changes nothing.

    Raises: Refused (the log has a gap), CheckFailed (what was planted there).
    """
    if instance.engine.name == "mariadb":
        return _survey_mariadb(instance, backup, time, ended=ended)
    return _survey_postgresql(instance, backup, time)


def _survey_mariadb(found: Instance, backup: Backup, time: datetime, *, ended: bool) -> MariadbReplay:
    told: dict[str, Any] = found.beneath(
        "survey",
        log=found.log(backup.log).name,
        wanted={
            "start": dict(backup.position),
            "until": time.timestamp(),
            "made": backup.moment.timestamp(),
            "now": datetime.now(UTC).timestamp(),
            "ended": ended,
        },
    )
    reached = datetime.fromtimestamp(told["reached"], UTC) if told["reached"] is not None else None
    if told["gap"]:
        raise _refusal(found, backup, told["gap"], reached)
    files = told["files"][: told["files"].index(told["stop_file"]) + 1]
    start = int(backup.position["position"])
    stop, texts = int(told["stop_position"]), int(told["texts"])
    return MariadbReplay(tuple(files), start, stop, told["transactions"], reached, texts)


def _survey_postgresql(found: Instance, backup: Backup, time: datetime) -> PostgresqlReplay:
    lsn, log = str(backup.position["lsn"]), found.log(backup.log).name
    redo = str(backup.position.get("redo", lsn))  # backups of earlier versions have the one place only
    try:
        names = wal.segments(found.beneath("segments", folder=log), redo)
        script = (
            'pg_waldump --rmgr=Transaction --path="/srv/$1" --start="$2" "$3" "$4" 2>&1 || :\n'
            'if [ "$5" ]; then exec pg_controldata "/srv/$5"; fi'
        )
        # a restore that was put back has a log that goes on elsewhere than the present data's
        present = found.data.name if backup.log == found.record.log else ""
        said = found.try_out(["sh", "-c", script, "sh", log, redo, names[0], names[-1], present])
        target = wal.target(said, names[-1], lsn, time)
    except wal.Gap as gap:
        raise _refusal(found, backup, gap.why, gap.reached) from gap
    return PostgresqlReplay(target.lsn, target.commits, target.reached)


def _refusal(found: Instance, backup: Backup, why: str, reached: datetime | None) -> Refused:
    name = found.record.name
    again = f"./inv dbod restore --instance={name} --backup={backup.id}"
    if reached is None:
        remedy = f"Backup {backup.id} itself can be restored: {again}"
    else:
        remedy = f"It reaches {reached:%Y-%m-%dT%H:%M:%SZ}: {again} --time={reached:%Y-%m-%dT%H:%M:%SZ}"
    return Refused(f"The log of {name} does not go on from backup {backup.id} to that time: {why}.", remedy)


def hand_over(instance: Instance, backup: Backup, replay: MariadbReplay) -> str:
    """Put the binary logs into the data as relay logs with the index that the server reads; the last one's name."""
    data, log = instance.data.name, instance.log(backup.log).name
    copies = [f"{RELAY}.{number:06d}" for number in range(1, len(replay.files) + 1)]
    pairs = [(f"{log}/{name}", f"{data}/{copy}") for name, copy in zip(replay.files, copies, strict=True)]
    instance.beneath("copy", pairs=pairs)
    instance.beneath("write", path=f"{data}/{RELAY}.index", text="".join(f"{DATA}/{copy}\n" for copy in copies))
    return copies[-1]


def apply(session: Session, start: int, file: str, position: int) -> None:
    """Let the SQL thread apply the relay logs up to ``position`` in ``file``.

    Raises: DatabaseFailed, if it stops with an error or anywhere else; TimedOut.
    """
    session.execute(
        "CHANGE MASTER TO MASTER_HOST = 'nowhere', MASTER_USER = 'nobody', MASTER_USE_GTID = no, "
        f"RELAY_LOG_FILE = '{RELAY}.000001', RELAY_LOG_POS = {start}"
    )
    session.execute(f"START SLAVE SQL_THREAD UNTIL RELAY_LOG_FILE = '{file}', RELAY_LOG_POS = {position}")
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
    ended = seen()
    if said := ended["Last_SQL_Error"]:
        raise DatabaseFailed("the replay", str(said))
    if (ended["Relay_Log_File"], int(ended["Relay_Log_Pos"])) < (file, position):
        where = f"{ended['Relay_Log_File']}:{ended['Relay_Log_Pos']}"
        raise DatabaseFailed("the replay", f"it ended at {where}, before {file}:{position}")
    session.execute("RESET SLAVE ALL")


def sleeping_events(session: Session) -> list[str]:
    """Events that a replay has switched off, as ``schema.event``: those that the log created or changed.

    The SQL thread marks each as a replica's, be it enabled or not, so that what its owner wanted cannot be read.
    """
    wanted = "SELECT event_schema, event_name FROM information_schema.events WHERE status = 'SLAVESIDE_DISABLED'"
    return [f"{schema}.{event}" for schema, event in session.execute(f"{wanted} ORDER BY 1, 2")]


def invalid_databases(session: Session) -> list[str]:
    """Databases that PostgreSQL marks as half dropped."""
    return [str(row[0]) for row in session.execute("SELECT datname FROM pg_database WHERE datconnlimit = -2")]


def forget_wal(instance: Instance, first: str) -> None:
    """Remove archived segments of the present log before ``first`` (a name without its timeline); histories stay."""
    log = instance.log(instance.record.log).name
    names = instance.beneath("names", folder=log)
    gone = [name for name in names if re.fullmatch(r"[0-9A-F]{24}", name) and name[8:] < first]
    if gone:
        instance.beneath("remove", folder=log, patterns=gone)


def recovery(lsn: str) -> dict[str, str]:
    """PostgreSQL's settings for a recovery up to and with the commit at ``lsn``."""
    return {
        # a file that should be there and is not ends the recovery (above 125), instead of counting as the log's end
        "restore_command": f"[ -e {LOG}-replayed/%f ] || exit 1; cp {LOG}-replayed/%f %p || exit 126",
        "recovery_target_lsn": lsn,
        "recovery_target_inclusive": "on",
        "recovery_target_action": "promote",
        # only the history that the backup is of
        "recovery_target_timeline": "current",
        # without readers the settings of the server that wrote the log need not be matched
        "hot_standby": "off",
    }
