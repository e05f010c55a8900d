"""Data put back from a backup, to its moment or to a later one; what was there stays until the new data answer."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

from lab.core.errors import DatabaseFailed, Refused
from lab.core.waits import Note
from lab.dbod.dockerhost import replay
from lab.dbod.dockerhost.instances import REPLAY_SECONDS, Instance
from lab.dbod.dockerhost.records import Backup, Record, now
from lab.dbod.dockerhost.replay import MariadbReplay, PostgresqlReplay, Replay
from lab.engines import sql


def restore(instance: Instance, backup: Backup, time: datetime | None, note: Note) -> Record:
    """Restore and start; gives the record with its new log, which is the caller's to keep, and then to ``mend``.

    It is one that ``allow`` allows. Raises: Refused (nothing changed); DatabaseFailed, GaveUp, TimedOut (what was
    there is put back).
    """
    record = instance.record
    # what cannot be is said while the server still serves
    if time and record.engine == "mariadb" and (doubt := replay.survey(instance, backup, time, ended=False).doubt):
        note(f"warning: {doubt}")
    old, log = instance.folder / "data.old", record.log + 1
    instance.store.remove(instance.log(log))
    serving = instance.answers()
    instance.stop()
    try:
        if record.engine == "postgresql":
            instance.beneath("save_wal", data=instance.data.name, log=instance.log(record.log).name)
        wanted = replay.survey(instance, backup, time, ended=serving) if time else None
    except BaseException:
        instance.start()
        raise
    ended = now()
    # first the new log, then the data: whoever finds this cut short sees by the log that it is
    instance.begin_log(log)
    instance.store.move(instance.data, old)
    try:
        instance.store.snapshot(instance.backups / backup.id, instance.data)
        note("the snapshot is in place")
        if wanted:
            _replay(instance, backup, wanted, note)
        note(f"answered after {instance.start():.2f} s")
    except BaseException:
        instance.stop()
        mend(instance)
        instance.start()
        note("what was there before is put back")
        raise
    with contextlib.suppress(*sql.ERRORS):  # the data are back, whatever a look at them meets
        if empty := instance.volatile():
            note(f"warning: tables without a log (MEMORY, UNLOGGED) come back empty: {', '.join(empty)}")
    return replace(record, log=log, ends=(*record.ends, ended))


def mend(instance: Instance) -> None:
    """Put back what a restore that was cut short moved away, or remove what one that ended left; else nothing."""
    old, record = instance.folder / "data.old", instance.record
    ended = (instance.folder / "log").readlink().name == instance.log(record.log).name
    if ended:
        instance.store.remove(old)
        return
    if old.exists():
        instance.stop()
        instance.store.remove(instance.data)
        instance.store.move(old, instance.data)
    instance.begin_log(record.log)
    instance.configure(record.settings)


def allow(record: Record, backup: Backup, time: datetime | None) -> None:
    """Raises: Refused, if the backup cannot be restored, or not to that time, whatever its log holds."""
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
            f"The earliest that this backup reaches: --time={backup.moment:%Y-%m-%dT%H:%M:%SZ}",
        )
    if time > datetime.now(UTC):
        raise Refused(f"The time {time:%Y-%m-%d %H:%M:%S} UTC has not come yet.", "Give a time in the past.")
    if backup.log <= len(record.ends) and time > datetime.fromisoformat(record.ends[backup.log - 1]):
        raise Refused(
            f"At {time:%Y-%m-%d %H:%M:%S} the instance had been restored and went on from other data.",
            "Take a backup that was made after that restore.",
        )


def newest(record: Record, time: datetime) -> Backup:
    """The newest backup from which ``time`` can be reached. Raises: Refused (there is none: why not the nearest)."""
    refusals = []
    for backup in reversed(record.backups):
        try:
            allow(record, backup, time)
        except Refused as refusal:
            refusals.append(refusal)
        else:
            return backup
    # before the first backup it is that one which tells the earliest time, else the newest tells why not
    early = bool(refusals) and time < record.backups[0].moment
    if not refusals:
        raise Refused(f"{record.name} has no backup.", f"Make one: ./inv dbod backup --instance={record.name}")
    raise refusals[-1 if early else 0]


def _replay(found: Instance, backup: Backup, wanted: Replay, note: Note) -> None:
    """Bring the restored data forward with no port open: nobody may write meanwhile, nor read what is half."""
    with found.closed():
        if isinstance(wanted, MariadbReplay):
            _replay_mariadb(found, backup, wanted, note)
        elif wanted.lsn:
            _replay_postgresql(found, backup, wanted, note)
        else:
            note("nothing was committed between the backup and that time")


def _replay_mariadb(found: Instance, backup: Backup, wanted: MariadbReplay, note: Note) -> None:
    last = replay.hand_over(found, backup, wanted)
    note(
        f"replaying {wanted.transactions} transactions of {len(wanted.files)} binary logs, to {_told(wanted.reached)}"
    )
    found.configure({}, replay.MARIADB_REPLAYS)
    found.start()
    with found.session() as session:
        if empty := found.engine.volatile(session):
            session.execute(f"SET GLOBAL replicate_ignore_table = '{','.join(empty)}'")
        asleep = replay.sleeping_events(session)
        replay.apply(session, wanted.start, last, wanted.stop)
        if events := [event for event in replay.sleeping_events(session) if event not in asleep]:
            note(
                f"warning: events that the log created or changed are switched off: {', '.join(events)}; "
                "each is switched on by ALTER EVENT … ENABLE"
            )
    found.stop()
    found.configure(found.record.settings)
    found.beneath("remove", folder=found.data.name, patterns=[f"{replay.RELAY}.*"])


def _replay_postgresql(found: Instance, backup: Backup, wanted: PostgresqlReplay, note: Note) -> None:
    note(f"replaying {wanted.commits} commits, to {_told(wanted.reached)}")
    found.replay_log(backup.log)
    found.beneath("write", path=f"{found.data.name}/recovery.signal", text="")
    found.configure({}, replay.recovery(wanted.lsn))
    found.start(seconds=REPLAY_SECONDS)
    with found.session() as session:
        if half := replay.invalid_databases(session):
            raise DatabaseFailed("the replay", f"it left half of {', '.join(half)}")
    found.stop()
    found.configure(found.record.settings)


def _told(time: datetime | None) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else "the backup's own time"
