"""What breaks on a container host."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from typing import cast

from lab.core import process, waits
from lab.core.errors import CheckFailed, LabError, Missing
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.dockerhost.storage import BTRFS
from lab.dbod.evaluation.faults import Fault, Watch
from lab.dbod.evaluation.trial import Trial
from lab.engines import sql

HOST = "docker-host"
SECONDS = 20.0
FILL = """
touch "$1"
for step in 1G 64M 4M; do
    while fallocate --offset "$(stat --format=%s "$1")" --length $step "$1" 2>/dev/null; do :; done
done
"""
"""Reserve all room of a file system in the file $1: nothing is written to the disk below it."""


def _host(trial: Trial) -> DockerHost:
    return cast(DockerHost, trial.provider)


@contextlib.contextmanager
def container_killed(trial: Trial, watch: Watch) -> Iterator[None]:
    """SIGKILL, as the kernel does it when memory is short."""
    _host(trial).servers.kill(trial.name)
    yield


@contextlib.contextmanager
def backup_killed(trial: Trial, watch: Watch) -> Iterator[None]:
    """A child of ours makes the backup and dies as soon as its folder is there; the next backup must restore."""
    host = _host(trial)
    folder = host.instance(trial.name).backups
    before = set(folder.glob("*"))
    child = multiprocessing.get_context("fork").Process(
        target=jobs.perform, args=(host, Request(Operation.BACKUP, trial.name))
    )
    child.start()
    try:
        waits.until("the backup to begin", lambda: set(folder.glob("*")) - before or not child.is_alive(),
                    seconds=SECONDS, every=0.001)  # fmt: skip
    finally:
        child.kill()
        child.join()
    if child.exitcode != -signal.SIGKILL:
        raise CheckFailed("a kill in the middle of a backup", "the backup had ended")
    watch.evidence.append(f"killed; {len(trial.do(Operation.BACKUPS))} backups are in the list")
    yield
    trial.do(Operation.RESTORE, backup=trial.do(Operation.BACKUP)["id"])
    watch.evidence.append("the next backup was made and restored")


@contextlib.contextmanager
def store_full(trial: Trial, watch: Watch) -> Iterator[None]:
    """Room is reserved until none is left, and given back; only in a store of our own, never on the host's disk."""
    store = _host(trial).store
    if store.kind != BTRFS:
        raise Missing(HOST, "a full store", "not tried: the store is the host's own file system")
    filler = store.path / "filler"
    try:
        process.run("bash", "-c", FILL, "fill", filler, timeout=SECONDS)
        watch.user = refused(trial)
        yield
    finally:
        filler.unlink(missing_ok=True)


def refused(trial: Trial) -> str:
    """What a user is told who writes 64 MiB. Raises: CheckFailed (they were taken: nothing is full)."""
    name, mariadb = f"{trial.name}.filled", trial.engine == "mariadb"
    statements = [f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, data {'LONGTEXT' if mariadb else 'TEXT'})"]
    if not mariadb:  # else it is compressed to nothing
        statements.append(f"ALTER TABLE {name} ALTER data SET STORAGE EXTERNAL")
    statements += [f"INSERT INTO {name} SELECT {number}, repeat('x', 4194304)" for number in range(16)]
    try:
        for statement in statements:
            with trial.provider.session(trial.name) as session:
                session.execute(statement)
    except (LabError, *sql.ERRORS) as error:
        return sql.said(error)[:200]
    raise CheckFailed("a full disk", "64 MiB were still taken")


FAULTS = (
    Fault("The server's container is killed", container_killed),
    Fault("The managing process is killed in the middle of a backup", backup_killed),
    Fault("The store is full", store_full, hold=5.0),
)
