"""A lab by DevStack where nothing answers: ``LAB_GIT_MIRROR=DIR`` (what ./inv mirror sync and keep made).

A network namespace without a route out, a Docker engine of its own in it, an empty cache: the mirror's folder is all
that there is. About a quarter of an hour on two cores. ``LAB_RELEASE`` and ``LAB_DISTRO`` name another release.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.config.settings import LabSpec
from lab.core import waits
from lab.install.devstack import kept
from tests.e2e.conftest import Lab

NAME = "e2e-off"
ASKED = {"release": os.environ.get("LAB_RELEASE", "2026.1"), "distro": os.environ.get("LAB_DISTRO", "debian13")}
CONNECT = "timeout 5 bash -c '</dev/tcp/{}/{}'"


@dataclass
class Island:
    """A network namespace that has loopback and what Docker makes there; ``environment`` is for commands in it."""

    engine: subprocess.Popen[bytes]
    environment: dict[str, str]

    @property
    def words(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self.engine.pid}/ns/net")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.words, *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture(scope="module")
def mirror() -> Path:
    """The mirror's folder, with everything in it."""
    folder = Path(os.environ.get("LAB_GIT_MIRROR", ""))
    spec = LabSpec(release=ASKED["release"], distro=ASKED["distro"], hypervisor="docker")
    if not os.environ.get("LAB_GIT_MIRROR") or kept.read(kept.folder(folder, spec)) is None:
        pytest.skip("no mirror with wheels and images at hand: set LAB_GIT_MIRROR to what ./inv mirror keep made")
    if os.geteuid():
        pytest.skip("a network namespace with an engine in it takes root")
    return folder


@pytest.fixture(scope="module")
def island(mirror: Path) -> Iterator[Island]:
    # not in /tmp, which is small on many hosts
    folder = Path(tempfile.mkdtemp(prefix="trove-lab-offline-", dir="/var/tmp"))
    (folder / "cache").mkdir()
    listen = f"unix://{folder}/docker.sock"
    own = [f"--data-root={folder}/data", f"--exec-root={folder}/run", f"--pidfile={folder}/docker.pid"]
    with (folder / "dockerd.log").open("w") as log:
        start = ("sh", "-c", 'ip link set lo up && exec dockerd "$@"', "sh")
        engine = subprocess.Popen(
            ["unshare", "--net", *start, f"--host={listen}", *own],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    # of its own as well: with the island's last lab destroy removes what labs share
    own_files = {"XDG_CACHE_HOME": str(folder / "cache"), "VAGRANT_HOME": str(folder / "vagrant")}
    made = Island(engine, {**os.environ, "DOCKER_HOST": listen, **own_files})
    try:
        waits.until(
            "the engine", lambda: made.run("docker", "info").returncode == 0, seconds=60, setting="-",
            log=folder / "dockerd.log",
        )  # fmt: skip
        yield made
    finally:
        engine.terminate()
        engine.wait(60)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def lab(island: Island, mirror: Path) -> Iterator[Lab]:
    lab = Lab(NAME, island.words, island.environment)
    lab.inv("destroy", f"--name={NAME}", check=False)
    asked = [f"--{key}={value}" for key, value in ASKED.items()]
    lab.up("--installer=devstack", "--hypervisor=docker", f"--mirror={mirror}", *asked)
    yield lab
    lab.inv("destroy", f"--name={NAME}", check=False)


@pytest.fixture
def outside() -> Iterator[list[str]]:
    """Commands that connect to a server of this host, by each of its addresses."""
    said = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout
    addresses = [address for address in said.split() if ":" not in address]
    with socket.create_server(("0.0.0.0", 0), backlog=50) as server:
        commands = [CONNECT.format(address, server.getsockname()[1]) for address in addresses]
        for command in commands:
            subprocess.run(["sh", "-c", command], check=True)
        yield commands


def test_there_is_no_way_out(island: Island, outside: list[str]) -> None:
    assert "default" not in island.run("ip", "route").stdout
    assert "default" not in island.run("ip", "-6", "route").stdout
    assert outside
    for command in outside:
        assert island.run("sh", "-c", command).returncode != 0, command


def test_it_ends_with_a_database(lab: Lab) -> None:
    status = lab.ask("status")
    (instance,) = status["instances"]
    assert instance["status"] in {"ACTIVE", "HEALTHY"}
    assert set(status["agents"].values()) == {"up"}


def test_the_machine_has_no_way_out_either(lab: Lab, outside: list[str]) -> None:
    assert lab.inv("ssh", f"--name={NAME}", "--command=cat /etc/pip.conf").stdout.startswith("[global]\nno-index")
    for command in outside:
        assert lab.inv("ssh", f"--name={NAME}", f"--command={command}", check=False).returncode != 0, command


def test_up_again_changes_nothing(lab: Lab) -> None:
    assert {e["status"] for e in lab.up() if e["event"] == "finished"} == {"kept"}
