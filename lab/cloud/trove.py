"""Trove through its API: datastores, instances, databases and users, configurations, backups.

openstacksdk's database proxy has no datastores (openstack/database/v1), so this module asks the same endpoint
through the same session; what comes back is Trove's own JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openstack.connection import Connection

from lab.cloud.rest import Rest
from lab.core import waits
from lab.core.errors import BadValue, NameTwice
from lab.core.waits import Note

ACTIVE = frozenset({"ACTIVE", "HEALTHY"})
VM = "-vm"
"""End of the datastore versions whose instances are machines, where the others of the same cloud are containers."""
SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
"""How a boolean setting may be written."""
RENAME = "Give all but one another name: openstack database instance update ID --name NEW."


class Trove:
    """One user's view of the database service. Raises: Refused (Trove blames the request), ApiFailed."""

    def __init__(self, connection: Connection) -> None:
        self._api = Rest("Trove", connection.database)

    def datastores(self) -> dict[str, dict[str, str]]:
        """Datastore name to its versions: name to id."""
        found = self._api.rows("/datastores", "datastores")
        return {d["name"]: {v["name"]: v["id"] for v in d.get("versions", [])} for d in found}

    def newest(self, datastore: str) -> str | None:
        """The version that users of a datastore get who name none."""
        return max((v for v in self.datastores().get(datastore, {}) if not v.endswith(VM)), default=None)

    def settings(self, version_id: str) -> dict[str, str]:
        """Settings that configurations of a datastore version may hold, name to type; none until they are loaded."""
        found = self._api.rows(f"/datastores/versions/{version_id}/parameters", "configuration-parameters")
        return {row["name"]: row["type"] for row in found}

    def typed(self, version_id: str, values: Mapping[str, str]) -> dict[str, Any]:
        """``values`` of the types that a datastore version wants. Raises: BadValue.

        A setting that it does not know stays text: Trove refuses it by name.
        """
        types = self.settings(version_id)
        return {key: _typed(key, value, types.get(key, "string")) for key, value in values.items()}

    def register(
        self, datastore: str, version: str, number: str, image_tags: list[str], *, default: bool = True
    ) -> None:
        """Make a datastore version (admin) whose guests boot the newest image with ``image_tags``.

        ``number`` is the tag of the datastore's image in the guest.
        """
        self._api.call(
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

    def create(self, name: str, **instance: Any) -> str:
        """Ask for an instance, with any of the API's keys (flavorRef, datastore, nics, replica_of …); its id."""
        made = self._api.call("POST", "/instances", {"instance": {"name": name, **instance}})
        return str(made["instance"]["id"])

    def instances(self) -> list[dict[str, Any]]:
        """The instances of this project."""
        return self._api.rows("/instances", "instances")

    def instance(self, instance: str) -> dict[str, Any]:
        """One instance, as Trove shows it."""
        return dict(self._api.get(f"/instances/{instance}")["instance"])

    def wait_active(self, instance: str, *, seconds: float, note: Note) -> dict[str, Any]:
        """Wait until the instance is ACTIVE and its operating status is HEALTHY. Raises: TimedOut, GaveUp (ERROR)."""
        seen: dict[str, Any] = {}

        def probe() -> dict[str, Any] | None:
            seen.update(self.instance(instance))
            healthy = seen.get("operating_status", "HEALTHY") in ACTIVE
            return dict(seen) if seen["status"] in ACTIVE and healthy else None

        def fatal() -> str | None:
            if seen.get("status") not in {"ERROR", "FAILED"}:
                return None
            fault = seen.get("fault") or {}
            return f"Trove says {seen['status']}: {fault.get('message', 'no fault message')}"

        return waits.until(
            f"instance {instance} to be ACTIVE",
            probe,
            seconds=seconds,
            setting="--database-timeout",
            every=1.0,
            fatal=fatal,
            describe=lambda: f"{seen.get('status')}, {seen.get('operating_status', '')}",
            note=note,
        )

    def act(self, instance: str, action: str, **given: Any) -> None:
        """An action on an instance: restart, resize, promote_to_replica_source …"""
        self._api.call("POST", f"/instances/{instance}/action", {action: given})

    def restart(self, instance: str) -> None:
        """Restart the database server of an instance."""
        self.act(instance, "restart")

    def manage(self, instance: str, action: str) -> None:
        """An operator's action: stop, reboot (admin)."""
        self._api.call("POST", f"/mgmt/instances/{instance}/action", {action: {}})

    def change(self, instance: str, **given: Any) -> None:
        """Attach a configuration, or upgrade to a datastore version."""
        self._api.call("PATCH", f"/instances/{instance}", {"instance": given})

    def delete(self, instance: str) -> None:
        """Delete an instance."""
        self._api.call("DELETE", f"/instances/{instance}")

    def enable_root(self, instance: str, password: str) -> str:
        """Give the administrator that password; the administrator's name."""
        return str(self._api.call("POST", f"/instances/{instance}/root", {"password": password})["user"]["name"])

    def create_database(self, instance: str, database: dict[str, Any]) -> None:
        """Create a database: ``{"name": …}``."""
        self._api.call("POST", f"/instances/{instance}/databases", {"databases": [database]})

    def create_user(self, instance: str, name: str, password: str, databases: list[str]) -> None:
        """Create a user who may use ``databases``."""
        user = {"name": name, "password": password, "databases": [{"name": d} for d in databases]}
        self._api.call("POST", f"/instances/{instance}/users", {"users": [user]})

    def users(self, instance: str) -> list[str]:
        """Names of the users that Trove manages."""
        return [u["name"] for u in self._api.rows(f"/instances/{instance}/users", "users")]

    def databases(self, instance: str) -> list[str]:
        """Names of the databases that Trove manages."""
        return [d["name"] for d in self._api.rows(f"/instances/{instance}/databases", "databases")]

    def configurations(self) -> list[dict[str, Any]]:
        """The configuration groups of this project, without their values."""
        return self._api.rows("/configurations", "configurations")

    def configuration(self, group: str) -> dict[str, Any]:
        """The values of a configuration group."""
        return dict(self._api.get(f"/configurations/{group}")["configuration"]["values"])

    def create_configuration(self, name: str, datastore: Mapping[str, str], values: Mapping[str, Any]) -> str:
        """A configuration group; its id. Raises: Refused, for values that the datastore does not know."""
        body = {"name": name, "values": dict(values), "datastore": dict(datastore)}
        return str(self._api.call("POST", "/configurations", {"configuration": body})["configuration"]["id"])

    def change_configuration(self, group: str, values: Mapping[str, Any]) -> None:
        """Add or change values of a configuration group. Raises: Refused."""
        self._api.call("PATCH", f"/configurations/{group}", {"configuration": {"values": dict(values)}})

    def delete_configuration(self, group: str) -> None:
        """Delete a configuration group that no instance uses."""
        self._api.call("DELETE", f"/configurations/{group}")

    def back_up(self, instance: str, name: str) -> str:
        """Ask for a backup; its id."""
        body = {"backup": {"name": name, "instance": instance}}
        return str(self._api.call("POST", "/backups", body)["backup"]["id"])

    def backups(self, instance: str) -> list[dict[str, Any]]:
        """The backups of an instance, oldest first."""
        return sorted(self._api.rows(f"/instances/{instance}/backups", "backups"), key=lambda b: str(b["created"]))

    def delete_backup(self, instance: str, backup: str, seconds: float) -> None:
        """Delete a backup and wait until it is gone. Raises: TimedOut, ApiFailed."""
        self._api.call("DELETE", f"/backups/{backup}")
        waits.until(
            f"backup {backup} to be gone",
            lambda: all(one["id"] != backup for one in self.backups(instance)),
            seconds=seconds,
            setting="--database-timeout",
            every=1.0,
        )

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
        return dict(self._api.call("POST", f"/instances/{instance}/log", {"name": name, **wanted})["log"])


def named(rows: Iterable[dict[str, Any]], name: str, mend: str = RENAME) -> dict[str, Any] | None:
    """The one of ``rows`` with that name; Trove lets two have it. Raises: NameTwice, which ``mend`` mends."""
    found = [row for row in rows if row["name"] == name]
    if len(found) > 1:
        raise NameTwice(name, [row["id"] for row in found], mend)
    return found[0] if found else None


def _typed(key: str, value: str, kind: str) -> Any:
    """``value`` as a ``kind`` of Trove's: string, integer, float, boolean. Raises: BadValue."""
    try:
        if kind == "boolean":
            return SWITCH[value.lower()]
        return {"integer": int, "float": float}.get(kind, str)(value)
    except (KeyError, ValueError) as error:
        article = "an" if kind == "integer" else "a"
        raise BadValue("settings", f"{key}={value}", f"{article} {kind} for {key}", "flag") from error
