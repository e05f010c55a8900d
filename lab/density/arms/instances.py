"""Databases as Trove's instances in a lab: as machines (``trove-vm``), as containers (``trove-container``)."""

from __future__ import annotations

import contextlib
import re
from time import monotonic

from keystoneauth1.exceptions import ClientException
from openstack.exceptions import SDKException

from lab.cloud.trove import ACTIVE
from lab.core import waits
from lab.core.errors import BadValue, LabError, TimedOut
from lab.core.units import MIB
from lab.density import bake
from lab.density.arms.base import Ground, Start
from lab.density.bake import Baked, password
from lab.density.clouds import Cloud
from lab.density.engine import DATABASE, POOL, TRANSIENT, USER, Place
from lab.density.host import procfs, trees
from lab.density.host.resident import Resident
from lab.density.tunnel import Tunnel
from lab.density.vm import qemu

PREFIX = "density-"
GROUPS = {
    "mariadb": {
        "innodb_buffer_pool_size": POOL,
        "innodb_log_buffer_size": 16 * MIB,
        "key_buffer_size": 128 * MIB,
        "max_connections": 60,
    }
}
"""What Trove derives from the flavor, and a configuration group can set as the bench has it."""
CLOUD = (SDKException, ClientException, LabError)
"""What a cloud under load answers now and then."""
BROKEN = frozenset({"ERROR", "FAILED"})
_CACHE = re.compile(r"tb-size=(\d+)")


class Instances:
    """One Trove instance a database, asked for through the API and reached through the lab's machine."""

    merging = False

    def __init__(self, name: str, ground: Ground, baked: Baked) -> None:
        if ground.cloud is None:
            raise BadValue("arms", name, "an arm that this run has a lab for", "the bench")
        self.name = name
        self._cloud: Cloud = ground.cloud
        self.emulated = self._cloud.runs(name) == "qemu"
        self._ground = ground
        self._engine = baked.engine
        self._prefix = f"{PREFIX}{ground.journal.folder.name}-"
        self._places: dict[str, Place] = {}
        self._asked: list[str] = []
        self._group: str | None = None
        self._tunnel: Tunnel | None = None
        self._init = 0
        self._strangers: set[str] = set()

    def open(self, most: int) -> None:
        """Remove what a killed run left, make the configuration group, look at which guests are not ours."""
        api = self._cloud.api
        self._remove([one["id"] for one in api.instances() if one["name"].startswith(PREFIX)])
        for group in api.configurations():
            if group["name"].startswith(PREFIX):
                api.delete_configuration(group["id"])
        machine = self._ground.dockers.client.containers.get(self._cloud.machine)
        self._init = int(machine.attrs["State"]["Pid"])
        self._strangers = set(self._tree().guests)
        self._tunnel = Tunnel(self._cloud.address, self._ground.journal)
        if values := GROUPS.get(self._engine.name):
            self._group = api.create_configuration(f"{self._prefix}{self._engine.name}", self._store(), values)

    def add(self, count: int, together: int) -> list[Start]:
        """Ask for instances, ``together`` at once."""
        done: list[Start] = []
        while len(done) < count:
            done += self._some(min(together, count - len(done)))
        return done

    def remove(self, count: int) -> None:
        """Delete the last ones, and wait until nothing of them runs."""
        last = list(self._places)[-count:]
        for one in last:
            del self._places[one]
        self._remove(last)
        waits.until(
            "the guests to end",
            lambda: len(self._guests(self._tree())) <= len(self._places),
            seconds=self._cloud.patience,
        )

    def places(self) -> list[Place]:
        """Ports on loopback that lead through the machine."""
        return list(self._places.values())

    def resident(self, *, ask: bool = False) -> Resident:
        """The guests' memory by part, the machine's Docker daemons, and apart the cloud's services."""
        tree, total = self._tree(), {}
        held, files = procfs.shares(tree.cloud), 0
        total["cloud"] = held.held
        if daemons := procfs.shares(tree.daemons).held:
            total["daemons"] = daemons
        for parts in self._guests(tree):
            for part, pids in parts.items():
                if part == trees.QEMU:
                    found, mapped = qemu.parts(pids[0], self._cloud.memory, _cache(pids[0]))
                else:
                    share = procfs.shares(pids)
                    found, mapped = {part: share.held}, share.file
                files += mapped
                for name, size in found.items():
                    total[name] = total.get(name, 0) + size
        # a container's processes are seen from here: only a machine has to be asked
        told = self._cloud.guests() if ask and self.name == "trove-vm" else []
        return Resident(total, files, tuple(told))

    def pids(self) -> list[int]:
        """The guests' processes and the machine's Docker daemons."""
        tree = self._tree()
        return [pid for parts in self._guests(tree) for pids in parts.values() for pid in pids] + tree.daemons

    def dead(self) -> list[str]:
        """How many guests are gone; which ones, Trove would say minutes later."""
        there = len(self._guests(self._tree()))
        return [f"{len(self._places)} instances, {there} guests running"] if there < len(self._places) else []

    def close(self) -> None:
        """Delete every instance, the configuration group and the way in."""
        self._remove(self._asked)
        self._places.clear()
        if self._group:
            self._cloud.api.delete_configuration(self._group)
            self._group = None
        if self._tunnel:
            self._tunnel.close()
            self._tunnel = None

    def _store(self) -> dict[str, str]:
        version = self._cloud.newest(self.name, self._engine.name)
        if not version:
            raise BadValue("engine", self._engine.name, "a datastore of this Trove", "--engine")
        return {"type": self._engine.name, "version": version}

    def _some(self, count: int) -> list[Start]:
        """Ask for ``count`` at once; each is filled with its data once it answers."""
        assert self._tunnel is not None
        began: dict[str, float] = {}
        active: dict[str, float] = {}
        done: dict[str, Start] = {}
        names: dict[str, str] = {}
        store = self._store()
        for _ in range(count):
            name = f"{self._prefix}{len(self._asked)}"
            at = monotonic()
            instance = self._ask(name, store)
            self._asked.append(instance)
            began[instance], names[instance] = at, name

        def look() -> bool:
            for one in self._cloud.api.instances():
                known, status = one["id"], one["status"]
                if known not in began or known in done:
                    continue
                if status in BROKEN:
                    why = str((self._cloud.api.instance(known).get("fault") or {}).get("message", status))
                    done[known] = Start(names[known], monotonic() - began[known], count, why[:300])
                elif status in ACTIVE:
                    active.setdefault(known, monotonic() - began[known])
                    done[known] = self._answered(known, one["addresses"][0]["address"], began[known], active[known],
                                                 names[known], count)  # fmt: skip
            return len(done) == count

        with contextlib.suppress(TimedOut):
            waits.until(
                # each look costs Trove a handful of Neutron's answers an instance
                "the instances to answer",
                look,
                seconds=max(1.0, min(self._cloud.patience, self._ground.clock.left)),
                every=max(1.0, count / 2),
                transient=CLOUD,
            )
        for known, at in began.items():
            done.setdefault(known, Start(names[known], monotonic() - at, count, "it was not ACTIVE in time"))
        for known in (known for known in began if known in self._places):
            self._fill(self._places[known])
        return [done[known] for known in began]

    def _ask(self, name: str, store: dict[str, str]) -> str:
        more = {"configuration": self._group} if self._group else {}
        return self._cloud.api.create(
            name,
            flavorRef=self._cloud.flavor,
            datastore=store,
            nics=[{"net-id": self._cloud.network}],
            databases=[{"name": DATABASE}],
            users=[{"name": USER, "password": password(), "databases": [{"name": DATABASE}]}],
            **more,
        )

    def _answered(self, known: str, address: str, began: float, active: float, name: str, count: int) -> Start:
        """The instance's start, once its database answered a query."""
        assert self._tunnel is not None
        place = Place("127.0.0.1", self._tunnel.to(address, self._engine.port))
        try:
            waits.until(
                f"{name} to answer", lambda: self._engine.answers(place, password()), seconds=self._ground.patience,
                setting="--answer-seconds", every=0.2, transient=TRANSIENT,
            )  # fmt: skip
        except TimedOut as late:
            return Start(name, monotonic() - began, count, late.cause, active)
        self._places[known] = place
        return Start(name, monotonic() - began, count, active=active)

    def _fill(self, place: Place) -> None:
        with self._engine.connect(place, password(), seconds=bake.SECONDS) as session:
            for statement in bake.tables(self._engine):
                session.execute(statement)

    def _remove(self, instances: list[str]) -> None:
        api = self._cloud.api
        todo = set(instances)
        for one in instances:
            with contextlib.suppress(*CLOUD):  # one that failed may be gone, or be busy: asked again below
                api.delete(one)

        def gone() -> bool:
            there = {one["id"]: one["status"] for one in api.instances() if one["id"] in todo}
            for one in (one for one, status in there.items() if status in BROKEN):
                api.delete(one)
            return not there

        if todo:
            waits.until(
                "the instances to be gone", gone, seconds=self._cloud.patience, every=2.0,
                transient=CLOUD,
            )  # fmt: skip
        self._asked = [one for one in self._asked if one not in todo]

    def _tree(self) -> trees.Tree:
        return trees.machine(trees.here(), self._init)

    def _guests(self, tree: trees.Tree) -> list[dict[str, list[int]]]:
        return [parts for known, parts in tree.guests.items() if known not in self._strangers]


def _cache(pid: int) -> int:
    """The limit of a QEMU's translation cache, in MiB, by its command line; else QEMU's own default."""
    try:
        command = (procfs.PROC / str(pid) / "cmdline").read_text()
    except OSError:
        command = ""
    found = _CACHE.search(command)
    return int(found[1]) if found else 1024
