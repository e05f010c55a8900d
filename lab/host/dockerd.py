"""A Docker engine started where no init does it, and stopped again with what it leaves; never another's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil

from lab.containers import client, ownership
from lab.core import process, waits
from lab.core.errors import DockerUnusable
from lab.core.home import cache
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.host import firewall, kernel

PID_FILE = Path("/run/docker.pid")


def start(note: Note, allowed: bool = True, before: dict[str, str] | None = None) -> None:
    """See to it that a Docker engine answers: by the init where one runs, else as a process that outlives us.

    ``before`` is ``firewall.facts()`` from when no engine ran, None if one did. Raises: DockerUnusable, MissingTools.
    """
    why = client.usable()
    if why is None:
        if before is not None and running() and not Path("/run/systemd/system").exists():
            _remember_engine(before)  # the package's own script started it just now
        return
    if os.environ.get("DOCKER_HOST"):
        raise DockerUnusable(why, "DOCKER_HOST names the engine to use; mend or unset it.")
    if not allowed:
        raise DockerUnusable(why, "Start it, and let this user use its socket: sudo systemctl start docker")
    if running() is None:
        if Path("/run/systemd/system").exists():
            note("starting Docker: systemctl start docker")
            process.run(*process.as_root("systemctl", "start", "docker"))
        else:
            log = cache() / "dockerd.log"
            note(f"no init runs here; starting dockerd ourselves (log: {log})")
            before = before or firewall.facts()
            # of an engine that was killed: dockerd refuses to start when some other process has that number now
            process.run(*process.as_root("rm", "-f", PID_FILE))
            process.spawn(*process.as_root("dockerd"), log=log, outlives_us=True)
            waits.until("dockerd's process file", running, seconds=60, every=0.2, log=log)
            _remember_engine(before)
    waits.until("the Docker engine", _reachable, seconds=60, every=0.5)


def stop(note: Note) -> bool:
    """Stop the dockerd that the lab started and take away what it leaves; never another's, nor one that others use.

    Gives whether there was one to stop.
    """
    record = cache() / "engine.json"
    try:
        ours = json.loads(record.read_text(encoding="utf-8"))
        found = psutil.Process(int(ours["pid"]))
        same = found.create_time() == ours["began"] and found.name() == "dockerd"
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        same = False
    if not same:
        record.unlink(missing_ok=True)
        return False
    if ownership.strangers():
        return False
    note("stopping the Docker engine that the lab started")
    process.run(*process.as_root("kill", str(ours["pid"])))
    waits.until("dockerd to end", lambda: not _alive(ours["pid"]), seconds=60)
    firewall.restore(ours.get("network", {}))
    record.unlink()
    return True


def _reachable() -> bool:
    """Whether the engine answers us; a user with sudo gets the right to its socket (until the engine restarts)."""
    if client.usable() is None:
        return True
    socket = Path("/run/docker.sock")
    if os.geteuid() != 0 and socket.exists() and not os.access(socket, os.W_OK):
        process.run(*process.as_root("setfacl", "-m", f"u:{os.geteuid()}:rw", socket), check=False)
    return False


def running() -> int | None:
    """The process of the local engine, whoever started it."""
    pid = kernel.read(PID_FILE).strip()
    return int(pid) if pid.isdigit() and _alive(int(pid)) else None


def _alive(pid: int) -> bool:
    try:
        found = psutil.Process(pid)
        return found.name() == "dockerd" and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _remember_engine(network: dict[str, str]) -> None:
    """Record the engine as started by the lab; ``network`` is what it changes there, as it was before."""
    pid = running()
    if pid is not None:
        facts = {"pid": pid, "began": psutil.Process(pid).create_time(), "network": network}
        write_atomically(cache() / "engine.json", json.dumps(facts))
