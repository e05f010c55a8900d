"""A backup is what was written, or that is said and nothing is lost; it is tried, deleted, and takes no more room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.core import process, waits
from lab.core.errors import BackupDamaged, BadValue, Refused
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request
from lab.dbod.dockerhost import drill, engines, storage
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.dockerhost.records import moment

from .hosts import do, opened, root, tabled
from .hosts import now as pause

pytestmark = pytest.mark.integration
LARGE = {"mariadb": "ibdata1", "postgresql": "base/1/1255"}
"""A file of each engine's data that every server has."""


@pytest.fixture(scope="module", params=[storage.BTRFS, storage.COPY])
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, databases: None
) -> Iterator[DockerHost]:
    made = opened(
        f"dbod-itest-{request.param}",
        tmp_path_factory.mktemp("labs"),
        "" if request.param == storage.BTRFS else request.param,
    )
    if made.store.kind != request.param:
        pytest.skip(f"no {request.param} here")
    try:
        yield made
    finally:
        made.remove_all()


@pytest.fixture(params=list(engines.ALL))
def name(request: pytest.FixtureRequest, stored: DockerHost) -> Iterator[str]:
    made = tabled(stored, f"bk_{request.param}", request.param)
    put(stored, made, 1)
    yield made
    do(stored, Operation.DESTROY, made)


def put(host: DockerHost, name: str, row: int) -> None:
    with host.session(name) as session:
        session.execute("INSERT INTO app.t VALUES (%s)", row)


def rows(host: DockerHost, name: str) -> list[int]:
    with host.session(name) as session:
        return [int(row[0]) for row in session.execute("SELECT id FROM app.t ORDER BY id")]


def flip(path: Path) -> None:
    """One bit in the middle of a file; what it says of its content's time is put back, as far as anybody can."""
    script = (
        "import os, sys; path = sys.argv[1]; known = os.stat(path); file = open(path, 'r+b'); "
        "file.seek(known.st_size // 2); was = file.read(1)[0]; file.seek(known.st_size // 2); "
        "file.write(bytes([was ^ 1])); file.close(); os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))"
    )
    root("python3", "-c", script, path)


def writable(host: DockerHost, backup: Path, on: bool) -> None:
    if host.store.kind == storage.BTRFS:
        root("btrfs", "property", "set", "-f", "-ts", backup, "ro", "false" if on else "true")


@pytest.mark.parametrize("use", [Operation.RESTORE, Operation.CLONE, Operation.DRILL])
def test_a_flipped_bit_is_found_before_a_backup_is_used(stored: DockerHost, name: str, use: Operation) -> None:
    good = do(stored, Operation.BACKUP, name).value["id"]
    put(stored, name, 2)
    bad = do(stored, Operation.BACKUP, name).value["id"]
    put(stored, name, 3)
    found = stored.instance(name)
    writable(stored, found.backups / bad, True)
    flip(found.backups / bad / LARGE[found.record.engine])
    writable(stored, found.backups / bad, False)
    done = jobs.perform(stored, Request(use, name, backup=bad, target="bk_other" if use is Operation.CLONE else ""))
    assert isinstance(done.error, BackupDamaged), done
    assert rows(stored, name) == [1, 2, 3]
    assert [bool(one["damaged"]) for one in do(stored, Operation.BACKUPS, name).value] == [False, True]
    assert stored.records.find("bk_other") is None
    do(stored, Operation.RESTORE, name, backup=good)
    assert rows(stored, name) == [1]


def test_nobody_writes_into_a_backup_by_accident(stored: DockerHost, name: str) -> None:
    if stored.store.kind != storage.BTRFS:
        pytest.skip("a copy is a folder as any other")
    backup = stored.instance(name).backups / do(stored, Operation.BACKUP, name).value["id"]
    assert not process.run(*process.as_root("touch", backup / "x"), check=False).ok


def test_a_drill_reads_every_table_and_leaves_nothing(stored: DockerHost, name: str) -> None:
    with stored.session(name) as session:
        session.execute("CREATE TABLE app.second (id INTEGER PRIMARY KEY, word VARCHAR(40))")
        session.execute("INSERT INTO app.second VALUES (1, 'one')")
    backup = do(stored, Operation.BACKUP, name).value["id"]
    put(stored, name, 2)
    seen = do(stored, Operation.DRILL, name).value
    assert seen["id"] == backup
    assert seen["tables"] >= 2
    assert do(stored, Operation.BACKUPS, name).value[-1]["drilled"]
    assert rows(stored, name) == [1, 2]
    assert not list(stored.store.path.glob(f"{drill.PREFIX}*"))
    assert not any(key.startswith(f"service.{drill.PREFIX}") for key in stored.home.secrets.of({drill.PREFIX + name}))
    do(stored, Operation.STOP, name)
    do(stored, Operation.DRILL, name)
    do(stored, Operation.START, name)
    assert rows(stored, name) == [1, 2]


def test_a_drill_finds_what_no_checksum_tells(stored: DockerHost, name: str) -> None:
    """The data were spoilt before the backup was made, so that it is just what was written."""
    with stored.session(name) as session:
        text = "LONGTEXT" if "mariadb" in name else "TEXT"
        session.execute(f"CREATE TABLE app.spoilt (id INTEGER PRIMARY KEY, word {text})")
        session.execute("INSERT INTO app.spoilt VALUES (1, repeat('x', 1000))")
        session.execute("INSERT INTO app.spoilt SELECT id + 1, word FROM app.spoilt")
        if "mariadb" in name:
            file = "app/spoilt.ibd"
            session.execute("FLUSH TABLES app.spoilt FOR EXPORT")
            session.execute("UNLOCK TABLES")
        else:
            file = str(session.execute("SELECT pg_relation_filepath('app.spoilt')")[0][0])
            session.execute("CHECKPOINT")
    do(stored, Operation.STOP, name)
    path = stored.instance(name).data / file
    where = ("bs=16384", "seek=3", "count=2") if "mariadb" in name else ("bs=8192", "count=1")
    root("dd", "if=/dev/urandom", f"of={path}", *where, "conv=notrunc")
    do(stored, Operation.START, name)
    do(stored, Operation.BACKUP, name)
    done = jobs.perform(stored, Request(Operation.DRILL, name))
    assert isinstance(done.error, BackupDamaged), done
    assert do(stored, Operation.BACKUPS, name).value[-1]["damaged"]


AWAY = {
    "mariadb": ("CREATE TABLE app.away (id INT) DATA DIRECTORY = '/srv/tmp/'", "app/away.isl",
                "DROP TABLE app.away"),
    "postgresql": ("CREATE TABLESPACE away LOCATION '/srv/tmp'", "pg_tblspc/", "DROP TABLESPACE away"),
}  # fmt: skip
"""What puts rows where no snapshot is taken, what tells of it, and what ends it."""


def test_rows_outside_the_data_are_no_part_of_a_backup_and_that_is_said(stored: DockerHost, name: str) -> None:
    put_away, told, back = AWAY[stored.instance(name).record.engine]
    kept = do(stored, Operation.BACKUP, name).value["id"]
    with stored.session(name) as session:
        session.execute(put_away)
    with pytest.raises(Refused, match=told):
        jobs.perform(stored, Request(Operation.BACKUP, name))
    assert [one["id"] for one in do(stored, Operation.BACKUPS, name).value] == [kept]
    assert [path.name for path in stored.instance(name).backups.iterdir()] == [kept]
    with stored.session(name) as session:
        session.execute(back)
    do(stored, Operation.BACKUP, name)


def test_backups_go_when_they_are_told_to(stored: DockerHost, name: str) -> None:
    first, second = (do(stored, Operation.BACKUP, name).value["id"] for _ in range(2))
    with pytest.raises(BadValue):
        jobs.perform(stored, Request(Operation.BACKUP_DELETE, name, backup="nope"))
    left = do(stored, Operation.BACKUP_DELETE, name, backup=first).value
    assert [one["id"] for one in left] == [second]
    assert not (stored.instance(name).backups / first).exists()
    do(stored, Operation.BACKUP_DELETE, name, backup=first, id="job-1")  # a job that runs again
    until = do(stored, Operation.BACKUP, name, days=3).value
    record = stored.records.get(name)
    assert until["until"] > (moment() + timedelta(days=2)).isoformat()
    past = replace(record.backups[-1], until=(moment() - timedelta(days=1)).isoformat())
    stored.records.put(replace(record, backups=(*record.backups[:-1], past)))
    last = do(stored, Operation.BACKUP, name).value["id"]
    assert [one["id"] for one in do(stored, Operation.BACKUPS, name).value] == [second, last]
    do(stored, Operation.RESTORE, name, backup=second)
    assert rows(stored, name) == [1]


def test_the_log_before_the_oldest_backup_goes(stored: DockerHost, name: str) -> None:
    found = stored.instance(name)
    switch = "FLUSH BINARY LOGS" if "mariadb" in name else "SELECT pg_switch_wal()"

    def logs() -> int:
        return sum(1 for _ in process.run(*process.as_root("ls", found.log(1))).stdout.split())

    for row in range(2, 8):
        with stored.session(name) as session:
            session.execute("INSERT INTO app.t VALUES (%s)", row)
            session.execute(switch)
        waits.pause(0.3)
    before = logs()
    do(stored, Operation.BACKUP, name)
    assert logs() < before - 3
    put(stored, name, 8)
    between = pause()
    put(stored, name, 9)
    do(stored, Operation.RESTORE, name, time=between)
    assert rows(stored, name) == list(range(1, 9))


def test_data_without_a_record_are_refused_and_can_be_adopted(stored: DockerHost, name: str) -> None:
    do(stored, Operation.STOP, name)
    old = stored.instance(name)
    engine = old.record.engine
    stored.servers.destroy(name)
    stored.records.remove(name)
    stored.home.secrets.forget(f"dba.{name}", f"service.{name}")
    again = opened(stored.home.name, stored.home.root)
    with pytest.raises(Refused, match="without a record"):
        jobs.perform(again, Request(Operation.CREATE, name, engine=engine))
    with pytest.raises(Refused, match="no data of one engine"):
        jobs.perform(again, Request(Operation.ADOPT, "bk_nothing"))
    do(again, Operation.ADOPT, name)
    assert rows(again, name) == [1]
    do(again, Operation.BACKUP, name)
    put(again, name, 2)
    do(again, Operation.RESTORE, name)
    assert rows(again, name) == [1]
    with pytest.raises(Refused, match="with a record already"):
        jobs.perform(again, Request(Operation.ADOPT, name))
    do(stored, Operation.START, name)
