"""New instances on a container host: empty, or from another's backup; a failure takes back what it made, no more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from lab.core.errors import PortTaken, Refused
from lab.core.ssh import free_port
from lab.core.waits import Note
from lab.dbod.contract import Request, Value
from lab.dbod.dockerhost import backups, engines
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Record, Records, now
from lab.dbod.dockerhost.servers import Servers
from lab.dbod.dockerhost.storage import Store

DISK = 10
"""GiB for the data of a new instance, and for its log, where nothing is asked for."""


class Host(Protocol):
    """What is needed of a container host."""

    records: Records
    servers: Servers

    @property
    def store(self) -> Store:
        """Where the data lie."""

    def instance(self, name: str) -> Instance:
        """The instance of that name. Raises: NoSuch."""

    def of(self, record: Record) -> Instance:
        """The instance of a record, be it not made yet."""

    def shown(self, record: Record) -> dict[str, Any]:
        """A record with its state, for programs."""


def room(store: Store, request: Request, note: Note) -> int:
    """GiB for the data of a new instance, and for its log; 0 where the store has no limits."""
    if store.limits:
        return request.disk or DISK
    note("the store's file system holds no limit of the disk")
    return 0


class Creation:
    """Of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ports = threading.Lock()

    def create(self, request: Request, note: Note) -> Value:
        """A new instance. Raises: Refused, PortTaken, DockerUnusable, GaveUp."""
        if known := self._host.records.find(request.instance):
            if known.ready and known.engine == request.engine:
                note("it is there already")
                return self._host.shown(known)
            if known.ready:
                raise Refused(f"There is a {known.engine} instance {known.name!r} already.", "Choose another name.")
        record = Record(
            name=request.instance,
            engine=request.engine,
            version=self._host.servers.version(engines.ALL[request.engine].repository, request.version),
            port=request.port,
            memory=request.memory,
            owner=request.owner,
            category=request.category,
            created=now(),
            disk=room(self._host.store, request, note),
        )
        with self._removed_on_failure(record) as made:
            record = made.record
            made.make_folders()
            self._host.store.create(made.data, engines.UID)
            made.configure({})
            self._host.servers.create(record.name, made.server())
            note(f"starting {record.engine} {record.version} on port {record.port}")
            with made.seeded() as seed:
                note(f"answered after {made.start(former=seed):.2f} s")
            made.set_accounts()
        return self._host.shown(self._host.records.put(replace(record, ready=True)))

    def clone(self, request: Request, note: Note) -> Value:
        """An instance from another's backup, with a password of its own. Raises: as ``create``."""
        source = self._host.instance(request.instance)
        if (there := self._host.records.find(request.target)) and there.ready:
            if request.id and there.done == request.id:
                note("it was made already")
                return self._host.shown(there)
            raise Refused(f"There is an instance {request.target!r} already.", "Choose another name.")
        backup = source.record.backup(request.backup)
        record = replace(
            source.record,
            name=request.target,
            port=request.port,
            version=backup.version,
            created=now(),
            backups=(),
            log=1,
            ends=(),
            done=request.id,
            ready=False,
        )
        backups.whole(source, self._host.records, backup, note)
        with self._removed_on_failure(record) as made:
            record = made.record
            made.make_folders()
            self._host.store.snapshot(source.backups / backup.id, made.data)
            made.configure(record.settings)
            self._host.servers.create(record.name, made.server())
            made.start(former=source.service_password)
            made.set_accounts()
            note("it has a password of its own")
        return self._host.shown(self._host.records.put(replace(record, ready=True)))

    @contextlib.contextmanager
    def _removed_on_failure(self, record: Record) -> Iterator[Instance]:
        """Give it a port and write the record before anything is made, so that a killed run's pieces are found.

        A failure takes both back.
        """
        known = self._host.records.find(record.name)
        if known is None and (left := self._host.of(record).left()):
            raise Refused(
                f"There are data of the name {record.name!r} without a record of them: {left}.",
                "Choose another name; nothing is removed that this service has no record of having made.",
            )
        self._host.of(record).remove()  # what a killed run of just this had begun: its record says so
        with self._ports:
            self._host.records.remove(record.name)
            made = self._host.of(self._host.records.put(replace(record, port=self.port(record.port, record.name))))
        try:
            yield made
        except BaseException:
            made.remove()
            self._host.records.remove(record.name)
            raise

    def port(self, wanted: int, name: str) -> int:
        """``wanted``, or a free one that no instance has, running or not. Raises: PortTaken."""
        taken = {self._host.records.get(n).port for n in self._host.records.names()}
        if wanted in taken:
            raise PortTaken(wanted, name)
        while not wanted or wanted in taken:
            wanted = free_port()
        return wanted
