"""What Trove makes of an instance's data: backups, clones, replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.core.errors import NoSuch, Refused
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.dbod.contract import Request, Value
from lab.dbod.providers.trove_instances import Instances
from lab.dbod.providers.trove_view import PREFIX, shown


class Copies:
    """Of one user's instances."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._access = instances.access
        self._trove = instances.access.user

    def backup(self, request: Request, note: Note) -> Value:
        """One to Swift. Raises: Missing (no Swift), TimedOut, GaveUp."""
        self._instances.need_swift("backups", request.operation)
        instance = self._instances.seen(request.instance)["id"]
        # a job that runs again finds what it had asked for
        name = "-".join(filter(None, (PREFIX + request.instance, request.id)))
        known = {b["name"]: b["id"] for b in self._trove.backups(instance)} if request.id else {}
        backup = known.get(name) or self._trove.back_up(instance, name)
        self._trove.wait_backup(instance, backup, self._access.seconds, note)
        return {"id": backup}

    def backups(self, request: Request, note: Note) -> Value:
        """Those of an instance, oldest first."""
        found = self._trove.backups(self._instances.seen(request.instance)["id"])
        return [{"id": b["id"], "at": b["created"], "status": b["status"]} for b in found]

    def delete(self, request: Request, note: Note) -> Value:
        """Remove one backup. Raises: NoSuch (the instance has no such one), TimedOut, GaveUp."""
        instance = self._instances.seen(request.instance)["id"]
        known = [one["id"] for one in self._trove.backups(instance)]
        if request.backup in known:
            self._trove.delete_backup(instance, request.backup, self._access.seconds)
        elif not request.id:
            raise NoSuch(
                f"{request.instance} has no backup {request.backup!r}.",
                "It has: " + ", ".join(known) + "." if known else "It has none.",
            )
        return self.backups(request, note)

    def clone(self, request: Request, note: Note) -> Value:
        """An instance from another's backup, of its engine, version and flavor; the same request makes one only.

        Raises: Refused (another has the name), NoSuch (no such backup), Missing (no Swift).
        """
        self._instances.need_swift("backups", request.operation)
        source, there = self._instances.seen(request.instance), self._instances.find(request.target)
        mark = self._mark(request.target)
        if there and not (request.id and mark.exists() and mark.read_text() == request.id):
            raise _taken(request.target)
        if there:
            note("it was asked for already")
            return shown(self._instances.opened(there["id"], note))
        backup = self._whole(request, source["id"])
        # Trove keeps nowhere what an instance was made from, nor by whose request
        write_atomically(mark, request.id, 0o600)
        made = self._instances.ask(
            request,
            request.target,
            restorePoint={"backupRef": backup},
            flavorRef=str(source["flavor"]["id"]),
            datastore={key: source["datastore"][key] for key in ("type", "version")},
        )
        return shown(self._instances.opened(made, note))

    def replicate(self, request: Request, note: Note) -> Value:
        """A replica; the one that is there already, where it is one. Raises: Refused, Missing (no Swift)."""
        self._instances.need_swift("the backup that a replica begins with", request.operation)
        source, there = self._instances.seen(request.instance)["id"], self._instances.find(request.target)
        if there and self._trove.instance(there["id"]).get("replica_of", {}).get("id") != source:
            raise _taken(request.target)
        made = there["id"] if there else self._instances.ask(request, request.target, replica_of=source)
        # accounts are replicated, too
        self._access.home.secrets.share(*(f"{PREFIX}{name}.root" for name in (request.target, request.instance)))
        return shown(self._instances.wait(made, note))

    def promote(self, request: Request, note: Note) -> Value:
        """Make a replica the source. Raises: Refused (it is none), Missing (no Swift)."""
        seen = self._instances.seen(request.instance)
        if "replica_of" not in seen:
            self._instances.need_swift("the backup that a replica begins with", request.operation)
            raise Refused(f"{request.instance} is no replica.", "Make one with ./inv dbod replicate.")
        self._trove.act(seen["id"], "promote_to_replica_source")
        return shown(self._instances.wait(seen["id"], note))

    def forget(self, name: str) -> None:
        """An instance is gone: so is what was kept of its making."""
        self._mark(name).unlink(missing_ok=True)

    def _mark(self, name: str) -> Path:
        """Holds the id of the request that a clone of that name was asked for by."""
        return self._access.home.path / "clones" / name

    def _whole(self, request: Request, source: str) -> str:
        """Id of the backup that is wanted, of the newest where none is. Raises: NoSuch."""
        whole: list[Any] = [b["id"] for b in self._trove.backups(source) if b["status"] == "COMPLETED"]
        if not whole:
            raise NoSuch(f"{request.instance} has no backup.", "Make one with ./inv dbod backup.")
        if request.backup and request.backup not in whole:
            raise NoSuch(f"{request.instance} has no backup {request.backup!r}.", f"It has: {', '.join(whole)}.")
        return request.backup or str(whole[-1])


def _taken(name: str) -> Refused:
    return Refused(f"There is an instance {name!r} already.", "Choose another name.")
