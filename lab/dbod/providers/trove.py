"""Trove as the provider: a server in a machine of its own per instance; what Trove lacks is said, not emulated."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from lab.cloud.trove import VM
from lab.core import waits
from lab.core.errors import Missing, Refused
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.waits import Note
from lab.dbod import lock
from lab.dbod.contract import Handler, Operation, Request, State, Value
from lab.dbod.providers.trove_api import Api, in_our_words
from lab.dbod.providers.trove_view import PREFIX, shown, state
from lab.engines import sql
from lab.engines.sql import Login, Session

NETWORK = "private"
ROOT = "root"
"""Of both engines: Trove lets no one in as PostgreSQL's own superuser (trove 23: postgres/service.py, pg_hba)."""
ADMIN_DATABASE = {"mariadb": "mysql", "postgresql": "postgres"}
NEEDS_SWIFT = "Trove keeps {} in Swift, and this cloud has no object-store (./inv up --with=backups)"
LOG = "general"
"""The log that Trove offers of both engines."""
WORK = {
    Operation.PING: "a connection with a deadline; Trove itself knows the agent's heartbeat only",
    Operation.START: "Trove has no start: its restart starts a server that was stopped",
    Operation.STOP: "an operator's action of the management API: users cannot stop their server",
}
LACKS = {
    Operation.AUTOMATIC_BACKUPS: "Trove has no scheduler for backups",
    Operation.RESTORE: "Trove restores into a new instance only, and to no point in time",
    Operation.MAINTENANCE: "Trove has no maintenance mode of an instance",
}


@dataclass(frozen=True)
class Access:
    """A lab that is up: the user's and the operator's view, the way to its instances, and seconds of patience."""

    home: Home
    user: Api
    operator: Api
    remote: Remote
    seconds: float


class CloudHost:
    """The provider ``trove``. What changes something holds its lock (LabBusy); with ``owned`` the caller holds it."""

    name = "trove"
    work = WORK
    lacks = LACKS

    def __init__(self, access: Access, owned: bool = False) -> None:
        self.access, self._owned = access, owned
        self._api = access.user

    @property
    def does(self) -> Mapping[Operation, Handler]:
        """What it has, as far as the cloud has what Trove needs for it."""
        handlers: dict[Operation, Handler] = {
            Operation.CREATE: self._create,
            Operation.DESTROY: self._destroy,
            Operation.LIST: lambda _request, _note: self._all(),
            Operation.START: self._start,
            Operation.STOP: self._stop,
            Operation.PING: lambda request, _note: {"answers": self._answers(request.instance)},
            Operation.MONITOR: lambda request, _note: self._monitored(self._seen(request.instance)),
            Operation.CHECK: lambda _request, _note: self._all(),
            Operation.CONFIG_GET: self._config_get,
            Operation.CONFIG_PUT: self._config_put,
            Operation.BACKUP: self._backup,
            Operation.BACKUPS: lambda request, _note: [
                {"id": b["id"], "at": b["created"], "status": b["status"]}
                for b in self._api.backups(self._seen(request.instance)["id"])
            ],
            Operation.CLONE: self._clone,
            Operation.UPGRADE: self._upgrade,
            Operation.RESIZE: self._resize,
            Operation.LOGS: self._logs,
            Operation.CREDENTIALS: self._credentials,
            Operation.REPLICATE: self._replicate,
            Operation.PROMOTE: self._promote,
        }
        handlers = handlers if self._owned else lock.guarded(handlers, self.access.home, lock.TROVE)
        return {operation: in_our_words(handler) for operation, handler in handlers.items()}

    def session(self, name: str) -> AbstractContextManager[Session]:
        """The administrator's session, through the lab's machine."""
        return sql.session(self.access.remote, self._login(self._seen(name)))

    def _ours(self) -> dict[str, dict[str, Any]]:
        found = [i for i in self._api.instances() if i["name"].startswith(PREFIX)]
        return {i["name"].removeprefix(PREFIX): i for i in found}

    def _all(self) -> list[dict[str, Any]]:
        return [shown(one) for _, one in sorted(self._ours().items())]

    def _seen(self, name: str) -> dict[str, Any]:
        """The instance as Trove shows it. Raises: Refused."""
        ours = self._ours()
        if name not in ours:
            raise Refused(f"There is no instance {name!r}.", f"Instances here: {', '.join(sorted(ours)) or 'none'}.")
        return self._api.instance(ours[name]["id"])

    def _login(self, seen: Mapping[str, Any]) -> Login:
        datastore, name = seen["datastore"]["type"], seen["name"]
        address = str(next(a["address"] for a in seen["addresses"]))
        return Login(datastore, address, ROOT, self.access.home.secrets[f"{name}.root"], ADMIN_DATABASE[datastore])

    def _answers(self, name: str) -> bool:
        try:
            with self.session(name) as session:
                return bool(session.execute("SELECT 6 * 7")[0][0] == 42)
        except sql.ERRORS:
            return False

    def _wait(self, instance: str, note: Note) -> dict[str, Any]:
        return self._api.wait_active(instance, seconds=self.access.seconds, note=note)

    def _restarted(self, instance: str, note: Note) -> None:
        """Restart the server if Trove says that what was changed needs it."""
        seen = self._api.instance(instance)
        # Trove 23 says so in either, by what was changed
        if "RESTART_REQUIRED" in {seen["status"], seen.get("operating_status")}:
            note("this needs a restart")
            self._api.restart(instance)
        self._wait(instance, note)

    def _need(self, what: str, operation: Operation) -> None:
        if not self._api.has("object-store"):
            raise Missing(self.name, operation, NEEDS_SWIFT.format(what))

    def _version(self, engine: str, wanted: str) -> str:
        here = sorted(self._api.datastores().get(engine, {}))
        if not here:
            raise Missing(self.name, "create", f"this Trove has no datastore {engine}")
        if wanted and wanted not in here:
            raise Refused(f"{engine} {wanted} is not offered here.", f"Offered: {', '.join(here)}.")
        return wanted or self._api.newest(engine) or here[-1]

    def _create(self, request: Request, note: Note) -> Value:
        if request.port:
            raise Missing(self.name, "create", "an instance has an address, not a port, of its own")
        known = self._ours().get(request.instance)
        if known and known["datastore"]["type"] != request.engine:
            raise Refused(f"There is another instance {request.instance!r} already.", "Choose another name.")
        instance = known["id"] if known else self.ask(request, request.instance)
        seen = self._wait(instance, note)
        # DBOD's user gets every right from the start; Trove gives them on request and remembers that it did
        self._api.enable_root(instance, self._login(seen).password)
        return shown(seen)

    def ask(self, request: Request, name: str, **more: Any) -> str:
        """Ask for an instance and wait for nothing; its id."""
        if "replica_of" not in more:  # a replica has its source's, and Trove refuses to be told
            more["flavorRef"] = self._api.flavor(request.memory)
            more["datastore"] = {"type": request.engine, "version": self._version(request.engine, request.version)}
        return self._api.ask(name=PREFIX + name, nics=[{"net-id": self._api.network(NETWORK)}], **more)

    def _destroy(self, request: Request, note: Note) -> Value:
        known = self._ours().get(request.instance)
        if known is None:
            note("there is none of that name")
        else:
            self._api.delete(known["id"])
            waits.until(
                f"{request.instance} to be gone",
                lambda: request.instance not in self._ours(),
                seconds=self.access.seconds,
                every=2.0,
                note=note,
            )
        if group := self._api.configurations().get(PREFIX + request.instance):
            self._api.delete_configuration(group)

    def _start(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        if state(seen) is State.STOPPED:
            self._api.restart(seen["id"])
            seen = self._wait(seen["id"], note)
        return shown(seen)

    def _stop(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        self.access.operator.manage(seen["id"], "stop")
        waits.until(
            f"{request.instance} to stop",
            lambda: state(self._api.instance(seen["id"])) is State.STOPPED,
            seconds=self.access.seconds,
            every=2.0,
            note=note,
        )
        return shown(self._api.instance(seen["id"]))

    def _config_get(self, request: Request, note: Note) -> Value:
        self._seen(request.instance)
        group = self._api.configurations().get(PREFIX + request.instance)
        return self._api.configuration(group) if group else {}

    def _config_put(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        values = {key: int(value) if value.isdigit() else value for key, value in request.settings.items()}
        name = PREFIX + request.instance
        group = self._api.configurations().get(name)
        if group:
            self._api.change_configuration(group, values)
        else:
            store = {"type": seen["datastore"]["type"], "version": seen["datastore"]["version"]}
            group = self._api.create_configuration(name, store, values)
        if seen.get("configuration", {}).get("id") != group:
            self._api.change(seen["id"], configuration=group)
        self._restarted(seen["id"], note)
        return self._api.configuration(group)

    def _backup(self, request: Request, note: Note) -> Value:
        self._need("backups", request.operation)
        instance = self._seen(request.instance)["id"]
        # a job that runs again finds what it had asked for
        name = "-".join(filter(None, (PREFIX + request.instance, request.id)))
        known = {b["name"]: b["id"] for b in self._api.backups(instance)} if request.id else {}
        backup = known.get(name) or self._api.back_up(instance, name)
        self._api.wait_backup(instance, backup, self.access.seconds, note)
        return {"id": backup}

    def _clone(self, request: Request, note: Note) -> Value:
        self._need("backups", request.operation)
        backups = self._api.backups(self._seen(request.instance)["id"])
        backup = request.backup or (backups[-1]["id"] if backups else "")
        if not backup:
            raise Refused(f"{request.instance} has no backup.", "Make one with ./inv dbod backup.")
        made = self.ask(request, request.target, restorePoint={"backupRef": backup})
        seen = self._wait(made, note)
        self._api.enable_root(made, self._login(seen).password)
        return shown(seen)

    def _upgrade(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        store = seen["datastore"]
        # between machines and containers there is no way: their disks differ
        there, machine = self._api.datastores().get(store["type"], {}), store["version"].endswith(VM)
        others = sorted({v for v in there if v.endswith(VM) == machine} - {store["version"]})
        if not others:
            raise Missing(self.name, "upgrade", f"this Trove offers no other version of {store['type']}")
        if request.version and request.version not in others:
            raise Refused(f"{request.version} is not offered here.", f"Offered: {', '.join(others)}.")
        self._api.change(seen["id"], datastore_version=request.version or others[-1])
        return shown(self._wait(seen["id"], note))

    def _resize(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        flavor = self._api.flavor(request.memory)
        if str(seen["flavor"]["id"]) != flavor:
            self._api.act(seen["id"], "resize", flavorRef=flavor)
            seen = self._wait(seen["id"], note)
        return self._monitored(seen)

    def _monitored(self, seen: Mapping[str, Any]) -> Value:
        return {**shown(seen), "memory": self._api.memory(seen["flavor"]["id"])}

    def _logs(self, request: Request, note: Note) -> Value:
        self._need("published logs", request.operation)
        seen = self._seen(request.instance)
        if self._api.log(seen["id"], LOG)["status"] in {"Disabled", "Restart Required"}:
            self._api.log(seen["id"], LOG, enable=1)
        self._restarted(seen["id"], note)
        with self.session(request.instance) as session:
            session.execute("SELECT 'asked for the log'")
        note(f"Trove publishes the {LOG} log; the server's own error log is none of those that it offers")
        there = self._api.log(seen["id"], LOG, publish=1)
        if not there["published"]:
            return []
        return self._api.stored(there["container"], there["prefix"]).splitlines()

    def _credentials(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        login = self._login(seen)
        user = self._api.enable_root(seen["id"], login.password)
        return {"host": login.address, "port": login.port, "user": user, "password": login.password}

    def _replicate(self, request: Request, note: Note) -> Value:
        self._need("the backup that a replica begins with", request.operation)
        made = self.ask(request, request.target, replica_of=self._seen(request.instance)["id"])
        # accounts are replicated, too
        self.access.home.secrets.share(*(f"{PREFIX}{name}.root" for name in (request.target, request.instance)))
        return shown(self._wait(made, note))

    def _promote(self, request: Request, note: Note) -> Value:
        seen = self._seen(request.instance)
        if "replica_of" not in seen:
            self._need("the backup that a replica begins with", request.operation)
            raise Refused(f"{request.instance} is no replica.", "Make one with ./inv dbod replicate.")
        self._api.act(seen["id"], "promote_to_replica_source")
        return shown(self._wait(seen["id"], note))
