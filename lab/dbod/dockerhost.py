"""DBOD's own model with containers: many servers of both engines on one host, a port each, backups by snapshot."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import Any

from lab import state
from lab.dbod import checker, configs, engines, hostwork, recovery, storage
from lab.dbod.contract import Handler, Operation, Request, State, Value
from lab.dbod.instances import Instance
from lab.dbod.records import Backup, Record, Records, now
from lab.dbod.servers import Servers
from lab.dbod.storage import Store
from lab.errors import DockerUnusable, Missing, PortTaken, Refused
from lab.home import Home
from lab.remote import free_port
from lab.sql import Session
from lab.waits import Note

LOG_LINES = 100


class DockerHost:
    """The provider ``docker-host``. Operations that change something hold the host's lock (LabBusy)."""

    name = "docker-host"
    work = hostwork.WORK
    lacks = hostwork.LACKS

    def __init__(self, home: Home, note: Note, install: bool = True) -> None:
        self.home = home
        self.records = Records(home)
        self.servers = Servers(home.name)
        self._note = note
        self._install = install

    @cached_property
    def store(self) -> Store:
        """Where the data lie."""
        return storage.open_store(self.home, self._note, self._install)

    @property
    def does(self) -> dict[Operation, Handler]:
        """What it has."""
        return {
            Operation.CREATE: self._alone(self._create),
            Operation.DESTROY: self._alone(self._destroy),
            Operation.LIST: lambda _request, _note: [self._shown(self.records.get(n)) for n in self.records.names()],
            Operation.START: self._alone(self._start),
            Operation.STOP: self._alone(self._stop),
            Operation.PING: lambda request, _note: {"answers": self.instance(request.instance).answers()},
            Operation.MONITOR: self._monitor,
            Operation.CHECK: lambda _request, _note: checker.check(
                self.home, [self.records.get(name) for name in self.records.names()], self.state
            ),
            Operation.CONFIG_GET: lambda request, _note: dict(self.records.get(request.instance).settings),
            Operation.CONFIG_PUT: self._alone(self._config_put),
            Operation.BACKUP: self._alone(self._backup),
            Operation.BACKUPS: lambda request, _note: [
                {"id": b.id, "at": b.at, "version": b.version} for b in self.records.get(request.instance).backups
            ],
            Operation.RESTORE: self._alone(self._restore),
            Operation.CLONE: self._alone(self._clone),
            Operation.UPGRADE: self._alone(self._upgrade),
            Operation.RESIZE: self._alone(self._resize),
            Operation.LOGS: self._logs,
            Operation.CREDENTIALS: self._credentials,
            Operation.MAINTENANCE: self._alone(self._maintenance),
        }

    def instance(self, name: str) -> Instance:
        """The instance of that name. Raises: Refused."""
        return self._of(self.records.get(name))

    def session(self, name: str) -> AbstractContextManager[Session]:
        """The administrator's session: DBOD's users have every right."""
        return self.instance(name).session()

    def state(self, record: Record) -> State:
        """What DBOD would call its state now: asked by connecting, and not remembered."""
        if record.maintenance:
            return State.MAINTENANCE
        if self._of(record).answers():
            return State.RUNNING
        return State.UNKNOWN if self.servers.running(record.name) else State.STOPPED

    def remove_all(self) -> None:
        """Every instance, the store, and the containers: nothing stays but the home's folder."""
        for name in self.records.names():
            self.servers.remove(name)
            self.records.remove(name)
        storage.release(self.home)

    def _alone(self, body: Callable[[Request, Note], Value]) -> Handler:
        def run(request: Request, note: Note) -> Value:
            with state.lock(self.home.path, self.home.name):
                return body(request, note)

        return run

    def _of(self, record: Record) -> Instance:
        return Instance(self.home, self.store, self.servers, record)

    def _open(self, request: Request) -> Instance:
        """The instance, whole, for an operation that a maintenance forbids. Raises: Refused."""
        found = self.instance(request.instance)
        if found.record.maintenance:
            raise Refused(
                f"{request.instance} is in maintenance.",
                f"./inv dbod maintenance --instance={request.instance} --off",
            )
        recovery.mend(found)
        return found

    def _port(self, wanted: int, name: str) -> int:
        taken = {self.records.get(n).port for n in self.records.names()}
        if wanted in taken:
            raise PortTaken(wanted, name)
        while not wanted or wanted in taken:
            wanted = free_port()
        return wanted

    def _version(self, engine: str, wanted: str = "") -> str:
        repository = engines.ALL[engine].repository
        here = self.servers.versions(repository)
        if not here:
            raise DockerUnusable(f"there is no image {repository}", "./inv image-build builds it.")
        if wanted and wanted not in here:
            raise Refused(f"{engine} {wanted} is not offered here.", f"Offered: {', '.join(here)}.")
        return wanted or here[-1]

    def _create(self, request: Request, note: Note) -> Value:
        if known := self.records.find(request.instance):
            if known.ready and known.engine == request.engine:
                note("it is there already")
                return self._shown(known)
            if known.ready:
                raise Refused(f"There is a {known.engine} instance {known.name!r} already.", "Choose another name.")
        record = Record(
            name=request.instance,
            engine=request.engine,
            version=self._version(request.engine, request.version),
            port=known.port if known else self._port(request.port, request.instance),
            memory=request.memory,
            owner=request.owner,
            category=request.category,
            created=now(),
        )
        with self._removed_on_failure(record) as made:
            made.make_folders()
            self.store.create(made.data, engines.UID)
            made.configure({})
            self.servers.create(record.name, made.server())
            note(f"starting {record.engine} {record.version} on port {record.port}")
            note(f"answered after {made.start():.2f} s")
        return self._shown(self.records.put(replace(record, ready=True)))

    @contextlib.contextmanager
    def _removed_on_failure(self, record: Record) -> Iterator[Instance]:
        """Write the record before anything is made, so that a killed run's pieces are found; take both back."""
        made = self._of(record)
        made.remove()
        self.records.put(record)
        try:
            yield made
        except BaseException:
            made.remove()
            self.records.remove(record.name)
            raise

    def _destroy(self, request: Request, note: Note) -> Value:
        if self.records.find(request.instance) is None:
            note("there is none of that name")
            return None
        self.instance(request.instance).remove()
        self.records.remove(request.instance)
        return None

    def _start(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        if not found.answers():
            found.configure(found.record.settings)
        note(f"answered after {found.start():.2f} s")
        return self._shown(found.record)

    def _stop(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        found.stop()
        return self._shown(found.record)

    def _monitor(self, request: Request, note: Note) -> Value:
        found = self.instance(request.instance)
        shown = self._shown(found.record)
        if shown["state"] != State.RUNNING:
            return shown
        with found.session() as session:
            connections = found.engine.accounts(session)
        return {**shown, "connections": connections, **self.servers.usage(found.record.name)}

    def _config_put(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        wanted = configs.put(found, request.settings, note)
        self.records.put(replace(found.record, settings=wanted))
        return wanted

    def _backup(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        found.need_running()
        record, one = found.record, secrets.token_hex(4)
        position = found.snapshot(found.backups / one)
        note(f"snapshot {one}: {storage.HOW[self.store.kind]}")
        backup = Backup(one, now(), record.version, record.log, position)
        self.records.put(replace(record, backups=(*record.backups, backup)))
        return {"id": one, "at": backup.at, "how": storage.HOW[self.store.kind]}

    def _restore(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        backup = found.record.backup(request.backup)
        found.record = self.records.put(recovery.restore(found, backup, request.moment(), note))
        recovery.mend(found)
        return self._shown(found.record)

    def _clone(self, request: Request, note: Note) -> Value:
        source = self.instance(request.instance)
        backup = source.record.backup(request.backup)
        if (there := self.records.find(request.target)) and there.ready:
            raise Refused(f"There is an instance {request.target!r} already.", "Choose another name.")
        record = replace(
            source.record,
            name=request.target,
            port=self._port(request.port, request.target),
            version=backup.version,
            created=now(),
            backups=(),
            log=1,
            ends=(),
            ready=False,
        )
        with self._removed_on_failure(record) as made:
            made.make_folders()
            self.store.snapshot(source.backups / backup.id, made.data)
            made.configure(record.settings)
            self.servers.create(record.name, made.server())
            made.start(source.password)
            with made.session(password=source.password) as session:
                made.engine.change_password(session, made.password)
            note("it has a password of its own")
        return self._shown(self.records.put(replace(record, ready=True)))

    def _upgrade(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        record = found.record
        others = [v for v in self.servers.versions(found.engine.repository) if v != record.version]
        if not others:
            raise Missing(self.name, "upgrade", f"no other version of {record.engine} is here than {record.version}")
        wanted = request.version or others[-1]
        if wanted not in others:
            raise Refused(f"{record.engine} {wanted} is not offered here.", f"Offered: {', '.join(others)}.")
        raise Missing(self.name, "upgrade", f"the change from {record.version} to {wanted} is not written")

    def _resize(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        record = replace(found.record, memory=request.memory)
        self.servers.limit(record.name, request.memory)
        found.record = record
        found.configure(record.settings)
        note("the limit holds at once; the engine's caches follow at its next start")
        return self._shown(self.records.put(record))

    def _logs(self, request: Request, note: Note) -> Value:
        found = self.instance(request.instance)
        return self.home.secrets.redact(self.servers.logs(found.record.name, LOG_LINES)).splitlines()

    def _credentials(self, request: Request, note: Note) -> Value:
        login = self.instance(request.instance).login()
        port = self.records.get(request.instance).port
        return {"host": login.address, "port": port, "user": login.user, "password": login.password}

    def _maintenance(self, request: Request, note: Note) -> Value:
        return self._shown(self.records.put(replace(self.records.get(request.instance), maintenance=request.on)))

    def _shown(self, record: Record) -> dict[str, Any]:
        return {
            "name": record.name,
            "engine": record.engine,
            "version": record.version,
            "host": "127.0.0.1",
            "port": record.port,
            "memory": record.memory,
            "owner": record.owner,
            "category": record.category,
            "created": record.created,
            "state": str(self.state(record)),
        }
