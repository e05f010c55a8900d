"""Backups on a container host: made once under an id, sealed, read before they are used, removed when due."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from lab.core.errors import BackupDamaged, LabError, Refused
from lab.core.home import Home
from lab.core.waits import Note
from lab.dbod import database
from lab.dbod.contract import Request, Value
from lab.dbod.dockerhost import replay, seals, storage
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Backup, Records, moment, now
from lab.dbod.schedules import Schedules
from lab.engines import sql

KEEP = 7
"""Automatic backups of an instance, where its schedule does not say."""


def make(instance: Instance, records: Records, request: Request, note: Note) -> Value:
    """A snapshot under the request's id; one that was made under it already is found. Raises: Refused, GaveUp."""
    record, one, how = instance.record, request.id or secrets.token_hex(4), storage.HOW[instance.store.kind]
    made = next((backup for backup in record.backups if backup.id == one), None)
    if made:
        note(f"snapshot {one} was made already")
    else:
        instance.need_running()
        target = instance.backups / one
        instance.store.remove(target)  # of a run that was killed
        position = instance.snapshot(target)
        _all_inside(instance, target)
        note(f"snapshot {one}: {how}")
        until = (moment() + timedelta(days=request.days)).isoformat(timespec="seconds") if request.days else ""
        made = Backup(
            one, now(), record.version, record.log, position,
            automatic=request.keep > 0, until=until, seal=seals.seal(instance.store, target),
        )  # fmt: skip
        instance.record = records.put(replace(record, backups=(*record.backups, made)))
    _remove(instance, records, _due(instance.record.backups, request.keep), note)
    return {"id": one, "at": made.at, "how": how, "until": made.until}


def _all_inside(found: Instance, snapshot: Path) -> None:
    """Raises: Refused (the snapshot, which is removed, would lack rows that lie outside the data folder)."""
    names = seals.outside(snapshot)
    if not names:
        return
    found.store.remove(snapshot)
    raise Refused(
        f"Rows of {found.record.name} lie outside its data, where no backup would have them: {', '.join(names[:5])}"
        f"{' …' if len(names) > 5 else ''}.",
        "Take them back (MariaDB: no DATA DIRECTORY; PostgreSQL: ALTER … SET TABLESPACE pg_default), then back up.",
    )


def delete(instance: Instance, records: Records, request: Request, note: Note) -> Value:
    """Remove one backup, and the log that only it needed. Raises: BadValue (there is no such one), Refused."""
    record = instance.record
    if request.id and all(one.id != request.backup for one in record.backups):
        note("it was removed already")
    else:
        _remove(instance, records, [record.backup(request.backup)], note)
    return [one.shown() for one in instance.record.backups]


def whole(instance: Instance, records: Records, backup: Backup, note: Note) -> None:
    """Read a backup, all of it, before it is used. Raises: BackupDamaged (it is marked so)."""
    why = seals.broken(instance.store, instance.backups / backup.id, backup.seal)
    if not why:
        note(f"backup {backup.id} is " + ("what was written" if backup.seal else "readable; it has no seal"))
        if backup.damaged:  # a drill's word: the server that is to serve it may think otherwise
            note(f"warning: of backup {backup.id} it was said that {backup.damaged}")
        return
    mark(instance, records, replace(backup, damaged=why))
    raise BackupDamaged(instance.record.name, backup.id, why)


def mark(instance: Instance, records: Records, backup: Backup) -> None:
    """What became known of a backup goes into its record."""
    known = tuple(backup if one.id == backup.id else one for one in instance.record.backups)
    instance.record = records.put(replace(instance.record, backups=known))


def schedule(home: Home, request: Request, note: Note) -> Value:
    """Switch automatic backups on (or change when they are) or off."""
    schedules = Schedules(database.of(home))
    if not request.on:
        schedules.remove(request.instance)
        return {"automatic": False}
    made = schedules.set(replace(request, keep=request.keep or KEEP), moment())
    note("./inv dbod-serve makes them")
    return {"automatic": True, **made.as_dict(moment())}


def _due(backups: Sequence[Backup], keep: int) -> list[Backup]:
    """What a new backup lets go: automatic ones but the newest ``keep`` that are well (0: all stay), and what was to
    stay until now. The newest that is well stays in any case."""
    automatic = [one for one in backups if one.automatic]
    first = next((n for n in range(len(automatic)) if sum(not one.damaged for one in automatic[n:]) <= keep), 0)
    gone = automatic[:first] if keep else []
    gone += [one for one in backups if one.until and datetime.fromisoformat(one.until) <= moment()]
    last = next((one for one in reversed(backups) if not one.damaged), None)
    return [one for one in gone if one is not last]


def _remove(found: Instance, records: Records, gone: Sequence[Backup], note: Note) -> None:
    """Remove backups, and logs that only they needed; what cannot be removed is a warning."""
    record = found.record
    left = tuple(one for one in record.backups if one not in gone)
    # first out of the record: a backup that is half removed must not be offered
    if gone:
        found.record = records.put(replace(record, backups=left))
    try:
        for one in gone:
            found.store.remove(found.backups / one.id)
        for number in range(1, min((one.log for one in left), default=record.log)):
            if found.log(number).exists():
                found.store.remove(found.log(number))
        if found.answers():
            _forget_log(found)
    except (LabError, *sql.ERRORS) as error:
        note(f"warning: what is no longer needed could not be removed: {sql.said(error)}")
        return
    if gone:
        note(f"removed {len(gone)} backups: " + ", ".join(one.id for one in gone))


def _forget_log(found: Instance) -> None:
    """Remove of the present log what comes before its oldest backup: no replay reads it any more."""
    record = found.record
    oldest = next((one for one in record.backups if one.log == record.log), None)
    if oldest is None:
        return
    with found.session() as session:
        first = found.engine.first_log(session, oldest.position)
        if found.engine.name == "mariadb":
            session.execute(f"PURGE BINARY LOGS TO '{first}'")
    if found.engine.name == "postgresql":
        replay.forget_wal(found, first)
