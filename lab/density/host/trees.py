"""Whose a process is: a lab's machine is a container, so this host's /proc shows its services and its guests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psutil

DATABASE, AGENT, DOCKER, SHIMS, SYSTEM = "database", "agent", "guest_docker", "shims", "guest_system"
"""Parts of a Trove guest: the server, Trove's agent, the guest's own Docker, its shims, systemd and the rest."""
QEMU = "qemu"
_SHIM = "containerd-shim"
_DOCKER = ("dockerd", "containerd", "docker-proxy")
_DAEMONS = ("dockerd", "containerd")
_MACHINE = re.compile(r"-uuid (\S+)")
_CONTAINER = re.compile(r"-id (\S+)")


@dataclass(frozen=True)
class Process:
    """One line of a process table; ``command`` is its arguments with spaces between."""

    pid: int
    ppid: int
    name: str
    command: str


@dataclass(frozen=True)
class Tree:
    """A lab's machine: ``guests`` by id and part, its Docker ``daemons``, the ``cloud``'s services; process ids."""

    guests: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    daemons: list[int] = field(default_factory=list)
    cloud: list[int] = field(default_factory=list)


def here() -> list[Process]:
    """Every process of this host."""
    found = []
    for one in psutil.process_iter(["ppid", "name", "cmdline"]):
        info = one.info
        found.append(Process(one.pid, info["ppid"] or 0, info["name"] or "", " ".join(info["cmdline"] or ())))
    return found


def machine(processes: Iterable[Process], init: int) -> Tree:
    """The machine whose PID 1 is ``init`` here; a guest is a QEMU or a container, with all that runs below."""
    tree, below = Tree(), _below(processes)
    todo = [one for ones in below.values() for one in ones if one.pid == init]
    while todo:
        one = todo.pop()
        if one.name.startswith("qemu-system") and (known := _MACHINE.search(one.command)):
            tree.guests[known[1]] = {QEMU: [one.pid]}
            continue
        if one.name.startswith(_SHIM) and (known := _CONTAINER.search(one.command)):
            parts = guest(below.get(one.pid, ()), below)
            parts.setdefault(SHIMS, []).append(one.pid)
            tree.guests[known[1]] = parts
            continue
        (tree.daemons if one.name in _DAEMONS else tree.cloud).append(one.pid)
        todo += below.get(one.pid, ())
    return tree


def inside(processes: Sequence[Process]) -> dict[str, list[int]]:
    """The parts of a guest from its own process table."""
    below = _below(processes)
    return guest(below.get(0, ()), below)


def guest(roots: Iterable[Process], below: dict[int, list[Process]]) -> dict[str, list[int]]:
    """Part to processes, of a guest whose first processes are ``roots``."""
    parts: dict[str, list[int]] = defaultdict(list)
    todo = [(one, SYSTEM) for one in roots]
    while todo:
        one, inherited = todo.pop()
        part = next_part = inherited
        if inherited == DATABASE:
            pass
        elif one.name.startswith(_SHIM):
            part, next_part = SHIMS, DATABASE
        elif one.name in _DOCKER:
            part = next_part = DOCKER
        elif "trove-guestagent" in one.command:
            part = next_part = AGENT
        parts[part].append(one.pid)
        todo += [(child, next_part) for child in below.get(one.pid, ())]
    return dict(parts)


def _below(processes: Iterable[Process]) -> dict[int, list[Process]]:
    found: dict[int, list[Process]] = defaultdict(list)
    for one in processes:
        found[one.ppid].append(one)
    return found
