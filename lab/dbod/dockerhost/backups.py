"""Backups on a container host: made once under an id, made by a schedule, and removed when there are newer ones."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from lab.core.errors import LabError
from lab.core.home import Home
from lab.core.waits import Note
from lab.dbod import database
from lab.dbod.contract import Request, Value
from lab.dbod.dockerhost import replay, storage
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Backup, Records, now
from lab.dbod.schedules import Schedules
from lab.engines import sql

KEEP = 7
"""Automatic backups of an instance, where its schedule does not say."""


def make(found: Instance, records: Records, request: Request, note: Note) -> Value:
    """A snapshot under the request's id; one that was made under it already is found. Raises: Refused, GaveUp."""
    record, one, how = found.record, request.id or secrets.token_hex(4), storage.HOW[found.store.kind]
    made = next((backup for backup in record.backups if backup.id == one), None)
    if made:
        note(f"snapshot {one} was made already")
    else:
        found.need_running()
        found.store.remove(found.backups / one)  # of a run that was killed
        position = found.snapshot(found.backups / one)
        note(f"snapshot {one}: {how}")
        made = Backup(one, now(), record.version, record.log, position, automatic=request.keep > 0)
        found.record = records.put(replace(record, backups=(*record.backups, made)))
    if request.keep:
        _keep(found, records, request.keep, note)
    return {"id": one, "at": made.at, "how": how}


def schedule(home: Home, request: Request, note: Note) -> Value:
    """Switch automatic backups on (or change when they are) or off."""
    schedules, moment = Schedules(database.of(home)), datetime.now(UTC)
    if not request.on:
        schedules.remove(request.instance)
        return {"automatic": False}
    made = schedules.set(replace(request, keep=request.keep or KEEP), moment)
    note("./inv dbod-serve makes them")
    return {"automatic": True, **made.as_dict(moment)}


def _keep(found: Instance, records: Records, count: int, note: Note) -> None:
    """Remove automatic backups but the newest ``count``, and logs that only they needed; a failure is a warning."""
    record = found.record
    gone = [one for one in record.backups if one.automatic][:-count]
    if not gone:
        return
    left = tuple(one for one in record.backups if one not in gone)
    # first out of the record: a backup that is half removed must not be offered
    found.record = records.put(replace(record, backups=left))
    try:
        for one in gone:
            found.store.remove(found.backups / one.id)
        for number in range(1, min(one.log for one in left)):
            found.store.remove(found.log(number))
        _forget_log(found)
    except (LabError, *sql.ERRORS) as error:
        note(f"warning: old backups could not be removed: {sql.said(error)}")
        return
    note(f"removed {len(gone)} old automatic backups: " + ", ".join(one.id for one in gone))


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
