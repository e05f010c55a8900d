"""What a run made, written down before it is made: the next start removes what a killed run left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import docker.errors
import psutil

from lab.core import waits
from lab.core.home import LABEL
from lab.core.state import write_atomically
from lab.density.dockers import PREFIX, Dockers, remove
from lab.density.folder import folder
from lab.density.host import cgroup, ksm, procfs

SECONDS = 20.0


class Journal:
    """One run's list of processes, folders and cgroups, in a folder of its own under the cache."""

    def __init__(self, run_id: str, root: Path | None = None) -> None:
        self.folder = (root or folder() / "runs") / run_id
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = self.folder / "journal.json"
        self.data: dict[str, Any] = {"processes": [], "folders": [], "cgroups": [], "ksm": {}}
        self.data["owner"] = [os.getpid(), procfs.started(os.getpid())]
        self._save()

    def process(self, pid: int) -> None:
        """A process of ours, by pid and start time: a pid alone may be somebody else's later."""
        self.data["processes"].append([pid, procfs.started(pid)])
        self._save()

    def path(self, path: Path) -> None:
        """A folder of ours outside the run's own."""
        self.data["folders"].append(str(path))
        self._save()

    def cgroup(self, name: str) -> None:
        """A memory cgroup of ours."""
        if name not in self.data["cgroups"]:
            self.data["cgroups"].append(name)
            self._save()

    def ksm(self, before: dict[str, str]) -> None:
        """KSM's settings as they were found."""
        self.data["ksm"] = before
        self._save()

    def close(self) -> None:
        """Everything was removed."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self) -> None:
        write_atomically(self._path, json.dumps(self.data), 0o600)


def sweep(dockers: Dockers, root: Path | None = None) -> list[str]:
    """Remove what runs left whose process is gone; returns what was removed, in words."""
    removed: list[str] = []
    alive: set[str] = set()
    for path in sorted((root or folder() / "runs").glob("*/journal.json")):
        data = json.loads(path.read_text())
        if _is(data["owner"]):
            alive.add(path.parent.name)
            continue
        data["processes"] += [[pid, procfs.started(pid)] for pid in _machines(path.parent)]
        removed += _undo(data, dockers)
        shutil.rmtree(path.parent, ignore_errors=True)
    return removed + _containers(dockers, alive)


def sweep_host() -> list[str]:
    """Remove what ended runs left on this host; words as ``sweep`` gives them. Raises: DockerUnusable."""
    return sweep(Dockers("destroy"))


def clean(journal: Journal, dockers: Dockers) -> None:
    """Remove whatever this run still has, however it ended."""
    journal.path(journal.folder)
    _undo(journal.data | {"processes": [[pid, procfs.started(pid)] for pid in _machines(journal.folder)]}, dockers)
    _containers(dockers, _alive() - {journal.folder.name})
    journal.close()


def _alive() -> set[str]:
    """Runs whose process is there."""
    found = folder().glob("runs/*/journal.json")
    return {path.parent.name for path in found if _is(json.loads(path.read_text())["owner"])}


def _undo(data: dict[str, Any], dockers: Dockers) -> list[str]:
    removed = []
    for identity in data["processes"]:
        if _is(identity):
            _kill(identity)
            removed.append(f"process {identity[0]}")
    for name in data["folders"]:
        shutil.rmtree(name, ignore_errors=True)
    for name in data["cgroups"]:
        cgroup.Budget(name, systemd=dockers.systemd).close()
    if data["ksm"]:
        ksm.restore(data["ksm"])
    return removed


def _machines(path: Path) -> list[int]:
    """Processes whose command line names the run's folder: one that was started but not yet written down."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(path) in " ".join(p.info["cmdline"] or ())]


def _containers(dockers: Dockers, alive: set[str]) -> list[str]:
    removed = []
    ours: dict[str, str | list[str] | bool] = {"label": LABEL}
    for container in dockers.client.containers.list(all=True, filters=ours):
        label = container.labels.get(LABEL, "")
        if label.startswith(PREFIX) and label.removeprefix(PREFIX) not in alive:
            remove(container)
            removed.append(f"container {container.name}")
    for network in dockers.client.networks.list(filters=ours):
        label = network.attrs["Labels"].get(LABEL, "")
        if label.startswith(PREFIX) and label.removeprefix(PREFIX) not in alive:
            with contextlib.suppress(docker.errors.NotFound):
                network.remove()
            removed.append(f"network {network.name}")
    return removed


def _kill(identity: list[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity[0], signal.SIGKILL)
    waits.until("a left process to end", lambda: not _is(identity), seconds=SECONDS, every=0.1)


def _is(identity: list[Any]) -> bool:
    pid, begun = identity
    now = procfs.started(pid)
    return now is not None and now == begun and not _zombie(pid)


def _zombie(pid: int) -> bool:
    try:
        return (procfs.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
