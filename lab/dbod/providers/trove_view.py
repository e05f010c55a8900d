"""What Trove shows of an instance, in DBOD's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.dbod.contract import State
from lab.engines import sql

PREFIX = "dbod-"
"""Before the names of its instances and configuration groups, which are of the same project as the lab's own."""
STATES = {
    "ACTIVE": State.RUNNING,
    "HEALTHY": State.RUNNING,
    "SHUTDOWN": State.STOPPED,
    "BUILD": State.BUSY,
    "REBOOT": State.BUSY,
    "RESIZE": State.BUSY,
    "BACKUP": State.BUSY,
    "RESTART_REQUIRED": State.RUNNING,
}


def state(row: Mapping[str, Any]) -> State:
    """A stopped server's instance is still ACTIVE: that the server is down is its operating status."""
    if row["status"] == "ACTIVE" and row.get("operating_status") == "SHUTDOWN":
        return State.STOPPED
    return STATES.get(row["status"], State.UNKNOWN)


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """An instance as every provider shows it, from Trove's JSON."""
    engine = row["datastore"]["type"]
    addresses = [a["address"] for a in row.get("addresses", [])]
    return {
        "name": row["name"].removeprefix(PREFIX),
        "engine": engine,
        "version": row["datastore"]["version"],
        "host": addresses[0] if addresses else "",
        "port": sql.PORTS[engine],
        "state": str(state(row)),
        "status": f"{row['status']} {row.get('operating_status', '')}".strip(),
    }
