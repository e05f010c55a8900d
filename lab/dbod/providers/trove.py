"""Trove as the provider: a server in a machine of its own per instance; what Trove lacks is said, not emulated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.exceptions import SDKException

from lab.cloud.trove import VM
from lab.core import waits
from lab.core.errors import ApiFailed, Missing, Refused
from lab.core.waits import Note
from lab.dbod import lock
from lab.dbod.contract import Handler, Operation, Request, State, Value
from lab.dbod.providers.trove_copies import Copies
from lab.dbod.providers.trove_instances import NAME, Access, Instances
from lab.dbod.providers.trove_view import PREFIX, shown, state
from lab.engines import sql
from lab.engines.sql import Session

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
    Operation.DRILL: "Trove tries no backup: a clone of one, looked at and destroyed, does",
    Operation.MAINTENANCE: "Trove has no maintenance mode of an instance",
    Operation.REPAIR: "Trove's records lie in the cloud's own database, which is not ours to rebuild",
    Operation.ADOPT: "Trove takes in no data that it did not make",
}


class CloudHost:
    """The provider ``trove``. What changes something holds its lock (LabBusy); with ``owned`` the caller holds it."""

    name = NAME
    work = WORK
    lacks = LACKS

    def __init__(self, access: Access, owned: bool = False) -> None:
        self.access, self._owned = access, owned
        self.instances = Instances(access)
        self._copies = Copies(self.instances)
        self._trove = access.user

    @property
    def does(self) -> Mapping[Operation, Handler]:
        """What it has, as far as the cloud has what Trove needs for it."""
        handlers: dict[Operation, Handler] = {
            Operation.CREATE: self._create,
            Operation.DESTROY: self._destroy,
            Operation.LIST: lambda _request, _note: self.instances.all(),
            Operation.START: self._start,
            Operation.STOP: self._stop,
            Operation.PING: lambda request, _note: {"answers": self._answers(request.instance)},
            Operation.MONITOR: lambda request, _note: self._monitored(self.instances.seen(request.instance)),
            Operation.CHECK: lambda _request, _note: self.instances.all(),
            Operation.CONFIG_GET: self._config_get,
            Operation.CONFIG_PUT: self._config_put,
            Operation.BACKUP: self._copies.backup,
            Operation.BACKUPS: self._copies.backups,
            Operation.BACKUP_DELETE: self._copies.delete,
            Operation.CLONE: self._copies.clone,
            Operation.UPGRADE: self._upgrade,
            Operation.RESIZE: self._resize,
            Operation.LOGS: self._logs,
            Operation.CREDENTIALS: self._credentials,
            Operation.REPLICATE: self._copies.replicate,
            Operation.PROMOTE: self._copies.promote,
        }
        handlers = handlers if self._owned else lock.guarded(handlers, self.access.home, lock.TROVE)
        return {operation: _in_our_words(handler) for operation, handler in handlers.items()}

    def session(self, name: str) -> AbstractContextManager[Session]:
        """The administrator's session, through the lab's machine."""
        return self.instances.session(name)

    def _answers(self, name: str) -> bool:
        try:
            with self.session(name) as session:
                return bool(session.execute("SELECT 6 * 7")[0][0] == 42)
        except sql.ERRORS:
            return False

    def _create(self, request: Request, note: Note) -> Value:
        if request.port:
            raise Missing(self.name, "create", "an instance has an address, not a port, of its own")
        known = self.instances.find(request.instance)
        if known and known["datastore"]["type"] != request.engine:
            raise Refused(f"There is another instance {request.instance!r} already.", "Choose another name.")
        instance = known["id"] if known else self.instances.ask(request, request.instance)
        return shown(self.instances.opened(instance, note))

    def _destroy(self, request: Request, note: Note) -> Value:
        known = self.instances.find(request.instance)
        group = self.instances.group(request.instance, self._trove.instance(known["id"]) if known else {})
        if known is None:
            note("there is none of that name")
        else:
            self._trove.delete(known["id"])
            waits.until(
                f"{request.instance} to be gone",
                lambda: self.instances.find(request.instance) is None,
                seconds=self.access.seconds,
                every=2.0,
                note=note,
            )
            self._copies.forget(request.instance)
        if group:
            self._trove.delete_configuration(group)

    def _start(self, request: Request, note: Note) -> Value:
        seen = self.instances.seen(request.instance)
        if state(seen) is State.STOPPED:
            self._trove.restart(seen["id"])
            seen = self.instances.wait(seen["id"], note)
        return shown(seen)

    def _stop(self, request: Request, note: Note) -> Value:
        seen = self.instances.seen(request.instance)
        self.access.operator.manage(seen["id"], "stop")
        waits.until(
            f"{request.instance} to stop",
            lambda: state(self._trove.instance(seen["id"])) is State.STOPPED,
            seconds=self.access.seconds,
            every=2.0,
            note=note,
        )
        return shown(self._trove.instance(seen["id"]))

    def _config_get(self, request: Request, note: Note) -> Value:
        group = self.instances.group(request.instance, self.instances.seen(request.instance))
        return self._trove.configuration(group) if group else {}

    def _config_put(self, request: Request, note: Note) -> Value:
        seen = self.instances.seen(request.instance)
        group = self.instances.group(request.instance, seen)
        store = {key: seen["datastore"][key] for key in ("type", "version")}
        offered = self._trove.datastores().get(store["type"], {})
        if store["version"] not in offered:
            raise Refused(f"{store['type']} {store['version']} is offered no more.", "./inv dbod upgrade leaves it.")
        values = self._trove.typed(offered[store["version"]], request.settings)
        if group:
            self._trove.change_configuration(group, values)
        else:
            group = self._trove.create_configuration(PREFIX + request.instance, store, values)
        if seen.get("configuration", {}).get("id") != group:
            self._trove.change(seen["id"], configuration=group)
        self.instances.restarted(seen["id"], note)
        return self._trove.configuration(group)

    def _upgrade(self, request: Request, note: Note) -> Value:
        seen = self.instances.seen(request.instance)
        store = seen["datastore"]
        # between machines and containers there is no way: their disks differ
        there, machine = self._trove.datastores().get(store["type"], {}), store["version"].endswith(VM)
        others = sorted({v for v in there if v.endswith(VM) == machine} - {store["version"]})
        if not others:
            raise Missing(self.name, "upgrade", f"this Trove offers no other version of {store['type']}")
        if request.version and request.version not in others:
            raise Refused(f"{request.version} is not offered here.", f"Offered: {', '.join(others)}.")
        self._trove.change(seen["id"], datastore_version=request.version or others[-1])
        return shown(self.instances.wait(seen["id"], note))

    def _resize(self, request: Request, note: Note) -> Value:
        seen = self.instances.seen(request.instance)
        flavor = self.access.offer.flavor(request.memory)
        if str(seen["flavor"]["id"]) != flavor:
            self._trove.act(seen["id"], "resize", flavorRef=flavor)
            seen = self.instances.wait(seen["id"], note)
        return self._monitored(seen)

    def _monitored(self, seen: Mapping[str, Any]) -> Value:
        return {**shown(seen), "memory": self.access.offer.memory(seen["flavor"]["id"])}

    def _logs(self, request: Request, note: Note) -> Value:
        self.instances.need_swift("published logs", request.operation)
        seen = self.instances.seen(request.instance)
        if self._trove.log(seen["id"], LOG)["status"] in {"Disabled", "Restart Required"}:
            self._trove.log(seen["id"], LOG, enable=1)
        self.instances.restarted(seen["id"], note)
        with self.session(request.instance) as session:
            session.execute("SELECT 'asked for the log'")
        note(f"Trove publishes the {LOG} log; the server's own error log is none of those that it offers")
        there = self._trove.log(seen["id"], LOG, publish=1)
        if not there["published"]:
            return []
        return self.access.offer.stored(there["container"], there["prefix"]).splitlines()

    def _credentials(self, request: Request, note: Note) -> Value:
        seen = self.instances.seen(request.instance)
        login = self.instances.login(seen)
        user = self._trove.enable_root(seen["id"], login.password)
        return {"host": login.address, "port": login.port, "user": user, "password": login.password}


@contextlib.contextmanager
def in_our_words() -> Iterator[None]:
    """What the SDK raises (a service that is restarting, say) as an error of ours. Raises: ApiFailed."""
    try:
        yield
    except (SDKException, ClientException) as error:
        raise ApiFailed("OpenStack", "what was asked", str(error)) from error


def _in_our_words(handler: Handler) -> Handler:
    def run(request: Request, note: Note) -> Value:
        with in_our_words():
            return handler(request, note)

    return run
