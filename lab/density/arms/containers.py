"""Databases in containers: one container a database (``container``, ``container-ksm``)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import docker.errors
import psutil
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import LogConfig, Ulimit

from lab.density.arms.base import Ground, Launch, Start
from lab.density.bake import Baked
from lab.density.dockers import PROBLEMS, remove
from lab.density.engine import FILES, MERGE, Place
from lab.density.host import cgroup, procfs
from lab.density.host.cgroup import Budget
from lab.density.host.resident import Resident

REMOVERS = 4


class Containers:
    """The engine's image, once a database. Reached by address on a private bridge: no proxy process, no open port."""

    emulated = False

    def __init__(self, ground: Ground, baked: Baked, budget: Budget, name: str = "container") -> None:
        self.name = name
        self.merging = name == "container-ksm"
        self._ground = ground
        self._baked = baked
        self._budget = budget
        self._stack = contextlib.ExitStack()
        self._network: Network | None = None
        self._containers: dict[str, Container] = {}
        self._places: dict[str, Place] = {}
        self._pids: dict[str, int] = {}

    def open(self, most: int) -> None:
        """Make the private network."""
        self._network = self._stack.enter_context(
            self._ground.dockers.network(f"{self.name}-{self._baked.engine.name}")
        )

    def add(self, count: int, together: int) -> list[Start]:
        """Create and start containers."""
        return self.launch(count, together, self._baked.argv())

    def launch(self, count: int, together: int, argv: list[str]) -> list[Start]:
        """Start ``count`` containers that run ``argv``."""
        first = len(self._containers)
        names = [f"{self.name}-{self._baked.engine.name}-{first + i}" for i in range(count)]
        words = [MERGE, *argv] if self.merging else argv

        def start(name: str) -> Callable[[], Place | None]:
            assert self._network is not None
            container = self._ground.dockers.client.containers.create(
                self._baked.tag,
                entrypoint=words,
                name=f"{self._ground.dockers.name}-{name}",
                labels=self._ground.dockers.label,
                network=self._network.name,
                cgroup_parent=self._budget.path,
                log_config=LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"}),
                shm_size="64m",
                ulimits=[Ulimit(name="nofile", soft=FILES, hard=FILES)],
            )
            self._containers[name] = container
            container.start()
            address = self._ground.dockers.address(container)
            self._pids[name] = int(container.attrs["State"]["Pid"])
            return lambda: Place(address, self._baked.engine.port)

        problems = (*PROBLEMS, docker.errors.APIError)
        done = Launch(self._baked, self._ground, problems).all(names, together, start, self._why_dead)
        self._places.update({start.name: place for start, place in done if place})
        return [start for start, _ in done]

    def remove(self, count: int) -> None:
        """Remove the last containers."""
        last = list(self._places)[-count:]
        for name in last:
            del self._places[name], self._pids[name]
        _remove([self._containers.pop(name) for name in last])

    def places(self) -> list[Place]:
        """The containers' addresses."""
        return list(self._places.values())

    def resident(self, *, ask: bool = False) -> Resident:
        """Databases, the shims that hold them, and the Docker daemons (their growth is the containers' cost)."""
        databases = procfs.shares(_trees(self._mains()))
        shims = procfs.shares(self._shims())
        daemons = procfs.shares(_daemons())
        # PostgreSQL's buffers stay when the session that filled them ends, in no process's share
        held = databases.anon + max(databases.shmem, sum(cgroup.shared(pid) for pid in self._mains()))
        parts = {"database": held, "shims": shims.held, "daemons": daemons.held}
        return Resident(parts, databases.file + shims.file + daemons.file)

    def pids(self) -> list[int]:
        """Databases, shims and daemons."""
        return [*_trees(self._mains()), *self._shims(), *_daemons()]

    def dead(self) -> list[str]:
        """Containers that were up and are not."""
        return [f"{name}: {why}" for name in self._places if (why := self._why_dead(name))]

    def close(self) -> None:
        """Remove containers and network."""
        _remove(list(self._containers.values()))
        self._containers.clear()
        self._places.clear()
        self._pids.clear()
        self._stack.close()

    def _mains(self) -> list[int]:
        return [pid for pid in self._pids.values() if procfs.started(pid)]

    def _shims(self) -> list[int]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted({psutil.Process(pid).ppid() for pid in self._mains()} - {0, 1})
        return []

    def _why_dead(self, name: str) -> str | None:
        pid = self._pids.get(name)
        if pid is None or procfs.started(pid):
            return None
        container = self._containers[name]
        container.reload()
        state = container.attrs["State"]
        words = container.logs(tail=3).decode(errors="replace").strip()
        return f"ended with {state['ExitCode']}{', out of memory' if state['OOMKilled'] else ''}: {words}"


def _remove(containers: list[Container]) -> None:
    with ThreadPoolExecutor(REMOVERS) as pool:
        list(pool.map(remove, containers))


def _trees(mains: list[int]) -> list[int]:
    """These processes and all below them; the host's processes are looked through once."""
    below: dict[int, list[int]] = {}
    for one in psutil.process_iter(["ppid"]):
        below.setdefault(one.info["ppid"], []).append(one.pid)
    found: list[int] = []
    todo = list(mains)
    while todo:
        found.append(todo.pop())
        todo += below.get(found[-1], [])
    return found


def _daemons() -> list[int]:
    """This host's Docker daemons; those in containers (a lab's machine, its guests) are others'."""
    found = [p.pid for p in psutil.process_iter(["name"]) if p.info["name"] in ("dockerd", "containerd")]
    return [pid for pid in found if _namespace(pid) == _namespace(os.getpid())]


def _namespace(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        return str((procfs.PROC / str(pid) / "ns" / "pid").readlink())
    return None
