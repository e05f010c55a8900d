"""Databases on demand among a Trove's instances: by name, in its and in DBOD's words, and the way to them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from lab.cloud.offer import NETWORK, Offer
from lab.cloud.trove import Trove, named
from lab.core.errors import Missing, NoSuch, Refused
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.waits import Note
from lab.dbod.contract import Operation, Request
from lab.dbod.providers.trove_view import PREFIX, shown
from lab.engines import sql
from lab.engines.sql import Login, Session

NAME = "trove"
ROOT = "root"
"""Of both engines: Trove lets no one in as PostgreSQL's own superuser (trove 23: postgres/service.py, pg_hba)."""
ADMIN_DATABASE = {"mariadb": "mysql", "postgresql": "postgres"}
NEEDS_SWIFT = "Trove keeps {} in Swift, and this cloud has no object-store (./inv up --with=backups)"
ATTACH = "Have the instance use the one that is meant: openstack database configuration attach INSTANCE ID."


@dataclass(frozen=True)
class Access:
    """A lab that is up: the user's and the operator's view, the way to its instances, and seconds of patience."""

    home: Home
    user: Trove
    operator: Trove
    offer: Offer
    remote: Remote
    seconds: float


class Instances:
    """Those of one user. Raises: Refused, NameTwice (two have the name), ApiFailed."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._trove = access.user

    def all(self) -> list[dict[str, Any]]:
        """Every one as DBOD shows it, by name."""
        ours = (one for one in self._trove.instances() if one["name"].startswith(PREFIX))
        return [shown(one) for one in sorted(ours, key=lambda one: (one["name"], one["id"]))]

    def find(self, name: str) -> dict[str, Any] | None:
        """One as Trove lists it, or None. Raises: NameTwice."""
        return named(self._trove.instances(), PREFIX + name)

    def seen(self, name: str) -> dict[str, Any]:
        """One as Trove shows it. Raises: NoSuch, NameTwice."""
        if found := self.find(name):
            return self._trove.instance(found["id"])
        raise NoSuch.instance(name, [one["name"] for one in self.all()])

    def ask(self, request: Request, name: str, **more: Any) -> str:
        """Ask for one and wait for nothing; its id. ``more`` are the API's keys, before the request's."""
        if "replica_of" not in more:  # a replica has its source's, and Trove refuses to be told
            if "flavorRef" not in more:
                more["flavorRef"] = self.access.offer.flavor(request.memory)
            if "datastore" not in more:
                version = self._version(request.engine, request.version)
                more["datastore"] = {"type": request.engine, "version": version}
        return self._trove.create(PREFIX + name, nics=[{"net-id": self.access.offer.network(NETWORK)}], **more)

    def _version(self, engine: str, wanted: str) -> str:
        here = sorted(self._trove.datastores().get(engine, {}))
        if not here:
            raise Missing(NAME, "create", f"this Trove has no datastore {engine}")
        if wanted and wanted not in here:
            raise Refused(f"{engine} {wanted} is not offered here.", f"Offered: {', '.join(here)}.")
        return wanted or self._trove.newest(engine) or here[-1]

    def wait(self, instance: str, note: Note) -> dict[str, Any]:
        """It as Trove shows it once it is active. Raises: TimedOut, GaveUp."""
        return self._trove.wait_active(instance, seconds=self.access.seconds, note=note)

    def opened(self, instance: str, note: Note) -> dict[str, Any]:
        """It, once it is active and DBOD's user has every right; Trove gives them on request, and remembers it."""
        seen = self.wait(instance, note)
        self._trove.enable_root(instance, self.login(seen).password)
        return seen

    def restarted(self, instance: str, note: Note) -> None:
        """Restart the server if Trove says that what was changed needs it."""
        seen = self._trove.instance(instance)
        # Trove 23 says so in either, by what was changed
        if "RESTART_REQUIRED" in {seen["status"], seen.get("operating_status")}:
            note("this needs a restart")
            self._trove.restart(instance)
        self.wait(instance, note)

    def group(self, name: str, seen: Mapping[str, Any]) -> str | None:
        """Id of an instance's configuration group: of two with the name, the one that it uses. Raises: NameTwice."""
        groups = [one for one in self._trove.configurations() if one["name"] == PREFIX + name]
        used = [one for one in groups if one["id"] == seen.get("configuration", {}).get("id")]
        found = named(used or groups, PREFIX + name, ATTACH)
        return str(found["id"]) if found else None

    def login(self, seen: Mapping[str, Any]) -> Login:
        """The administrator's credentials, and where they hold."""
        datastore, name = seen["datastore"]["type"], seen["name"]
        address = str(next(a["address"] for a in seen["addresses"]))
        return Login(datastore, address, ROOT, self.access.home.secrets[f"{name}.root"], ADMIN_DATABASE[datastore])

    def session(self, name: str) -> AbstractContextManager[Session]:
        """The administrator's session, through the lab's machine."""
        return sql.session(self.access.remote, self.login(self.seen(name)))

    def need_swift(self, what: str, operation: Operation) -> None:
        """Raises: Missing, where Trove has no place for what it keeps."""
        if not self.access.offer.has("object-store"):
            raise Missing(NAME, operation, NEEDS_SWIFT.format(what))
