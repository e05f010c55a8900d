"""No room: of an instance, which is no other's trouble; and of the disk, at every operation, which loses nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core import process
from lab.core.errors import LabError
from lab.core.units import GIB
from lab.dbod.contract import Operation, State
from lab.dbod.dockerhost import engines, storage
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.evaluation import host_strikes
from lab.engines import sql

from . import operations
from .hosts import do, named, opened, root, tabled
from .operations import NAME, Asked, Life

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
ALL = os.environ.get("LAB_FULL") == "all"
LEFT = (0, 64 * 1024, 4 * MIB) if ALL else (64 * 1024,)
"""Bytes that a full disk has left: none, room for small files, room for half of what most operations write."""
STORES = [f"{engine}-{store}" for engine in engines.ALL for store in ("btrfs", "disk")]
TMPFS_MIB = 900


@pytest.mark.parametrize("engine", list(engines.ALL))
def test_one_tenants_full_disk_is_nobody_elses(host: DockerHost, engine: str) -> None:
    full, other = tabled(host, f"full_{engine[:5]}", engine), tabled(host, f"well_{engine[:5]}", engine)
    if host.store.kind != storage.BTRFS:
        pytest.skip("this store holds no limit")
    do(host, Operation.RESIZE, full, disk=1)
    kind, keep = (
        ("LONGTEXT", "") if engine == "mariadb" else ("TEXT", "ALTER TABLE app.big ALTER word SET STORAGE EXTERNAL")
    )
    with host.session(full) as session:
        session.execute(f"CREATE TABLE app.big (id INTEGER PRIMARY KEY, word {kind})")
        if keep:
            session.execute(keep)
    with pytest.raises(sql.ERRORS):
        fill(host, full)
    with host.session(other) as session:
        session.execute("INSERT INTO app.t VALUES (1)")
        assert session.execute("SELECT count(*) FROM app.t")[0][0] == 1
    seen = {one["name"]: one for one in do(host, Operation.CHECK, "").value}
    assert seen[full]["full"] > 0.9, seen
    assert seen[other]["full"] < 0.5, seen
    do(host, Operation.RESIZE, full, disk=3)
    do(host, Operation.START, full)
    with host.session(full) as session:
        session.execute("INSERT INTO app.t VALUES (1)")
        assert session.execute("SELECT count(*) FROM app.t")[0][0] == 1
    told = do(host, Operation.MONITOR, full).value
    assert told["disk"] == 3
    assert told["bytes"] > 500 * MIB
    for one in (full, other):
        do(host, Operation.DESTROY, one)


@pytest.mark.parametrize("engine", list(engines.ALL))
def test_the_log_that_a_restore_begins_is_limited_too(host: DockerHost, engine: str) -> None:
    if not host.store.limits:
        pytest.skip("this store holds no limit")
    name = tabled(host, f"log_{engine[:5]}", engine)
    do(host, Operation.BACKUP, name)
    do(host, Operation.RESTORE, name)
    shown = process.run("btrfs", "qgroup", "show", "-r", "--raw", host.store.path).stdout.splitlines()
    limits = {row.split()[-1]: row.split()[3] for row in shown if row.startswith("0/")}
    wanted = str(host.records.get(name).disk * GIB)
    assert [limits[f"{name}/{one}"] for one in ("data", "log-2")] == [wanted, wanted], limits
    do(host, Operation.DESTROY, name)


def fill(host: DockerHost, name: str) -> None:
    """Write until that is refused."""
    for number in range(400):
        with host.session(name) as session:
            session.execute("INSERT INTO app.big VALUES (%s, repeat('x', 4194304))", number)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of its own, in memory: it can be filled to the last byte and takes no room of this host's."""
    path.mkdir()
    root("mount", "-t", "tmpfs", "-o", f"size={TMPFS_MIB}m", "tmpfs", path)
    try:
        yield path
    finally:
        root("umount", "--lazy", path)  # this process has records open there


@pytest.fixture(scope="module", params=STORES if ALL else ("mariadb-btrfs", "postgresql-disk"))
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, databases: None) -> Iterator[Life]:
    """On btrfs its store is filled; else the whole disk is: home, records, data, logs and backups lie on one."""
    engine, _, store = request.param.partition("-")
    labs = tmp_path_factory.mktemp("labs")
    with small_disk(labs / "small") if store == "disk" else contextlib.nullcontext(labs) as folder:
        host = opened(named(f"dbod-full-{engine[:5]}-{store}"), folder, storage.COPY if store == "disk" else "")
        if store == "btrfs" and host.store.kind != storage.BTRFS:
            pytest.skip("no btrfs here")
        try:
            yield Life(host, engine)
        finally:
            opened(host.home.name, host.home.root).remove_all()


@contextlib.contextmanager
def filled(life: Life, left: int) -> Iterator[None]:
    """Until ``left`` bytes are free where the data lie."""
    filler = life.host.store.path / "filler"
    try:
        process.run("bash", "-c", host_strikes.FILL, "fill", filler, timeout=60)
        with filler.open("ab") as file, contextlib.suppress(OSError):
            while True:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), 4096)
        size = filler.stat().st_size
        os.truncate(filler, max(0, size - left))
        yield
    finally:
        filler.unlink()
        time.sleep(0.2)  # btrfs gives room back with its next commit


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("one", operations.ALL, ids=lambda one: one.id)
def test_a_full_disk_at_an_operation_loses_nothing(life: Life, one: Asked, left: int) -> None:
    if "disk" in one.given and life.host.store.kind != storage.BTRFS:
        pytest.skip("this store holds no limit")
    life.number += 1
    life.begin()
    if one.first:
        one.first(life)
    with filled(life, left):
        life.again()
        try:
            done = life.ask(one).error is None
        except LabError as error:
            assert error.cause, error
            done = False
    life.again()
    found = life.host.records.find(NAME)
    if found is None:
        assert one.operation in {Operation.DESTROY, Operation.ADOPT}
    elif one.operation is not Operation.DESTROY:
        life.check()
        assert life.rows() == (one.after if done else one.before), done
    if life.repeat(one) and one.after is not None:
        life.check()
        assert life.rows() == one.after
        assert do(life.host, Operation.MONITOR, NAME).value["state"] == State.RUNNING
