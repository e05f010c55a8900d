"""A machine that was there before the lab, entered over SSH as a user with sudo: to SQL, and as it was afterwards.

It is a container with systemd; what it has of the lab's it gets over SSH alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.containers import client, ownership
from lab.core.home import LABEL, OWNER
from lab.core.job import Job
from lab.core.waits import silent
from lab.host import kernel
from lab.install import dashboard
from lab.install.site import DASHBOARD_PORT
from lab.machine import container, image, network
from lab.machine.contract import Wanted
from tests.e2e.conftest import Lab

NAME, MACHINE = "e2e-given", "e2e-machine"
USER = "ops"
MOST_STAY = 15
"""Packages that came as others' dependencies (e2fsprogs, gawk and theirs), and that apt does not take away again."""
STAYS = ("/root/.cache", "/etc/inputrc")
"""What a program of the cloud, run by root, leaves beside what it was given; what a package that stays has made."""
NEEDED = "dpkg-query -W -f '${Package}\\n' | sort"
UNSEEN = (
    "/proc/*", "/tmp/*", "/run/*", "/var/lib/apt/*", "/var/log/*", "/var/cache/*", "*/__pycache__*",
    "/var/lib/dpkg/*", "/var/lib/ucf/*",
)  # fmt: skip
LIST = " ".join(["find / -xdev", *(f"! -path '{path}'" for path in UNSEEN)])


@dataclass
class Given(Lab):
    """The lab on it; ``address`` is the machine's in its network."""

    name: str = NAME
    address: str = ""

    @property
    def where(self) -> str:
        return f"{USER}@{self.address}"

    def inside(self, script: str) -> set[str]:
        with client.connect() as daemon:
            done = daemon.containers.get(MACHINE).exec_run(["bash", "-c", script])
        output: Any = done.output
        return set(bytes(output).decode().splitlines())


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    folder = tmp_path_factory.mktemp("given")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    base = image.base("trixie", Job(silent, folder / "base.log", 1800, ""))
    network.ensure(MACHINE, MACHINE, MACHINE)
    wanted = Wanted(base, 12, 0, 0, containers=True)
    args = container.create_args(MACHINE, f"{LABEL}={MACHINE}", wanted, kernel.probe())
    args[args.index("--hostname") + 1] = "dbhost"
    about = {"LAB_AUTHORIZED_KEY": public, "LAB_MACHINE": MACHINE, "LAB_CGROUP": MACHINE}
    words = [word for item in about.items() for word in ("--env", "=".join(item))]
    subprocess.run(
        ["docker", "run", "--detach", "--name", MACHINE, "--label", f"{OWNER}={MACHINE}", *args, *words, base],
        check=True, capture_output=True,
    )  # fmt: skip
    agent = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    told = dict(line.split(";")[0].split("=", 1) for line in agent.splitlines() if "=" in line)
    environment = {**os.environ, **told}
    known = Path.home() / ".ssh" / "known_hosts"
    before = known.read_bytes() if known.exists() else None
    lab = Given(environment=environment)
    shutil.rmtree(lab.path, ignore_errors=True)  # a killed run's, of a machine that is gone
    try:
        subprocess.run(["ssh-add", "-q", key], check=True, env=environment)
        with client.connect() as daemon:
            found = daemon.containers.get(MACHINE)
            lab.address = found.attrs["NetworkSettings"]["Networks"][MACHINE]["IPAddress"]
        lab.inside(
            f"useradd -m -s /bin/bash {USER} && mv /root/.ssh /home/{USER}/ && chown -R {USER}: /home/{USER}; "
            f"echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}; echo mine > /etc/default/keystone"
        )
        yield lab
    finally:
        lab.inv("destroy", f"--name={NAME}", "--yes", check=False)
        subprocess.run(["ssh-agent", "-k"], env=environment, check=False, capture_output=True)
        if before is None:
            known.unlink(missing_ok=True)
        else:
            known.write_bytes(before)
        ownership.remove(MACHINE, MACHINE)


def test_what_is_no_machine_for_a_lab_is_told_at_once_and_left_as_it_is(given: Given) -> None:
    refused = given.inv("up", f"--name={NAME}", f"--host={given.where}", check=False)
    assert refused.returncode == 34
    assert "you have not accepted its host key" in refused.stderr
    known = Path.home() / ".ssh" / "known_hosts"
    known.parent.mkdir(mode=0o700, exist_ok=True)
    key = " ".join(given.inside("cat /etc/ssh/ssh_host_ed25519_key.pub").pop().split()[:2])
    with known.open("a") as file:
        file.write(f"{given.address} {key}\n")
    stranger = given.inv("up", f"--name={NAME}", f"--host=nobody@{given.address}", check=False)
    assert stranger.returncode == 34
    assert "takes none of your keys" in stranger.stderr
    assert not given.path.exists()
    assert given.inside("ls -d /var/lib/trove-lab") == {
        "ls: cannot access '/var/lib/trove-lab': No such file or directory"
    }


def test_up_to_sql_and_nobody_else_reaches_the_cloud(given: Given) -> None:
    packages, files = given.inside(NEEDED), given.inside(LIST)
    others = given.inside("cut -d: -f1 /etc/passwd /etc/group")
    given.up(f"--host={given.where}", kill_in="databases")
    given.up("--with=dashboard")
    report = given.ask("status")
    assert report["machine"] == "running"
    assert [one["operating_status"] for one in report["instances"]] == ["HEALTHY"]
    listening = given.inside("ss -ltnH '( not src 127.0.0.0/8 and not src [::1] )' | awk '{ print $4 }'")
    ports = {one.rpartition(":")[2] for one in listening}
    assert {"5000", "5672", "8779", str(DASHBOARD_PORT)} <= ports
    reached = {port for port in ports if _answers(given.address, port)}
    assert reached == {"22"}
    asked = given.inv("destroy", f"--name={NAME}", check=False)
    assert asked.returncode == 51
    assert given.where in asked.stderr
    given.inv("destroy", f"--name={NAME}", "--yes", timeout=900)
    assert not given.path.exists()
    log = given.inside("cat /etc/default/keystone")
    assert log == {"mine"}
    stay = given.inside(NEEDED) - packages
    theirs = given.inside(f"dpkg-query -L {' '.join(stay)}") if stay else set()
    left = {path for path in given.inside(LIST) - files if not path.startswith(STAYS)} - theirs
    assert not [path for path in sorted(left) if "e2scrub" not in path]
    assert not sorted(files - given.inside(LIST))
    assert len(stay) <= MOST_STAY, stay
    assert not stay & set(dashboard.PACKAGES)
    assert not stay & set((image.PACKAGES.directory / "packages").read_text().split())
    assert given.inside("cut -d: -f1 /etc/passwd /etc/group") == others
    assert given.inside("cat /home/ops/.ssh/authorized_keys | wc -l") == {"1"}
    assert given.inside("ip -br link | awk '{ sub(/@.*/, \"\", $1); print $1 }'") == {"lo", "eth0"}


def _answers(host: str, port: str) -> bool:
    return subprocess.run(
        ["timeout", "2", "bash", "-c", f"< /dev/tcp/{host}/{port}"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
