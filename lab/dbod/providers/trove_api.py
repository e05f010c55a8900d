"""What databases on demand need of Trove's API beyond lab/cloud/trove.py; refusals are told apart from failures.

Shapes: https://docs.openstack.org/api-ref/database/ and python-troveclient 8.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import SDKException

from lab.cloud.trove import Trove
from lab.core import waits
from lab.core.errors import ApiFailed, Refused
from lab.core.waits import Note
from lab.dbod.contract import Handler, Request, Value

REFUSALS = frozenset({400, 409, 413, 422})
"""Answers that blame the request."""


class Api(Trove):
    """One user's view of Trove. Raises: Refused (Trove blames the request), ApiFailed; with Trove's own words."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._connection = connection

    def has(self, service: str) -> bool:
        """Whether the cloud's catalogue has a service of that type."""
        return any(entry["type"] == service for entry in self._connection.service_catalog)

    def flavor(self, memory: int) -> str:
        """Id of the smallest flavor with ``memory`` MiB or more and a disk for the data. Raises: Refused."""
        found = [f for f in self._connection.compute.flavors() if f.ram >= memory and f.ephemeral]
        if not found:
            raise Refused(f"The cloud has no flavor with {memory} MiB.", "Ask for less memory.")
        return str(min(found, key=lambda f: f.ram).id)

    def memory(self, flavor: str) -> int:
        """A flavor's memory in MiB."""
        return int(self._connection.compute.get_flavor(flavor).ram)

    def network(self, name: str) -> str:
        """Id of a network."""
        return str(self._connection.network.find_network(name, ignore_missing=False).id)

    def ask(self, **instance: Any) -> str:
        """Ask for an instance with any of the API's keys; its id."""
        return str(self._call("POST", "/instances", {"instance": instance})["instance"]["id"])

    def act(self, instance: str, action: str, **given: Any) -> None:
        """An action on an instance: resize, promote_to_replica_source …"""
        self._call("POST", f"/instances/{instance}/action", {action: given})

    def manage(self, instance: str, action: str) -> None:
        """An operator's action: stop, reboot (admin)."""
        self._call("POST", f"/mgmt/instances/{instance}/action", {action: {}})

    def change(self, instance: str, **given: Any) -> None:
        """Attach a configuration, or upgrade to a datastore version."""
        self._call("PATCH", f"/instances/{instance}", {"instance": given})

    def enable_root(self, instance: str, password: str) -> str:
        """Give the administrator that password; the administrator's name."""
        return str(self._call("POST", f"/instances/{instance}/root", {"password": password})["user"]["name"])

    def configurations(self) -> dict[str, str]:
        """Configuration group name to id."""
        return {c["name"]: c["id"] for c in self._get("/configurations")["configurations"]}

    def configuration(self, group: str) -> dict[str, Any]:
        """The values of a configuration group."""
        return dict(self._get(f"/configurations/{group}")["configuration"]["values"])

    def create_configuration(self, name: str, datastore: Mapping[str, str], values: Mapping[str, Any]) -> str:
        """A configuration group; its id. Raises: Refused, for values that the datastore does not know."""
        body = {"name": name, "values": dict(values), "datastore": dict(datastore)}
        return str(self._call("POST", "/configurations", {"configuration": body})["configuration"]["id"])

    def change_configuration(self, group: str, values: Mapping[str, Any]) -> None:
        """Add or change values of a configuration group. Raises: Refused."""
        self._call("PATCH", f"/configurations/{group}", {"configuration": {"values": dict(values)}})

    def delete_configuration(self, group: str) -> None:
        """Delete a configuration group that no instance uses."""
        self._call("DELETE", f"/configurations/{group}")

    def back_up(self, instance: str, name: str) -> str:
        """Ask for a backup; its id."""
        return str(self._call("POST", "/backups", {"backup": {"name": name, "instance": instance}})["backup"]["id"])

    def backups(self, instance: str) -> list[dict[str, Any]]:
        """The backups of an instance, oldest first."""
        return sorted(self._get(f"/instances/{instance}/backups")["backups"], key=lambda b: str(b["created"]))

    def wait_backup(self, instance: str, backup: str, seconds: float, note: Note) -> None:
        """Wait until a backup is COMPLETED. Raises: TimedOut, ApiFailed."""
        seen = {"status": "NEW"}

        def probe() -> bool:
            seen.update(next(({"status": b["status"]} for b in self.backups(instance) if b["id"] == backup), {}))
            return seen["status"] == "COMPLETED"

        waits.until(
            f"backup {backup}",
            probe,
            seconds=seconds,
            every=2.0,
            fatal=lambda: f"Trove says {seen['status']}" if seen["status"] in {"FAILED", "DELETE_FAILED"} else None,
            describe=lambda: seen["status"],
            note=note,
        )

    def log(self, instance: str, name: str, **wanted: int) -> dict[str, Any]:
        """Ask for ``enable=1`` or ``publish=1`` of one of the instance's logs; where Trove keeps it."""
        return dict(self._call("POST", f"/instances/{instance}/log", {"name": name, **wanted})["log"])

    def stored(self, container: str, prefix: str) -> str:
        """The text of the object store's objects in ``container`` whose names begin with ``prefix``, in order."""
        store = self._connection.object_store
        names = sorted(o.name for o in store.objects(container, prefix=prefix))
        return "".join(store.download_object(name, container).decode("utf-8", "replace") for name in names)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self._asked(method, path, body)
        if response.status_code in REFUSALS:
            raise Refused(f"Trove refuses: {_words(response)}", "Mend what it names; nothing was changed.")
        if response.status_code >= 400:
            raise ApiFailed("Trove", f"{method} {path}", f"{response.status_code} {_words(response)}")
        return response.json() if response.content else {}


def _words(response: Any) -> str:
    """Trove's message out of ``{"badRequest": {"code": 400, "message": …}}``, or what came instead."""
    try:
        (fault,) = response.json().values()
        return str(fault["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return str(response.text)[:300]


def in_our_words(handler: Handler) -> Handler:
    """What the SDK raises (a service that is restarting, say) as an error of ours."""

    def run(request: Request, note: Note) -> Value:
        try:
            return handler(request, note)
        except (SDKException, ClientException) as error:
            raise ApiFailed("OpenStack", "what was asked", str(error)) from error

    return run
