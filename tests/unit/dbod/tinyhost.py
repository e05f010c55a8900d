"""A provider that really does things, to small files: an instance is a JSON file, a backup a copy of its rows.

Its operations are idempotent as the contract wants them: by name, and by the request's id. ``effects`` counts what
was really done, so that a test sees when something was done twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lab.core import waits
from lab.core.errors import BackupDamaged, BadValue, NoSuch, Refused
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.dbod.contract import Handler, Operation, Request, Value
from lab.dbod.database import Database
from lab.dbod.dockerhost.records import moment
from lab.dbod.schedules import Schedules
from lab.engines.sql import Session


class TinyHost:
    name = "tiny"
    work: Mapping[Operation, str] = {Operation.BACKUP: "a copy of the rows"}
    lacks: Mapping[Operation, str] = {
        Operation.UPGRADE: "there is one version",
        Operation.REPLICATE: "it is one file",
        Operation.PROMOTE: "there are no replicas",
        Operation.REPAIR: "its files have no copies",
        Operation.ADOPT: "a file is its own record",
    }

    def __init__(self, root: Path, database: Database | None = None, slow: float = 0.0) -> None:
        self.root = root
        self._schedules = Schedules(database) if database else None
        self._slow = slow

    @property
    def does(self) -> dict[Operation, Handler]:
        return {
            Operation.CREATE: self._create,
            Operation.DESTROY: self._destroy,
            Operation.LIST: lambda _r, _n: [self._shown(name) for name in self.names()],
            Operation.CHECK: lambda _r, _n: [{**self._shown(name), "seconds": 0.001} for name in self.names()],
            Operation.START: lambda r, _n: self._change(r, state="RUNNING"),
            Operation.STOP: lambda r, _n: self._change(r, state="STOPPED"),
            Operation.PING: lambda r, _n: {"answers": self.read(r.instance)["state"] == "RUNNING"},
            Operation.MONITOR: lambda r, _n: {**self._shown(r.instance), "connections": 1},
            Operation.CONFIG_GET: lambda r, _n: self.read(r.instance)["settings"],
            Operation.CONFIG_PUT: self._config_put,
            Operation.BACKUP: self._backup,
            Operation.BACKUPS: lambda r, _n: [
                {k: b[k] for k in ("id", "at", "version", "automatic")} for b in self.read(r.instance)["backups"]
            ],
            Operation.BACKUP_DELETE: self._backup_delete,
            Operation.DRILL: self._drill,
            Operation.AUTOMATIC_BACKUPS: self._automatic,
            Operation.RESTORE: self._restore,
            Operation.CLONE: self._clone,
            Operation.RESIZE: lambda r, _n: self._change(r, memory=r.memory),
            Operation.LOGS: lambda r, _n: [f"{r.instance} is ready"],
            Operation.CREDENTIALS: lambda r, _n: {
                "host": "127.0.0.1", "port": self.read(r.instance)["port"], "user": "root", "password": "tiny-secret",
            },
            Operation.MAINTENANCE: lambda r, _n: self._change(r, state="MAINTENANCE" if r.on else "RUNNING"),
        }  # fmt: skip

    def session(self, name: str) -> AbstractContextManager[Session]:
        raise NotImplementedError

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.root.glob("*.json"))

    def read(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.root / f"{name}.json").read_text())
        except FileNotFoundError:
            raise NoSuch.instance(name, self.names()) from None
        return found

    def write(self, name: str, data: dict[str, Any], effect: str = "") -> None:
        """The new data and the count of effects in one rename."""
        if effect:
            data["effects"] = [*data["effects"], effect]
        write_atomically(self.root / f"{name}.json", json.dumps(data))

    def _create(self, request: Request, note: Note) -> Value:
        if request.instance not in self.names():
            waits.pause(self._slow)
            data = {
                "name": request.instance, "engine": request.engine, "version": "1.0", "host": "127.0.0.1",
                "port": request.port or 20000 + len(self.names()), "memory": request.memory, "owner": request.owner,
                "category": request.category, "created": moment().isoformat(), "state": "RUNNING", "settings": {},
                "backups": [], "rows": [], "effects": [], "done": "",
            }  # fmt: skip
            self.write(request.instance, data, "create")
        note("made")
        return self._shown(request.instance)

    def _destroy(self, request: Request, note: Note) -> Value:
        (self.root / f"{request.instance}.json").unlink(missing_ok=True)
        if self._schedules:
            self._schedules.remove(request.instance)

    def _config_put(self, request: Request, note: Note) -> Value:
        if "port" in request.settings:
            raise Refused("port cannot be set: the host needs it as it is.", "Leave it out.")
        data = self.read(request.instance)
        self.write(request.instance, {**data, "settings": {**data["settings"], **request.settings}})
        return data["settings"]

    def _backup(self, request: Request, note: Note) -> Value:
        data = self.read(request.instance)
        if data["state"] != "RUNNING":
            raise Refused(f"{request.instance} does not answer.", "Start it.")
        if request.id not in [b["id"] for b in data["backups"]]:
            waits.pause(self._slow)
            made = {"id": request.id, "at": moment().isoformat(), "version": "1.0", "rows": data["rows"],
                    "automatic": request.keep > 0}  # fmt: skip
            self.write(request.instance, {**data, "backups": [*data["backups"], made]}, f"backup {request.id}")
        note(f"copy {request.id}")
        return {"id": request.id}

    def _backup_delete(self, request: Request, note: Note) -> Value:
        data = self.read(request.instance)
        left = [one for one in data["backups"] if one["id"] != request.backup]
        if len(left) == len(data["backups"]) and f"backup-delete {request.id}" not in data["effects"]:
            raise BadValue("backup", request.backup, "one that there is", "flag")
        self.write(request.instance, {**data, "backups": left}, f"backup-delete {request.id}")
        return [one["id"] for one in left]

    def _drill(self, request: Request, note: Note) -> Value:
        found = self._wanted(self.read(request.instance), request)
        if "spoilt" in found["rows"]:
            raise BackupDamaged(request.instance, found["id"], "it is spoilt")
        return {"id": found["id"], "tables": 1}

    def _automatic(self, request: Request, note: Note) -> Value:
        assert self._schedules is not None
        self.read(request.instance)
        if request.on:
            return self._schedules.set(request, moment()).as_dict(moment())
        self._schedules.remove(request.instance)
        return None

    def _restore(self, request: Request, note: Note) -> Value:
        data = self.read(request.instance)
        if data["done"] != request.id:
            found = self._wanted(data, request)
            if (time := request.moment()) and time.isoformat() < found["at"]:
                raise Refused(f"The time is before backup {found['id']}.", "Give a later time.")
            waits.pause(self._slow)
            self.write(request.instance, {**data, "rows": found["rows"], "done": request.id}, f"restore {request.id}")
        return self._shown(request.instance)

    def _clone(self, request: Request, note: Note) -> Value:
        data = self.read(request.instance)
        if request.target in self.names():
            if self.read(request.target)["done"] == request.id:
                return self._shown(request.target)
            raise Refused(f"There is an instance {request.target!r} already.", "Choose another name.")
        made = {**data, "name": request.target, "rows": self._wanted(data, request)["rows"], "backups": [],
                "effects": [], "done": request.id}  # fmt: skip
        self.write(request.target, made, f"clone {request.id}")
        return self._shown(request.target)

    def _wanted(self, data: dict[str, Any], request: Request) -> dict[str, Any]:
        ids = [b["id"] for b in data["backups"]]
        if not ids:
            raise Refused(f"{request.instance} has no backup.", "Make one.")
        if request.backup and request.backup not in ids:
            raise BadValue("backup", request.backup, "one of " + ", ".join(ids), "flag")
        found: dict[str, Any] = data["backups"][ids.index(request.backup) if request.backup else -1]
        return found

    def _change(self, request: Request, **given: object) -> Value:
        waits.pause(self._slow)
        self.write(request.instance, {**self.read(request.instance), **given})
        return self._shown(request.instance)

    def _shown(self, name: str) -> dict[str, Any]:
        data = self.read(name)
        left_out = {"settings", "backups", "rows", "effects", "done"}
        return {key: value for key, value in data.items() if key not in left_out}
