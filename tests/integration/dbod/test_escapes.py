"""Attempts to leave an instance, with what its administrator can get to: code that runs as its server's user.

Each is made, then the host does its own work over that folder as root (backup, restore to a time, clone, another
configuration, stop and start, destroy). A file and a folder of the host's are watched meanwhile: nobody reads the one
or writes into the other.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.containers import client
from lab.core import process
from lab.core.errors import LabError
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.provider import DockerHost

from .hosts import do, now, tabled

pytestmark = pytest.mark.integration

REACHES = {
    "another root by /proc": "cat /proc/1/root/{canary}",
    "files of the host": "cat {canary}",
    "its own folder": "echo x > /srv/x",
    "its configuration": "echo x >> /srv/server.cnf",
    "the link to its log": "ln -sfn {trap} /srv/log",
    "its data's name": "mv /srv/data /srv/other",
    "a hard link to what is ours": "ln /srv/server.cnf /srv/data/linked",
    "a device": "mknod /srv/data/disk b 254 0",
    "Docker": "ls /var/run/docker.sock /run/docker.sock",
    "the kernel's core pattern": "echo '|{trap}/x' > /proc/sys/kernel/core_pattern",
    "the kernel's keys": "echo b > /proc/sysrq-trigger",
    "a cgroup's agent": "for f in /sys/fs/cgroup/*/release_agent; do echo {trap}/x > $f && exit 0; done; exit 1",
    "a control group": "for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x && exit 0; done; exit 1",
    "root": "chown 0:0 /srv/data",
    "root by a set bit": "cp /bin/sh /srv/data/sh && chmod 4755 /srv/data/sh && /srv/data/sh -pc '[ $(id -u) = 0 ]'",
    "others' processes": "set -- /proc/[0-9]*; test $# -gt 40",
    "programs of the image": "echo x > /usr/bin/x",
    "programs in /tmp": "cp /bin/true /tmp/true && /tmp/true",
}
"""What must fail, by what it reaches for."""


TRAPS = {
    "in its data": "for n in x recovery.signal standby.signal postgresql.auto.conf.tmp recovery.signal.part "
    "dbod-relay.index dbod-relay.000001 dbod-relay.000001.part; do ln -sfn {trap}/$n /srv/data/$n; done; "
    "mkfifo /srv/data/pipe; touch -- /srv/data/--help; cp /bin/sh /srv/data/sh; chmod 6755 /srv/data/sh; "
    "ln -sfn {trap} /srv/tmp/x; cd /srv/tmp; for n in $(seq 300); do mkdir d && cd d; done",
    "in its log": "for n in 1 2 3; do ln -sfn {trap}/$n /srv/log/binlog.00009$n; "
    "ln -sfn {trap}/$n /srv/log/00000001000000000000009$n; done; "
    "mkfifo /srv/log/pipe; touch -- /srv/log/-rf '/srv/log/a b' '/srv/log/*'",
    "a file of the host's for a log": "ln -sfn {canary} /srv/log/000000010000000000000001.partial; "
    "ln -sfn {canary} /srv/log/000000010000000000000009; ln -sfn {canary} /srv/log/binlog.000099",
}
"""What is planted, to lie in wait for root."""
WORK: tuple[tuple[Operation, dict[str, Any]], ...] = (
    (Operation.BACKUP, {}),
    (Operation.CLONE, {"target": "esc_copy"}),
    (Operation.RESTORE, {}),
    (Operation.CONFIG_PUT, {"settings": {"max_connections": "90"}}),
    (Operation.STOP, {}),
    (Operation.START, {}),
)
READ = "cat /srv/data/* /srv/log/* /srv/tmp/* 2>/dev/null & sleep 1; kill $!"


@dataclass(frozen=True)
class Watched:
    """``canary``: a file that only root reads, with a word that is nowhere else; ``trap``: an empty, open folder."""

    canary: Path
    trap: Path
    word: str

    def untouched(self) -> bool:
        plain = self.canary.read_text() == self.word and self.canary.stat().st_mode & 0o7777 == 0o600
        return plain and self.canary.stat().st_uid == 0 and list(self.trap.iterdir()) == []


@pytest.fixture(scope="module", params=list(engines.ALL))
def name(request: pytest.FixtureRequest, host: DockerHost) -> str:
    return tabled(host, f"esc_{request.param}", request.param)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    folders = [tmp_path, *tmp_path.parents]
    found = Watched(tmp_path / "canary", tmp_path / "trap", secrets.token_hex(8))
    found.canary.write_text(found.word)
    found.canary.chmod(0o600)
    found.trap.mkdir()
    with contextlib.ExitStack() as modes:
        for folder in folders[: folders.index(Path("/tmp"))] if Path("/tmp") in folders else []:
            modes.callback(folder.chmod, folder.stat().st_mode & 0o7777)
            folder.chmod(0o755)
        found.trap.chmod(0o777)
        yield found
    assert found.untouched()


def run(host: DockerHost, name: str, script: str, watched: Watched) -> tuple[int, str]:
    """A shell's exit code and output, as the server's user in its container."""
    with client.connect() as daemon:
        container = daemon.containers.get(host.servers._container(name))
        script = script.replace("{canary}", str(watched.canary)).replace("{trap}", str(watched.trap))
        done = container.exec_run(["timeout", "20", "sh", "-c", script])
    output: Any = done.output
    return done.exit_code or 0, bytes(output).decode(errors="replace")


@pytest.mark.parametrize("what", list(REACHES))
def test_what_its_administrator_reaches_for(host: DockerHost, name: str, what: str, watched: Watched) -> None:
    code, output = run(host, name, REACHES[what], watched)
    assert code not in {0, 127}, output  # 127: it was not tried
    assert watched.word not in output
    assert host.instance(name).answers()


@pytest.mark.parametrize("what", list(TRAPS))
@pytest.mark.parametrize("engine", list(engines.ALL))
def test_what_lies_in_wait_for_root(host: DockerHost, engine: str, what: str, watched: Watched) -> None:
    name = "esc_trap"
    try:
        with host.session(tabled(host, name, engine)) as session:
            session.execute("INSERT INTO app.t VALUES (1)")
        first = do(host, Operation.BACKUP, name).value["id"]
        with host.session(name) as session:
            session.execute("INSERT INTO app.t VALUES (2)")
        code, output = run(host, name, TRAPS[what], watched)
        assert code == 0, output
        for operation, given in WORK:
            words = {"time": now()} if operation is Operation.RESTORE else given
            with contextlib.suppress(LabError):  # what it finds may be refused
                jobs.perform(host, Request(operation, name, **words))
            assert watched.untouched(), operation
        if host.records.find("esc_copy"):
            code, output = run(host, "esc_copy", READ, watched)
            assert watched.word not in output
        do(host, Operation.RESTORE, name, backup=first)
        with host.session(name) as session:
            assert session.execute("SELECT id FROM app.t") == [(1,)]
    finally:
        for one in host.records.names():
            if one in {name, "esc_copy"}:
                do(host, Operation.DESTROY, one)


def test_the_kernel_gives_it_no_right(host: DockerHost, name: str, watched: Watched) -> None:
    """Mounts, namespaces, devices, other users: each wants a right, a set bit, or a call that is let through."""
    code, output = run(host, name, "cat /proc/self/status", watched)
    assert code == 0, output
    told = dict(line.split(":\t", 1) for line in output.splitlines() if ":\t" in line)
    rights = {key: int(told[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert rights == dict.fromkeys(rights, 0)
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")
    assert set(told["Uid"].split()) == {"1001"}


def test_it_goes_with_its_instance(host: DockerHost, watched: Watched) -> None:
    do(host, Operation.CREATE, "esc_gone", engine="postgresql")
    code, output = run(host, "esc_gone", "ln -s {trap} /srv/data/link; ln -s {trap} /srv/tmp/link; "
                       "ln -s {canary} /srv/log/link; mkfifo /srv/tmp/pipe", watched)  # fmt: skip
    assert code == 0, output
    do(host, Operation.DESTROY, "esc_gone")
    assert watched.trap.is_dir()
    assert process.run("ls", host.store.path, check=False).stdout.split().count("esc_gone") == 0
