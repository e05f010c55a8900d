"""Whether the cloud answers: Keystone, and agents and compute services that report since the machine's own start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import keystoneauth1.exceptions
import openstack.exceptions
from openstack.connection import Connection

from lab.core import waits
from lab.core.ssh import Remote
from lab.core.waits import Note

FRESH_SECONDS = 60
"""A heartbeat older than this is none: services report every 10 s, and a restarted machine still shows its last."""
NOT_YET = (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, OSError)


def await_keystone(admin: Callable[[], Connection], seconds: float, note: Note) -> None:
    """Wait until the administrator is let in. Raises: TimedOut."""
    waits.until(
        "keystone",
        lambda: admin().identity.get("/").ok,
        seconds=seconds,
        setting="--service-timeout",
        transient=NOT_YET,
        note=note,
    )


@dataclass(frozen=True)
class Heartbeats:
    """``seconds`` bounds the wait for them (``service_timeout``); ``computes``: how many compute services."""

    remote: Callable[[], Remote]
    admin: Callable[[], Connection]
    seconds: float
    computes: int = 1

    def fresh(self) -> bool:
        """Whether all of them do."""
        try:
            return not self._late()
        except NOT_YET:
            return False

    def wait(self, note: Note) -> None:
        """Wait for them. Raises: TimedOut, which names the late ones."""
        late: list[str] = []

        def all_fresh() -> bool:
            late[:] = self._late()
            if late == ["hypervisor"]:
                # its compute service is new to its cell; a warm start needs no nova-manage, which takes seconds
                self.remote().run("nova-manage", "cell_v2", "discover_hosts", check=False)
            return not late

        waits.until(
            "fresh heartbeats",
            all_fresh,
            seconds=self.seconds,
            setting="--service-timeout",
            transient=NOT_YET,
            describe=lambda: "late: " + ", ".join(late),
            note=note,
        )

    def _late(self) -> list[str]:
        """Agents and compute services without a fresh heartbeat since the machine started."""
        admin, now = self.admin(), datetime.now(UTC)
        booted = datetime.fromtimestamp(int(self.remote().run("stat", "-c", "%Y", "/proc/1").stdout), UTC)
        late = []
        services = list(admin.compute.services())
        for service in services:
            seen = datetime.fromisoformat(service.updated_at).replace(tzinfo=UTC) if service.updated_at else None
            fresh = seen is not None and seen > booted and (now - seen).total_seconds() < FRESH_SECONDS
            if service.state != "up" or not fresh:
                late.append(service.binary)
        if sum(s.binary == "nova-compute" for s in services) < self.computes:
            late.append("nova-compute")
        late += [agent.binary for agent in admin.network.agents() if not agent.is_alive]
        return late + ([] if len(list(admin.compute.hypervisors())) >= self.computes else ["hypervisor"])
