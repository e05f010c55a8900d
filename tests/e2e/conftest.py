"""One real lab for all end-to-end tests, made by the commands that a user types, and killed on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.killed import nothing_of_a_killed_run  # noqa: F401 - a fixture of every test here

ROOT = Path(__file__).resolve().parents[2]
NAME = "e2e"
TAG = re.compile(rf":(lab-)?{NAME}(-[0-9a-f]+)?$")
"""Of an image that this lab claims or was committed to: not one of a lab whose name begins the same."""
UP_SECONDS = 2400
KILL_IN = ("machine", "configure", "upload")
"""``up`` is killed with -9 while each of these steps is under way."""


@dataclass
class Lab:
    """The lab as its user sees it: commands, exit codes, output."""

    name: str = NAME
    before: tuple[str, ...] = ()
    """Words before each command (another network namespace, say)."""
    environment: Mapping[str, str] | None = None

    def inv(self, *words: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.before, ROOT / "inv", *words],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"./inv {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done

    def ask(self, *words: str) -> Any:
        return json.loads(self.inv(*words, f"--name={self.name}", "--json").stdout)

    @property
    def path(self) -> Path:
        return ROOT / ".lab" / self.name

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.path / "state.json").read_text())["facts"])

    def up(self, *flags: str, kill_in: str | None = None, kill_after: float = 2.0) -> list[dict[str, Any]]:
        """``./inv up``; its events. With ``kill_in`` the client dies by SIGKILL so many seconds into that step."""
        child = subprocess.Popen(
            [*self.before, ROOT / "inv", "up", f"--name={self.name}", "--events", *flags],
            cwd=ROOT,
            env=self.environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert child.stderr is not None
        events: list[dict[str, Any]] = []
        talk: list[str] = []
        guard = threading.Timer(UP_SECONDS, child.kill)
        guard.start()
        for line in child.stderr:
            if not line.startswith("{"):
                talk.append(line)
                continue
            events.append(json.loads(line))
            if kill_in and events[-1]["event"] == "started" and events[-1]["step"] == kill_in:
                time.sleep(kill_after)
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                guard.cancel()
                return events
        guard.cancel()
        assert child.wait() == 0, "".join(talk[-20:])
        assert kill_in is None, f"{kill_in} never began"
        return events


def host() -> dict[str, set[str]]:
    """What a lab could leave behind on this host."""

    # an engine that the lab itself had started is gone with the last lab
    engine = subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0

    def lines(*words: str) -> set[str]:
        if words[0] == "docker" and not engine:
            return set()
        return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines())

    label = f"label=trove-lab={NAME}"
    return {
        "containers": lines("docker", "ps", "-aq", "--filter", label),
        "images": {t for t in lines("docker", "images", "--format", "{{.Repository}}:{{.Tag}}") if TAG.search(t)},
        "networks": lines("docker", "network", "ls", "-q", "--filter", label),
        "volumes": lines("docker", "volume", "ls", "-q", "--filter", label),
        "interfaces": {p.name for p in Path("/sys/class/net").iterdir() if not p.name.startswith("veth")},
        "iptables": {r for r in lines("iptables-save") if r.startswith("-A") and "docker0" not in r},
        "processes": {p for p in lines("ps", "axo", "args") if f".lab/{NAME}/" in p and "pytest" not in p},
    }


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The running lab with its MariaDB database."""
    lab = Lab()
    lab.inv("destroy", f"--name={NAME}", check=False)  # its warm image too, else there is little to kill
    for step in KILL_IN:
        lab.up(kill_in=step)
    lab.up()
    yield lab
    lab.inv("destroy", f"--name={NAME}", "--keep-cache", check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the real lab."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
