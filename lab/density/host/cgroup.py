"""One parent memory cgroup for all instances of an arm: the budget, enforced. Version 1 and 2."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from lab.core import waits
from lab.density.host.procfs import PROC

ROOT = Path("/sys/fs/cgroup")
SECONDS = 20.0


def version(root: Path = ROOT) -> int:
    """2 if the memory controller is in the unified hierarchy, else 1: a mounted but empty v2 is not v2."""
    controllers = root / "cgroup.controllers"
    return 2 if controllers.exists() and "memory" in controllers.read_text().split() else 1


def shared(pid: int, root: Path = ROOT, proc: Path = PROC) -> int:
    """Bytes of shared memory charged to the process's cgroup, mapped by a process or not; 0 if it is gone."""
    old = version(root) == 1
    try:
        rows = [line.split(":", 2) for line in (proc / str(pid) / "cgroup").read_text().splitlines()]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    place = next((path for _, kind, path in rows if ("memory" in kind.split(",") if old else not kind)), "")
    base = root / "memory" if old else root
    return _pairs(base / place.lstrip("/") / "memory.stat").get("total_shmem" if old else "shmem", 0)


@dataclass(frozen=True)
class Usage:
    """What a cgroup is charged with, in bytes, and what happened in it since it was made.

    ``working`` is usage minus inactive file pages; ``kernel`` is slab, stacks, page tables and sockets.
    """

    current: int
    peak: int
    working: int
    kernel: int
    oom_kills: int


class Budget:
    """A parent cgroup. ``path`` is what Docker's ``cgroup_parent`` wants; processes of ours join ``procs``."""

    def __init__(self, name: str, *, systemd: bool, root: Path = ROOT) -> None:
        self.version = version(root)
        # Docker's systemd driver takes a slice; a dash in its name would mean a nested one
        self.path = f"{name.replace('-', '_')}.slice" if systemd else f"/{name}"
        self._root = root
        base = root / "memory" if self.version == 1 else root
        self._folder = base / self.path.lstrip("/")

    def open(self, limit: int | None) -> None:
        """Make it, with ``limit`` bytes (None: no limit) for everything in it, swap included."""
        self._folder.mkdir(exist_ok=True)
        if self.version == 1:
            (self._folder / "memory.use_hierarchy").write_text("1")
        else:
            with contextlib.suppress(FileNotFoundError):
                (self._root / "cgroup.subtree_control").write_text("+memory")
            (self._folder / "cgroup.subtree_control").write_text("+memory")
        self.resize(limit)
        self._machines.mkdir(exist_ok=True)

    def resize(self, limit: int | None) -> bool:
        """Another limit; False if more than that is in use and cannot go (version 2 kills instead, and counts it)."""
        if self.version == 2:
            self._write("memory.max", str(limit or "max"))
            with contextlib.suppress(FileNotFoundError):
                self._write("memory.swap.max", "0" if limit else "max")
            return True
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        # the first must not be above the second at any moment: one order is right for more, the other for less
        for order in (names, reversed(names)):
            try:
                for name in order:
                    with contextlib.suppress(FileNotFoundError):
                        self._write(name, str(limit or -1))
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EBUSY):
                    raise
            else:
                return True
        return False

    @property
    def _machines(self) -> Path:
        # v2 allows no processes beside child groups
        return self._folder / "machines"

    @property
    def procs(self) -> Path:
        """The file that a process of ours writes its pid to."""
        return self._machines / "cgroup.procs"

    def usage(self) -> Usage:
        """What is charged now."""
        if self.version == 1:
            stat = _pairs(self._folder / "memory.stat")
            current = self._int("memory.usage_in_bytes")
            return Usage(
                current,
                self._int("memory.max_usage_in_bytes"),
                current - stat.get("total_inactive_file", 0),
                self._int("memory.kmem.usage_in_bytes"),
                sum(_pairs(p / "memory.oom_control").get("oom_kill", 0) for p in self._tree()),
            )
        stat = _pairs(self._folder / "memory.stat")
        current = self._int("memory.current")
        return Usage(
            current,
            self._int("memory.peak"),
            current - stat.get("inactive_file", 0),
            stat.get("kernel", 0),
            _pairs(self._folder / "memory.events").get("oom_kill", 0),
        )

    def close(self) -> None:
        """End whatever is in it and remove it, children first."""
        if not self._folder.exists():
            return
        waits.until("the cgroup to be empty", self._remove, seconds=SECONDS, every=0.2)

    def _remove(self) -> bool:
        for folder in reversed(self._tree()):
            for pid in _pids(folder / "cgroup.procs"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not self._folder.exists()

    def _tree(self) -> list[Path]:
        """Itself and every group below, parents first; Docker takes its own away meanwhile, which os.walk bears."""
        return [Path(name) for name, _, _ in os.walk(self._folder)]

    def _write(self, name: str, value: str) -> None:
        path = self._folder / name
        if not path.exists():
            raise FileNotFoundError(path)
        path.write_text(value)

    def _int(self, name: str) -> int:
        try:
            return int((self._folder / name).read_text())
        except OSError:
            return 0


def _pairs(path: Path) -> dict[str, int]:
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:  # not there, or gone while it was read (ENODEV)
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _pids(path: Path) -> list[int]:
    try:
        return [int(line) for line in path.read_text().split()]
    except OSError:
        return []
