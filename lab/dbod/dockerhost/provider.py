"""DBOD's own model with containers: many servers of both engines on one host, a port each, backups by snapshot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from lab.core import state
from lab.core.errors import Missing, PortTaken, Refused
from lab.core.home import Home
from lab.core.ssh import free_port
from lab.core.waits import Note
from lab.dbod import database
from lab.dbod.contract import Handler, Operation, Request, State, Value
from lab.dbod.dockerhost import backups, checker, configs, engines, hostwork, recovery, storage
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Record, Records, now
from lab.dbod.dockerhost.servers import Servers
from lab.dbod.dockerhost.storage import Store
from lab.dbod.schedules import Schedules
from lab.engines.sql import Session

LOG_LINES = 100


class DockerHost:
    """The provider ``docker-host``. Operations that change something hold the host's lock (LabBusy).

    With ``owned`` the caller holds it, and never does two of them at once on one instance; threads may use it.
    """

    name = "docker-host"
    work = hostwork.WORK
    lacks = hostwork.LACKS

    def __init__(self, home: Home, note: Note, install: bool = True, owned: bool = False) -> None:
        self.home = home
        self.records = Records(home)
        self.servers = Servers(home.name)
        self._note = note
        self._install = install
        self._owned = owned
        self._ports = threading.Lock()

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
            Operation.LIST: lambda _request, _note: checker.together(self._shown, self._records()),
            Operation.START: self._alone(self._start),
            Operation.STOP: self._alone(self._stop),
            Operation.PING: lambda request, _note: {"answers": self.instance(request.instance).answers()},
            Operation.MONITOR: self._monitor,
            Operation.CHECK: lambda _request, _note: checker.check(self._records(), self.state),
            Operation.CONFIG_GET: lambda request, _note: dict(self.records.get(request.instance).settings),
            Operation.CONFIG_PUT: self._alone(self._config_put),
            Operation.BACKUP: self._alone(self._backup),
            Operation.BACKUPS: lambda request, _note: [b.shown() for b in self.records.get(request.instance).backups],
            Operation.AUTOMATIC_BACKUPS: self._alone(self._automatic_backups),
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

    def session(self, name: str) -> contextlib.AbstractContextManager[Session]:
        """The administrator's session: DBOD's users have every right."""
        return self.instance(name).session()

    def state(self, record: Record) -> State:
        """What DBOD would call its state now: asked by connecting, and not remembered."""
        if record.maintenance:
            return State.MAINTENANCE
        if self._of(record).answers():
            return State.RUNNING
        return State.UNKNOWN if self.servers.running(record.name) else State.STOPPED

    def _records(self) -> list[Record]:
        return [found for name in self.records.names() if (found := self.records.find(name))]

    def remove_all(self) -> None:
        """Every instance, the store, and the containers: nothing stays but the home's folder."""
        for name in self.records.names():
            self.servers.remove(name)
            self.records.remove(name)
        storage.release(self.home)

    def _alone(self, body: Callable[[Request, Note], Value]) -> Handler:
        def run(request: Request, note: Note) -> Value:
            with contextlib.nullcontext() if self._owned else state.lock(self.home.path, self.home.name):
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
        self.servers.thaw(request.instance)
        recovery.mend(found)
        return found

    def _port(self, wanted: int, name: str) -> int:
        taken = {self.records.get(n).port for n in self.records.names()}
        if wanted in taken:
            raise PortTaken(wanted, name)
        while not wanted or wanted in taken:
            wanted = free_port()
        return wanted

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
            version=self.servers.version(engines.ALL[request.engine].repository, request.version),
            port=request.port,
            memory=request.memory,
            owner=request.owner,
            category=request.category,
            created=now(),
        )
        with self._removed_on_failure(record) as made:
            record = made.record
            made.make_folders()
            self.store.create(made.data, engines.UID)
            made.configure({})
            self.servers.create(record.name, made.server())
            note(f"starting {record.engine} {record.version} on port {record.port}")
            note(f"answered after {made.start():.2f} s")
        return self._shown(self.records.put(replace(record, ready=True)))

    @contextlib.contextmanager
    def _removed_on_failure(self, record: Record) -> Iterator[Instance]:
        """Give it a port and write the record before anything is made, so that a killed run's pieces are found.

        A failure takes both back.
        """
        self._of(record).remove()
        with self._ports:
            self.records.remove(record.name)
            made = self._of(self.records.put(replace(record, port=self._port(record.port, record.name))))
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
        Schedules(database.of(self.home)).remove(request.instance)
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
        return backups.make(self._open(request), self.records, request, note)

    def _automatic_backups(self, request: Request, note: Note) -> Value:
        self.records.get(request.instance)
        return backups.schedule(self.home, request, note)

    def _restore(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        if request.id and found.record.done == request.id:
            note("it was restored already")
            found.start()
            return self._shown(found.record)
        backup = found.record.backup(request.backup)
        restored = recovery.restore(found, backup, request.moment(), note)
        found.record = self.records.put(replace(restored, done=request.id))
        recovery.mend(found)
        return self._shown(found.record)

    def _clone(self, request: Request, note: Note) -> Value:
        source = self.instance(request.instance)
        if (there := self.records.find(request.target)) and there.ready:
            if request.id and there.done == request.id:
                note("it was made already")
                return self._shown(there)
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
        with self._removed_on_failure(record) as made:
            record = made.record
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
        return {**record.shown(), "state": str(self.state(record))}
