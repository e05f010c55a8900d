"""Databases in virtual machines: ordinary (``vm``), trimmed (``vm-lean``), copies of a running one (``vm-clone``)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lab.core.errors import BadValue, CheckFailed, LabError
from lab.density.arms.base import Ground, Launch, Start
from lab.density.bake import Baked, password
from lab.density.engine import Place
from lab.density.host.cgroup import Budget
from lab.density.host.resident import Guest, Resident
from lab.density.vm import machine as machines
from lab.density.vm import qemu
from lab.density.vm.machine import CLONE, LEAN, NAIVE, RAM, SHM, STATE, TEMPLATE, Machine

KINDS = {"vm": NAIVE, "vm-lean": LEAN, "vm-clone": CLONE}


class VirtualMachines:
    """One machine a database, its port forwarded to 127.0.0.1 by QEMU."""

    def __init__(self, name: str, ground: Ground, baked: Baked, budget: Budget) -> None:
        if ground.machines is None:
            raise BadValue("arms", name, "an arm that this run prepared QEMU for", "the bench")
        self.name = name
        self.kind = KINDS[name]
        self.merging = name == "vm-lean"
        self.emulated = ground.machines.emulated
        self._machines = ground.machines
        self._ground = ground
        self._baked = baked
        self._budget = budget
        self._running: dict[str, Machine] = {}
        self._places: dict[str, Place] = {}
        self._base: Path | None = None
        self._shm: Path | None = None
        self._template_disk: Path | None = None

    def open(self, most: int) -> None:
        """Make the base disk; for clones boot the template, fill its pool and save it."""
        self._base = self._machines.disk(self.kind, self._baked)
        if self.kind is CLONE:
            self._template(self._base)

    def add(self, count: int, together: int) -> list[Start]:
        """Boot (or clone) machines."""
        first = len(self._running)
        names = [f"{self.name}-{self._baked.engine.name}-{first + i}" for i in range(count)]

        def start(name: str) -> Callable[[], Place | None]:
            one = self._one()
            self._running[name] = one
            return lambda: Place("127.0.0.1", one.port)

        launch = Launch(self._baked, self._ground, (LabError, OSError))
        done = launch.all(names, together, start, self._why_dead)
        self._places.update({start.name: place for start, place in done if place})
        return [start for start, _ in done]

    def remove(self, count: int) -> None:
        """End the last ones."""
        for name in list(self._places)[-count:]:
            del self._places[name]
            self._running.pop(name).end()

    def places(self) -> list[Place]:
        """Forwarded ports on loopback."""
        return list(self._places.values())

    def resident(self, *, ask: bool = False) -> Resident:
        """Guest RAM, QEMU's own memory, TCG's cache, each summed over machines; and what the guests say."""
        total: dict[str, int] = {}
        files = 0
        guests = []
        for one in self._alive():
            parts, mapped = qemu.parts(one.pid, one.kind.memory, one.kind.cache)
            files += mapped
            total = {name: total.get(name, 0) + size for name, size in parts.items()}
            if ask and (said := machines.guest(one)):
                guests.append(Guest(*said))
        return Resident(total, files, tuple(guests))

    def pids(self) -> list[int]:
        """QEMU's processes."""
        return [one.pid for one in self._alive()]

    def dead(self) -> list[str]:
        """Machines that were up and are not."""
        return [f"{name}: {why}" for name in self._places if (why := self._why_dead(name))]

    def close(self) -> None:
        """End the machines, drop the template's RAM."""
        for one in self._running.values():
            one.end()
        self._running.clear()
        self._places.clear()
        if self._shm:
            shutil.rmtree(self._shm, ignore_errors=True)
            if self._template_disk:
                shutil.rmtree(self._template_disk.parent, ignore_errors=True)
            self._shm = None

    def _alive(self) -> list[Machine]:
        return [one for one in self._running.values() if one.dead() is None]

    def _why_dead(self, name: str) -> str | None:
        one = self._running.get(name)
        return one.dead() if one else None

    def _one(self) -> Machine:
        assert self._base is not None
        port = self._baked.engine.port
        if self._shm:
            return self._machines.clone(self._base, self._shm, port, self._budget)
        return self._machines.start(self.kind, self._base, port, self._budget)

    def _template(self, base: Path) -> None:
        shm = SHM / f"{self._ground.dockers.name}-{self._baked.engine.name}"
        self._ground.journal.path(shm)
        shm.mkdir(mode=0o700)
        self._shm = shm
        ram = shm / RAM
        made: list[Machine] = []

        def start(_: str) -> Callable[[], Place | None]:
            # its RAM is charged to the budget too: clones live on it
            made.append(self._machines.start(TEMPLATE, base, self._baked.engine.port, self._budget, ram=ram))
            return lambda: Place("127.0.0.1", made[0].port)

        launch = Launch(self._baked, self._ground)
        (result, place) = launch.all(["template"], 1, start, lambda _: made[0].dead() if made else None)[0]
        if place is None:
            for one in made:
                one.end()
            raise CheckFailed("the clones' template", result.error)
        self._baked.engine.pretouch(place, password())
        self._base = self._template_disk = self._machines.save(made[0], shm / STATE)
