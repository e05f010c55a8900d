"""The upper bound: one server in one container, N databases in it (what a shared service without isolation does)."""

from __future__ import annotations

from time import monotonic

from lab.core.errors import Unsupported
from lab.density.arms.base import Ground, Start
from lab.density.arms.containers import Containers
from lab.density.bake import Baked, password
from lab.density.engine import POOL, TRANSIENT, Place
from lab.density.host.cgroup import Budget
from lab.density.host.resident import Resident
from lab.density.load.generators import CLIENTS

CONNECTIONS = 60
"""Connections beside the load's: what the other arms' servers allow."""


class Shared:
    """One container whose buffer pool has room for every database's data, so that each has what it has elsewhere."""

    emulated = False
    merging = False
    name = "shared"

    def __init__(self, ground: Ground, baked: Baked, budget: Budget) -> None:
        self._server = Containers(ground, baked, budget, self.name)
        self._baked = baked
        self._words: list[str] = []
        self._places: list[Place] = []

    def open(self, most: int) -> None:
        """Prepare; pool and connections are sized for ``most`` databases, and used as they come."""
        self._words = self._baked.argv(self._baked.engine.sized(POOL * most, CONNECTIONS + CLIENTS * most))
        self._server.open(1)

    def add(self, count: int, together: int) -> list[Start]:
        """Make databases, each with the same tables and rows; the first one starts the server."""
        return [self._one() for _ in range(count)]

    def remove(self, count: int) -> None:
        """Not here: a server keeps the memory of a dropped database."""
        raise Unsupported("The shared server gives no memory back for a dropped database.", "Ascend only.")

    def places(self) -> list[Place]:
        """One place a database."""
        return list(self._places)

    def resident(self, *, ask: bool = False) -> Resident:
        """The one container's."""
        return self._server.resident()

    def pids(self) -> list[int]:
        """The one container's."""
        return self._server.pids()

    def dead(self) -> list[str]:
        """The server, if it is gone."""
        return self._server.dead()

    def close(self) -> None:
        """Remove the server."""
        self._server.close()
        self._places.clear()

    def _one(self) -> Start:
        if not self._places:
            (start,) = self._server.launch(1, 1, self._words)
            self._places += self._server.places()
            return start
        began, name = monotonic(), f"bench_{len(self._places)}"
        first = self._places[0]
        place = Place(first.host, first.port, name)
        try:
            self._baked.engine.add_database(first, name, password())
            self._baked.engine.answers(place, password())
        except TRANSIENT as error:
            return Start(name, monotonic() - began, 1, str(error))
        self._places.append(place)
        return Start(name, monotonic() - began, 1)
