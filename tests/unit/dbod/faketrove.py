"""Trove's answers in the shapes of its API reference (v1.0), kept in memory; every request is recorded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from lab.cloud.offer import Offer
from lab.cloud.trove import Trove
from lab.core.home import Home
from lab.dbod.providers.trove_instances import Access

PARAMETERS = {"max_connections": "integer", "wait_timeout": "integer", "autocommit": "boolean", "ft_query": "string"}
"""Settings that its datastores have, by type."""
FLAVORS = [
    SimpleNamespace(id="tiny", ram=128, ephemeral=0),
    SimpleNamespace(id="small", ram=512, ephemeral=2),
    SimpleNamespace(id="large", ram=2048, ephemeral=4),
]


@dataclass
class Response:
    status_code: int
    data: Any = None

    @property
    def content(self) -> bytes:
        return b"" if self.data is None else json.dumps(self.data).encode()

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class FakeTrove:
    """What ``Connection.database`` is asked; ``after`` is the status that an action leads to."""

    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    backups: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    versions: tuple[str, ...] = ("11.8",)
    on_attach: str = "RESTART_REQUIRED"
    page: int = 20

    def request(self, path: str, method: str, json: Any = None) -> Response:
        self.requests.append((method, path, json))
        path, _, self._query = path.partition("?")
        for verb, pattern, handler in (
            ("GET", r"/instances", lambda: self._paged("instances", list(self.instances.values()))),
            ("POST", r"/instances", lambda: self._made(json["instance"])),
            ("GET", r"/datastores", self._datastores),
            ("GET", r"/datastores/versions/[^/]+/parameters", self._parameters),
            ("GET", r"/configurations", lambda: self._paged("configurations", list(self.groups.values()))),
            ("POST", r"/backups", lambda: {"backup": self._backed_up(json["backup"])}),
            ("POST", r"/configurations", lambda: self._group(json["configuration"])),
        ):
            if verb == method and re.fullmatch(pattern, path):
                return self._answer(handler())
        if found := re.fullmatch(r"/configurations/([^/]+)", path):
            return self._configuration(found[1], method, json)
        if found := re.fullmatch(r"(?:/mgmt)?/instances/([^/]+)(/.*)?", path):
            return self._instance(found[1], found[2] or "", method, json)
        return Response(404, {"itemNotFound": {"code": 404, "message": path}})

    def _answer(self, data: Any) -> Response:
        return data if isinstance(data, Response) else Response(200, data)

    def _paged(self, key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A page, and the link to the next by a host that only Trove's own side knows.

        An instance's marker is its id, any other's a number.
        """
        marker = dict(parse_qsl(self._query)).get("marker")
        ids = [row["id"] for row in rows] if key == "instances" else []
        at = 0 if marker is None else ids.index(marker) + 1 if ids else int(marker)
        told: dict[str, Any] = {key: rows[at : at + self.page]}
        if at + self.page < len(rows):
            following = ids[at + self.page - 1] if ids else at + self.page
            told["links"] = [{"rel": "next", "href": f"https://behind.example/v1.0/p/{key}?marker={following}"}]
        return told

    def _parameters(self) -> Any:
        return {"configuration-parameters": [{"name": name, "type": kind} for name, kind in PARAMETERS.items()]}

    def _datastores(self) -> Any:
        versions = [{"name": v, "id": f"id-{v}"} for v in self.versions]
        return {"datastores": [{"name": "mariadb", "versions": versions}]}

    def _made(self, wanted: dict[str, Any]) -> Any:
        if "replica_of" in wanted and {"flavorRef", "datastore"} & set(wanted):
            message = "Cannot specify flavor when creating replicas."
            return Response(400, {"badRequest": {"code": 400, "message": message}})
        source = self.instances.get(wanted.get("replica_of", ""))
        origin = {"replica_of": {"id": source["id"]}} if source else {}
        one = {
            "id": f"i{len(self.instances)}",
            "name": wanted["name"],
            "status": "ACTIVE",
            "operating_status": "HEALTHY",
            "flavor": {"id": source["flavor"]["id"] if source else wanted["flavorRef"]},
            "datastore": source["datastore"] if source else wanted["datastore"],
            "addresses": [{"address": "10.0.0.5", "type": "private"}],
            **origin,
        }
        self.instances[one["id"]] = one
        return {"instance": one}

    def _backed_up(self, wanted: dict[str, Any]) -> dict[str, Any]:
        made = {"id": f"b{len(self.backups)}", "name": wanted["name"], "instance_id": wanted["instance"],
                "status": "COMPLETED", "created": f"2026-01-01T00:00:0{len(self.backups)}"}  # fmt: skip
        self.backups.append(made)
        return made

    def _group(self, wanted: dict[str, Any]) -> Any:
        for name, value in wanted["values"].items():
            message = ""
            if name not in PARAMETERS:
                message = f"The configuration parameter {name} is not supported for this datastore."
            elif type(value) is not {"integer": int, "boolean": bool, "string": str}[PARAMETERS[name]]:
                message = f"The value provided for the configuration parameter {name} is not of its type."
            if message:
                return Response(422, {"unprocessableEntity": {"code": 422, "message": message}})
        self.groups["g0"] = {"id": "g0", **wanted}
        return {"configuration": self.groups["g0"]}

    def _configuration(self, group: str, method: str, body: Any) -> Response:
        if method == "DELETE":
            del self.groups[group]
            return Response(202)
        if method == "PATCH":
            self.groups[group]["values"].update(body["configuration"]["values"])
        return Response(200, {"configuration": self.groups[group]})

    def _instance(self, one: str, rest: str, method: str, body: Any) -> Response:
        seen = self.instances[one]
        if method == "DELETE":
            del self.instances[one]
            return Response(202)
        if rest == "/root":
            return Response(200, {"user": {"name": "root", "password": body["password"]}})
        if method == "PATCH" and "configuration" in body["instance"]:
            seen["status"] = self.on_attach
            seen["configuration"] = {"id": body["instance"]["configuration"]}
        if rest == "/action" and "resize" in body:
            seen["flavor"] = {"id": body["resize"]["flavorRef"]}
        if rest == "/action":
            # as a real Trove 23 was seen to show it
            seen["status"], seen["operating_status"] = "ACTIVE", "SHUTDOWN" if "stop" in body else "HEALTHY"
        if rest == "/backups":
            return Response(200, self._paged("backups", [b for b in self.backups if b["instance_id"] == one]))
        return Response(202) if method != "GET" else Response(200, {"instance": seen})


def access(home: Home, services: tuple[str, ...] = ("database", "compute"), **given: Any) -> tuple[Access, FakeTrove]:
    """What the provider needs of a lab, with a Trove in memory behind it."""
    fake = FakeTrove(**given)
    connection: Any = SimpleNamespace(
        database=fake,
        compute=SimpleNamespace(
            flavors=lambda: list(FLAVORS), get_flavor=lambda wanted: next(f for f in FLAVORS if f.id == wanted)
        ),
        network=SimpleNamespace(find_network=lambda name, ignore_missing: SimpleNamespace(id=f"net-{name}")),
        service_catalog=[{"type": kind} for kind in services],
    )
    nowhere: Any = None
    return Access(home, Trove(connection), Trove(connection), Offer(connection), nowhere, 5.0), fake
