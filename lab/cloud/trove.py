"""Trove through its API: datastores, instances, databases and users.

openstacksdk's database proxy has no datastores (openstack/database/v1), so this module asks the same endpoint
through the same session; what comes back is Trove's own JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection

from lab.core import waits
from lab.core.errors import ApiFailed
from lab.core.waits import Note

ACTIVE = frozenset({"ACTIVE", "HEALTHY"})
VM = "-vm"
"""End of the datastore versions whose instances are machines, where the others of the same cloud are containers."""


class Trove:
    """One user's view of the database service. API errors are raised as ApiFailed with Trove's own words."""

    def __init__(self, connection: Connection) -> None:
        self._api = connection.database

    def datastores(self) -> dict[str, dict[str, str]]:
        """Datastore name to its versions: name to id."""
        found = self._get("/datastores")["datastores"]
        return {d["name"]: {v["name"]: v["id"] for v in d.get("versions", [])} for d in found}

    def newest(self, datastore: str) -> str | None:
        """The version that users of a datastore get who name none."""
        return max((v for v in self.datastores().get(datastore, {}) if not v.endswith(VM)), default=None)

    def settings(self, version_id: str) -> list[str]:
        """Names of the settings that configurations of a datastore version may hold; none until they are loaded."""
        found = self._get(f"/datastores/versions/{version_id}/parameters")["configuration-parameters"]
        return [row["name"] for row in found]

    def register(
        self, datastore: str, version: str, number: str, image_tags: list[str], *, default: bool = True
    ) -> None:
        """Make a datastore version (admin) whose guests boot the newest image with ``image_tags``.

        ``number`` is the tag of the datastore's image in the guest.
        """
        self._call(
            "POST",
            "/mgmt/datastore-versions",
            {
                "version": {
                    "datastore_name": datastore,
                    "datastore_manager": datastore,
                    "name": version,
                    "version": number,
                    "image_tags": image_tags,
                    "active": True,
                    "default": default,
                }
            },
        )

    def create(
        self,
        name: str,
        *,
        flavor: str,
        datastore: str,
        version: str,
        network: str,
        databases: list[dict[str, Any]],
        users: Sequence[dict[str, Any]] = (),
    ) -> str:
        """Ask for an instance and return its id; ``flavor`` and ``network`` are ids."""
        body = {
            "name": name,
            "flavorRef": flavor,
            "datastore": {"type": datastore, "version": version},
            "nics": [{"net-id": network}],
            "databases": databases,
            "users": list(users),
        }
        return str(self._call("POST", "/instances", {"instance": body})["instance"]["id"])

    def instances(self) -> list[dict[str, Any]]:
        """The instances of this project."""
        found: list[dict[str, Any]] = []
        marker = ""
        while True:  # Trove gives at most instances_page_size (20) at once
            page = self._get(f"/instances?marker={marker}" if marker else "/instances")
            found += page["instances"]
            if not any(link["rel"] == "next" for link in page.get("links", [])):
                return found
            marker = found[-1]["id"]

    def instance(self, instance_id: str) -> dict[str, Any]:
        """One instance, as Trove shows it."""
        return dict(self._get(f"/instances/{instance_id}")["instance"])

    def wait_active(self, instance_id: str, *, seconds: float, note: Note) -> dict[str, Any]:
        """Wait until the instance is ACTIVE and its operating status is HEALTHY. Raises: TimedOut, GaveUp (ERROR)."""
        seen: dict[str, Any] = {}

        def probe() -> dict[str, Any] | None:
            seen.update(self.instance(instance_id))
            healthy = seen.get("operating_status", "HEALTHY") in ACTIVE
            return dict(seen) if seen["status"] in ACTIVE and healthy else None

        def fatal() -> str | None:
            if seen.get("status") not in {"ERROR", "FAILED"}:
                return None
            fault = seen.get("fault") or {}
            return f"Trove says {seen['status']}: {fault.get('message', 'no fault message')}"

        return waits.until(
            f"instance {instance_id} to be ACTIVE",
            probe,
            seconds=seconds,
            setting="--database-timeout",
            every=1.0,
            fatal=fatal,
            describe=lambda: f"{seen.get('status')}, {seen.get('operating_status', '')}",
            note=note,
        )

    def restart(self, instance_id: str) -> None:
        """Restart the database server of an instance."""
        self._call("POST", f"/instances/{instance_id}/action", {"restart": {}})

    def delete(self, instance_id: str) -> None:
        """Delete an instance."""
        self._call("DELETE", f"/instances/{instance_id}")

    def create_database(self, instance_id: str, database: dict[str, Any]) -> None:
        """Create a database: ``{"name": …}``."""
        self._call("POST", f"/instances/{instance_id}/databases", {"databases": [database]})

    def create_user(self, instance_id: str, name: str, password: str, databases: list[str]) -> None:
        """Create a user who may use ``databases``."""
        user = {"name": name, "password": password, "databases": [{"name": d} for d in databases]}
        self._call("POST", f"/instances/{instance_id}/users", {"users": [user]})

    def users(self, instance_id: str) -> list[str]:
        """Names of the users that Trove manages."""
        return [u["name"] for u in self._get(f"/instances/{instance_id}/users")["users"]]

    def databases(self, instance_id: str) -> list[str]:
        """Names of the databases that Trove manages."""
        return [d["name"] for d in self._get(f"/instances/{instance_id}/databases")["databases"]]

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self._asked(method, path, body)
        if response.status_code >= 400:
            raise ApiFailed("Trove", f"{method} {path}", f"{response.status_code} {response.text[:300]}")
        return response.json() if response.content else {}

    def _asked(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        try:
            return self._api.request(path, method, json=body) if body else self._api.request(path, method)
        except ClientException as error:  # a service that is restarting
            raise ApiFailed("Trove", f"{method} {path}", str(error)) from error
