"""DBOD's own model with containers: many servers of both engines on one host, a port each, backups by snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from lab.core.errors import Missing, Refused
from lab.core.home import Home
from lab.core.waits import Note
from lab.dbod import database, lock
from lab.dbod.contract import Handler, Operation, Request, State, Value
from lab.dbod.dockerhost import adopt, backups, checker, configs, drill, hostwork, recovery, repair, storage
from lab.dbod.dockerhost.creation import Creation
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.records import Record, Records
from lab.dbod.dockerhost.servers import Servers
from lab.dbod.dockerhost.storage import Store
from lab.dbod.schedules import Schedules
from lab.engines import sql
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
        self.records = Records(home, lambda: self.store.path)
        self.servers = Servers(home.name, home.owner)
        self._note = note
        self._install = install
        self._owned = owned
        self._creation = Creation(self)

    @cached_property
    def store(self) -> Store:
        """Where the data lie."""
        database.of(self.home)  # it is there before data are, so that a missing one is known to be lost
        return storage.open_store(self.home, self._note, self._install)

    @property
    def does(self) -> dict[Operation, Handler]:
        """What it has."""
        return {
            Operation.CREATE: self._alone(self._creation.create),
            Operation.DESTROY: self._alone(self._destroy),
            Operation.LIST: lambda _request, _note: checker.together(self.shown, self.records.all()),
            Operation.START: self._alone(self._start),
            Operation.STOP: self._alone(self._stop),
            Operation.PING: lambda request, _note: {"answers": self.instance(request.instance).answers()},
            Operation.MONITOR: self._monitor,
            Operation.CHECK: lambda _request, _note: checker.check(self.records.all(), self.state, self._room),
            Operation.CONFIG_GET: lambda request, _note: dict(self.records.get(request.instance).settings),
            Operation.CONFIG_PUT: self._alone(self._config_put),
            Operation.BACKUP: self._alone(self._backup),
            Operation.BACKUPS: lambda request, _note: [b.shown() for b in self.records.get(request.instance).backups],
            Operation.BACKUP_DELETE: self._alone(self._backup_delete),
            Operation.DRILL: self._alone(self._drill),
            Operation.AUTOMATIC_BACKUPS: self._alone(self._automatic_backups),
            Operation.RESTORE: self._alone(self._restore),
            Operation.CLONE: self._alone(self._creation.clone),
            Operation.UPGRADE: self._alone(self._upgrade),
            Operation.RESIZE: self._alone(self._resize),
            Operation.LOGS: self._logs,
            Operation.CREDENTIALS: self._credentials,
            Operation.MAINTENANCE: self._alone(self._maintenance),
            Operation.REPAIR: self._alone(lambda _request, note: repair.repair(self.home, note, self._install)),
            Operation.ADOPT: self._alone(self._adopt),
        }

    def instance(self, name: str) -> Instance:
        """The instance of that name. Raises: Refused."""
        return self.of(self.records.get(name))

    def session(self, name: str) -> contextlib.AbstractContextManager[Session]:
        """The administrator's session: DBOD's users have every right."""
        return self.instance(name).owner_session()

    def state(self, record: Record) -> State:
        """What DBOD would call its state now: asked by connecting, and not remembered."""
        if record.maintenance:
            return State.MAINTENANCE
        if self.of(record).answers():
            return State.RUNNING
        return State.UNKNOWN if self.servers.running(record.name) else State.STOPPED

    def _room(self) -> dict[str, dict[str, Any]]:
        """By instance, what its data and logs take, and what share of their room that is (``full``)."""
        known, found = self.store.used(), [self.of(one) for one in self.records.all()]
        return {one.record.name: {**one.used(known), "full": round(one.full(known), 3)} for one in found}

    def remove_all(self) -> None:
        """Every instance, the store, and the containers: nothing stays but the home's folder."""
        for name in self.records.names():
            self.servers.destroy(name)
            self.servers.destroy(drill.PREFIX + name)
            self.home.secrets.forget(f"dba.{name}", f"service.{name}")
            self.records.remove(name)
        storage.release(self.home)

    def _alone(self, body: Callable[[Request, Note], Value]) -> Handler:
        return body if self._owned else lock.alone(body, self.home.path, self.home.name)

    def of(self, record: Record) -> Instance:
        """The instance of a record, be it not made yet."""
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

    def _destroy(self, request: Request, note: Note) -> Value:
        if request.id and self.records.find(request.instance) is None:
            note("it was removed already")
            return None
        found = self.instance(request.instance)
        self._stage(found).remove()
        found.remove()
        Schedules(database.of(self.home)).remove(request.instance)
        self.records.remove(request.instance)
        return None

    def _start(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        if not found.answers():
            found.configure(found.record.settings)
            if not self.servers.running(found.record.name):
                # made anew: its folder may lie elsewhere now, and what it may do may have changed
                self.servers.create(found.record.name, found.server())
        note(f"answered after {found.start():.2f} s")
        return self.shown(found.record)

    def _stop(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        found.stop()
        return self.shown(found.record)

    def _monitor(self, request: Request, note: Note) -> Value:
        found = self.instance(request.instance)
        shown = self.shown(found.record)
        if shown["state"] != State.RUNNING:
            return shown
        try:
            with found.session() as session:
                connections = found.engine.accounts(session)
        except sql.ERRORS:  # it died between two looks
            return self.shown(found.record)
        room = found.used(self.store.used())
        return {**shown, "connections": connections, **self.servers.usage(found.record.name), **room}

    def _config_put(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        wanted = configs.put(found, request.settings, note)
        self.records.put(replace(found.record, settings=wanted))
        return wanted

    def _backup(self, request: Request, note: Note) -> Value:
        return backups.make(self._open(request), self.records, request, note)

    def _backup_delete(self, request: Request, note: Note) -> Value:
        return backups.delete(self._open(request), self.records, request, note)

    def _drill(self, request: Request, note: Note) -> Value:
        found = self.instance(request.instance)
        return drill.drill(found, self._stage(found), self.records, found.record.backup(request.backup), note)

    def _stage(self, found: Instance) -> Instance:
        """Where an instance's backups are tried."""
        name = drill.PREFIX + found.record.name
        return self.of(replace(found.record, name=name, backups=(), log=1, ends=(), settings={}, ready=False))

    def _adopt(self, request: Request, note: Note) -> Value:
        return adopt.adopt(self, self._creation.port(request.port, request.instance), request, note)

    def _automatic_backups(self, request: Request, note: Note) -> Value:
        record = self.records.get(request.instance)
        made = backups.schedule(self.home, request, note)
        self.records.put(record)  # its copy holds the schedule, too
        return made

    def _restore(self, request: Request, note: Note) -> Value:
        found = self._open(request)
        if request.id and found.record.done == request.id:
            note("it was restored already")
            found.start()
            return self.shown(found.record)
        moment = request.moment()
        if moment and not request.backup:
            backup = recovery.newest(found.record, moment)
        else:
            backup = found.record.backup(request.backup)
        recovery.allow(found.record, backup, moment)
        backups.whole(found, self.records, backup, note)
        restored = recovery.restore(found, backup, moment, note)
        found.record = self.records.put(replace(restored, done=request.id))
        recovery.mend(found)
        return self.shown(found.record)

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
        if request.disk:
            if not self.store.limits:
                raise Missing(self.name, "a limit of the disk", "its store's file system holds none")
            found.record = replace(found.record, disk=request.disk)
            found.limit()
            note("the limit holds at once, of the data and of the log")
            return self.shown(self.records.put(found.record))
        record = replace(found.record, memory=request.memory)
        self.servers.limit(record.name, request.memory)
        found.record = record
        found.configure(record.settings)
        note("the limit holds at once; the engine's caches follow at its next start")
        return self.shown(self.records.put(record))

    def _logs(self, request: Request, note: Note) -> Value:
        found = self.instance(request.instance)
        return self.home.secrets.redact(self.servers.logs(found.record.name, LOG_LINES)).splitlines()

    def _credentials(self, request: Request, note: Note) -> Value:
        login = self.instance(request.instance).login()
        port = self.records.get(request.instance).port
        return {"host": login.address, "port": port, "user": login.user, "password": login.password}

    def _maintenance(self, request: Request, note: Note) -> Value:
        return self.shown(self.records.put(replace(self.records.get(request.instance), maintenance=request.on)))

    def shown(self, record: Record) -> dict[str, Any]:
        """A record with its state, for programs."""
        return {**record.shown(), "state": str(self.state(record))}
