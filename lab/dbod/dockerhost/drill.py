"""A backup tried: its data under a server of their own, which nobody can reach; every table is read, then all goes.

The instance itself is not touched, and need not run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

from lab.core.errors import BackupDamaged, DatabaseFailed, DiskFull, GaveUp, TimedOut
from lab.core.units import MIB
from lab.core.waits import Note
from lab.dbod.contract import Value
from lab.dbod.dockerhost import backups, engines
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Backup, Records, now
from lab.engines import sql
from lab.engines.sql import Session

PREFIX = ".drill-"
"""Before an instance's name: a folder, and a container, that no instance can have."""
SECONDS = 600.0
ROOM = 256 * MIB
"""Bytes: a server writes logs and temporary files of its own."""


def drill(instance: Instance, stage: Instance, records: Records, backup: Backup, note: Note) -> Value:
    """Try one backup on ``stage``; when it went well, and how many tables were read.

    Raises: BackupDamaged (it is marked so), DiskFull (nothing is said of it), DockerUnusable.
    """
    backups.whole(instance, records, backup, note)
    stage.remove()  # of a run that was killed
    try:
        tables = _tried(instance, stage, backup, note)
    except (*sql.ERRORS, DatabaseFailed, GaveUp, TimedOut) as error:
        if shutil.disk_usage(instance.store.path).free < ROOM:  # which says nothing of the backup
            raise DiskFull(str(instance.store.path)) from error
        why = f"a server over it did not do ({sql.said(error)[:300].rstrip('.')})"
        backups.mark(instance, records, replace(backup, damaged=why))
        raise BackupDamaged(instance.record.name, backup.id, why) from error
    finally:
        stage.remove()
    tried = replace(backup, drilled=now(), damaged="")
    backups.mark(instance, records, tried)
    note(f"backup {backup.id} started, and every table of it was read: {tables}")
    return {**tried.shown(), "tables": tables}


def _tried(found: Instance, stage: Instance, backup: Backup, note: Note) -> int:
    stage.make_folders()
    stage.store.snapshot(found.backups / backup.id, stage.data)
    stage.configure({})
    with stage.closed():
        # not mended: an owner who locked the service out has it so in the backup as well, and that is no damage
        note(f"answered after {stage.start(seconds=SECONDS, former=found.service_password):.2f} s")
        return sum(1 for _ in _read(stage))


def _read(stage: Instance) -> Iterator[str]:
    """Every table, by name, after the engine has read all of it. Raises: DatabaseFailed, sql.ERRORS."""
    with stage.session() as session:
        names = stage.engine.databases(session)
    for name in names:
        with stage.session(seconds=SECONDS, database=name) as session:
            yield from (_mariadb if stage.engine is engines.MARIADB else _postgresql)(session, name)


def _mariadb(session: Session, _: str) -> Iterator[str]:
    wanted = (
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
        "AND table_schema NOT IN ('information_schema', 'performance_schema') ORDER BY 1, 2"
    )
    for schema, table in session.execute(wanted):
        name = ".".join(f"`{word.replace('`', '``')}`" for word in (schema, table)).replace("%", "%%")
        for _table, _op, kind, text in session.execute(f"CHECK TABLE {name} EXTENDED"):
            if str(kind).lower() == "error":
                raise DatabaseFailed(f"{schema}.{table}", str(text))
        yield f"{schema}.{table}"


def _postgresql(session: Session, database: str) -> Iterator[str]:
    wanted = (
        "SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' "
        "ORDER BY 1, 2"
    )
    for schema, table, quoted in session.execute(wanted):
        # each row is taken apart, what lies out of line as well
        session.execute(f"SELECT count(t.*::text) FROM ONLY {quoted} t")
        yield f"{database}.{schema}.{table}"
