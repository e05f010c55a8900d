"""Data put back from a backup, to its moment or to a later one; what was there stays until the new data answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from lab.core import process
from lab.core.errors import GaveUp, Refused
from lab.core.waits import Note
from lab.dbod.dockerhost import replay
from lab.dbod.dockerhost.instances import REPLAY_SECONDS, Instance
from lab.dbod.dockerhost.records import Backup, Record, now

TOO_EARLY = "recovery ended before configured recovery target was reached"
"""PostgreSQL's words when its log ends before the wanted time: then all of it is wanted."""


def restore(found: Instance, backup: Backup, time: datetime | None, note: Note) -> Record:
    """Restore and start; gives the record with its new log, which is the caller's to keep, and then to ``mend``.

    Raises: Refused (nothing changed), GaveUp (what was there is put back).
    """
    record = found.record
    _allow(record, backup, time)
    old, log = found.folder / "data.old", record.log + 1
    found.store.remove(found.log(log))
    found.stop()
    if record.engine == "postgresql":
        replay.save_wal(found.data, found.log(record.log))
    ended = now()
    # first the new log, then the data: whoever finds this cut short sees by the log that it is
    found.begin_log(log)
    found.store.move(found.data, old)
    try:
        found.store.snapshot(found.backups / backup.id, found.data)
        note("the snapshot is in place")
        if time:
            _replay(found, backup, time, note)
        note(f"answered after {found.start():.2f} s")
    except BaseException:
        found.stop()
        mend(found)
        found.start()
        raise
    return replace(record, log=log, ends=(*record.ends, ended))


def mend(found: Instance) -> None:
    """Put back what a restore that was cut short moved away, or remove what one that ended left; else nothing."""
    old, record = found.folder / "data.old", found.record
    ended = (found.folder / "log").readlink().name == found.log(record.log).name
    if ended:
        found.store.remove(old)
        return
    if old.exists():
        found.stop()
        found.store.remove(found.data)
        found.store.move(old, found.data)
    found.begin_log(record.log)
    found.configure(record.settings)


def _allow(record: Record, backup: Backup, time: datetime | None) -> None:
    if backup.version != record.version:
        raise Refused(
            f"Backup {backup.id} is of version {backup.version}, the instance of {record.version}.",
            "Restore a backup of the same version; one of another can be cloned.",
        )
    if time is None:
        return
    if time < backup.moment.replace(microsecond=0):
        raise Refused(
            f"The time {time:%Y-%m-%d %H:%M:%S} is before backup {backup.id} ({backup.at}).",
            "Give a later time, or an earlier backup.",
        )
    if time > datetime.now(UTC):
        raise Refused(f"The time {time:%Y-%m-%d %H:%M:%S} UTC has not come yet.", "Give a time in the past.")
    if backup.log <= len(record.ends) and time > datetime.fromisoformat(record.ends[backup.log - 1]):
        raise Refused(
            f"At {time:%Y-%m-%d %H:%M:%S} the instance had been restored and went on from other data.",
            "Take a backup that was made after that restore.",
        )


def _replay(found: Instance, backup: Backup, time: datetime, note: Note) -> None:
    if found.engine.name == "mariadb":
        _replay_mariadb(found, backup, time, note)
    else:
        _replay_postgresql(found, backup, time, note)


def _replay_mariadb(found: Instance, backup: Backup, time: datetime, note: Note) -> None:
    start = int(backup.position["position"])
    copies = replay.relay(found.log(backup.log), found.data, str(backup.position["file"]))
    index, position = replay.stop_position(copies, start, time)
    note(f"replaying {index + 1} binary logs from {start} to {copies[index].name}:{position}")
    replay.hand_over(copies, found.data)
    found.configure(found.record.settings, replay.MARIADB_REPLAYS)
    found.start()
    with found.session() as session:
        replay.apply(session, start, copies[index], position)
    found.stop()
    found.configure(found.record.settings)
    process.run(*process.as_root("sh", "-c", f'rm -f "$1"/{replay.RELAY}.*', "sh", found.data))


def _replay_postgresql(found: Instance, backup: Backup, time: datetime, note: Note) -> None:
    signal = found.data / "recovery.signal"
    found.replay_log(backup.log)
    settings = replay.recovery(time)
    for wanted in (settings, {k: v for k, v in settings.items() if k != "recovery_target_time"}):
        process.run(*process.as_root("touch", signal))
        process.run(*process.as_root("chown", "1001:1001", signal))
        found.configure(found.record.settings, wanted)
        try:
            found.start(seconds=REPLAY_SECONDS)
        except GaveUp as error:
            if TOO_EARLY not in error.cause or "recovery_target_time" not in wanted:
                raise
            note("the log ends before that time: all of it is replayed")
            continue
        break
    found.stop()
    found.configure(found.record.settings)
