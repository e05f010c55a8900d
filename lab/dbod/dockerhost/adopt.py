"""Data that lie on the store without a record of them, taken in as an instance; what cannot be stays as it lay."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lab.core import process
from lab.core.errors import Refused
from lab.core.waits import Note
from lab.dbod.contract import Request, Value
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.creation import Host, room
from lab.dbod.dockerhost.records import Record, now

MARKS = {"mariadb": "ibdata1", "postgresql": "PG_VERSION"}
"""What is in the data of each engine, and in no other's."""


def adopt(host: Host, port: int, request: Request, note: Note) -> Value:
    """Make an instance of the folder of that name, with passwords of its own.

    Backups beside it stay where they lie, and are in no list: nobody knows from where on their logs are needed.
    Raises: Refused (there is a record, or there are no data of an engine), GaveUp (the server does not start).
    """
    name = request.instance
    known = host.records.find(name)
    if known and request.id and known.done == request.id:
        note("it was adopted already")
        return host.shown(known)
    if known:
        raise Refused(f"There is an instance {name!r} with a record already.", "./inv dbod list shows them.")
    folder = host.store.path / name
    engine = _engine(folder / "data")
    logs = [int(one.name[4:]) for one in folder.glob("log-*") if re.fullmatch(r"log-\d{1,9}", one.name)]
    log = max(logs, default=1)
    record = Record(
        name=name,
        engine=engine,
        version=host.servers.version(engines.ALL[engine].repository, request.version),
        port=port,
        memory=request.memory,
        owner=request.owner,
        category=request.category,
        created=now(),
        log=log,
        ends=(now(),) * (log - 1),
        disk=room(host.store, request, note),
        done=request.id,
    )
    # its record comes last: half a one would be somebody's leave to make another of that name in its place
    made = host.of(record)
    try:
        made.make_folders()
        made.configure({})
        host.servers.create(name, made.server())
        note(f"{engine} {record.version} answered after {made.start():.2f} s")
        made.set_accounts()
        host.records.put(record := replace(record, ready=True))
    except BaseException:
        host.servers.destroy(name)
        raise
    note("it has new passwords: ./inv dbod credentials tells its administrator's")
    return host.shown(record)


def _engine(data: Path) -> str:
    """Whose data a folder has. Raises: Refused."""
    found = [
        engine
        for engine, mark in MARKS.items()
        if process.run(*process.as_root("test", "-f", data / mark), check=False).ok
    ]
    if len(found) != 1:
        raise Refused(
            f"{data} has no data of one engine.",
            f"Put the data folder of a stopped server there, owned by user {engines.UID}, and type it again.",
        )
    return found[0]
