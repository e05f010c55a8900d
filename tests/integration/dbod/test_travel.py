"""Restores to a point in time that are known to lose rows: each ends as asked, or is refused before data change."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.core import process, waits
from lab.core.errors import LabError, NoSuch, Refused
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.provider import DockerHost

from .hosts import do, now, tabled

pytestmark = pytest.mark.integration
MARIADB, POSTGRESQL = "tr_mariadb", "tr_postgresql"


@pytest.fixture(scope="module", autouse=True)
def instances(host: DockerHost) -> None:
    tabled(host, MARIADB, "mariadb")
    tabled(host, POSTGRESQL, "postgresql")


def refused(host: DockerHost, operation: Operation, name: str, **given: Any) -> LabError:
    """The error of an operation that must not be done."""
    try:
        result = jobs.perform(host, Request(operation, name, **given))
    except LabError as error:
        return error
    assert result.error is not None, f"{operation} ended well: {result.log}"
    return result.error


def sql(host: DockerHost, name: str, *statements: str) -> list[tuple[Any, ...]]:
    """The rows of the last statement."""
    found: list[tuple[Any, ...]] = []
    with host.session(name) as session:
        for statement in statements:
            found = session.execute(statement)
    return found


def rows(host: DockerHost, name: str) -> list[int]:
    return [row[0] for row in sql(host, name, "SELECT id FROM app.t ORDER BY id")]


def begin(host: DockerHost, name: str) -> str:
    """An empty table, and a backup of it; the backup's id."""
    sql(host, name, "DELETE FROM app.t", "INSERT INTO app.t VALUES (1)")
    return str(do(host, Operation.BACKUP, name).value["id"])


# --- MariaDB's log -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", ["PURGE BINARY LOGS TO '{last}'", "RESET MASTER"])
def test_rows_whose_log_was_removed_are_not_lost_silently(host: DockerHost, lose: str) -> None:
    """pyxbackup#35: FINISHED_OK, and both rows gone."""
    backup = begin(host, MARIADB)
    sql(host, MARIADB, "INSERT INTO app.t VALUES (2)", "FLUSH BINARY LOGS", "INSERT INTO app.t VALUES (3)")
    last = sql(host, MARIADB, "SHOW BINARY LOGS")[-1][0]
    sql(host, MARIADB, lose.format(last=last), "INSERT INTO app.t VALUES (4)")
    error = refused(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert isinstance(error, Refused)
    assert backup in error.remedy
    assert rows(host, MARIADB) == [1, 2, 3, 4]
    do(host, Operation.RESTORE, MARIADB, backup=backup)
    assert rows(host, MARIADB) == [1]


def test_a_gap_in_the_middle_is_seen_and_how_far_one_comes(host: DockerHost) -> None:
    backup = begin(host, MARIADB)
    for row in (2, 3, 4):
        sql(host, MARIADB, f"INSERT INTO app.t VALUES ({row})", "FLUSH BINARY LOGS")
    found = host.instance(MARIADB)
    log = found.log(host.records.get(MARIADB).log)
    names = sorted(process.run(*process.as_root("ls", log)).stdout.split())
    middle = [name for name in names if name.startswith("binlog.0") and "." not in name.removeprefix("binlog.")][-2]
    process.run(*process.as_root("mv", log / middle, log / "aside"))
    error = refused(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert middle in error.cause
    assert rows(host, MARIADB) == [1, 2, 3, 4]
    process.run(*process.as_root("mv", log / "aside", log / middle))
    do(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert rows(host, MARIADB) == [1, 2, 3, 4]


def test_a_stamp_that_a_session_chose_does_not_end_the_replay_early(host: DockerHost) -> None:
    backup = begin(host, MARIADB)
    sql(host, MARIADB, "SET timestamp = UNIX_TIMESTAMP() + 3600", "INSERT INTO app.t VALUES (2)")
    sql(host, MARIADB, "INSERT INTO app.t VALUES (3)")
    error = refused(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert "ahead of the clock" in error.cause
    assert rows(host, MARIADB) == [1, 2, 3]


def test_events_are_not_done_twice(host: DockerHost) -> None:
    """myhoard#244: 1062, since the event had inserted before the log did."""
    sql(
        host, MARIADB, "CREATE TABLE IF NOT EXISTS app.e (id INTEGER AUTO_INCREMENT PRIMARY KEY)", "DELETE FROM app.e"
    )
    do(host, Operation.CONFIG_PUT, MARIADB, settings={"event_scheduler": "ON"})
    sql(host, MARIADB, "CREATE EVENT app.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.e VALUES ()")
    try:
        backup = begin(host, MARIADB)
        sql(host, MARIADB, "CREATE OR REPLACE TABLE app.load (id INTEGER PRIMARY KEY)")
        # thousands of transactions, so that events would have the time to come between
        sql(host, MARIADB, "BEGIN NOT ATOMIC FOR i IN 1..4000 DO INSERT INTO app.load VALUES (i); END FOR; END")
        before = sql(host, MARIADB, "SELECT count(*) FROM app.e")[0][0]
        do(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
        assert sql(host, MARIADB, "SELECT count(*) FROM app.e")[0][0] >= before
        assert sql(host, MARIADB, "SELECT @@event_scheduler")[0][0] == "ON"
    finally:
        sql(host, MARIADB, "DROP EVENT app.tick")
        do(host, Operation.CONFIG_PUT, MARIADB, settings={"event_scheduler": "OFF"})


def test_events_that_the_log_created_are_there_and_said_to_sleep(host: DockerHost) -> None:
    """The whole restore failed: Cannot proceed, because event scheduler is disabled."""
    backup = begin(host, MARIADB)
    sql(host, MARIADB, "CREATE EVENT app.later ON SCHEDULE EVERY 1 DAY DO SELECT 1", "INSERT INTO app.t VALUES (2)")
    done = do(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert rows(host, MARIADB) == [1, 2]
    assert any("app.later" in line and "ENABLE" in line for line in done.log)
    sql(host, MARIADB, "ALTER EVENT app.later ENABLE", "DROP EVENT app.later")


def test_a_log_begun_anew_that_has_grown_to_the_same_place_is_another(host: DockerHost) -> None:
    """RESET MASTER within the second of the backup, and then as much as had been there."""
    sql(host, MARIADB, "DELETE FROM app.t", "RESET MASTER")
    waits.pause(1.1)  # stamps are whole seconds
    sql(host, MARIADB, "INSERT INTO app.t VALUES (1)")
    backup = str(do(host, Operation.BACKUP, MARIADB).value["id"])
    sql(host, MARIADB, "RESET MASTER", "INSERT INTO app.t VALUES (2)", "INSERT INTO app.t VALUES (3)")
    error = refused(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert "begun anew" in error.cause
    assert rows(host, MARIADB) == [1, 2, 3]


def test_a_replay_that_fails_puts_back_what_was_there_and_says_so(
    host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(host, MARIADB, "CREATE TABLE app.m (id INTEGER PRIMARY KEY) ENGINE=MEMORY", "INSERT INTO app.m VALUES (1)")
    backup = begin(host, MARIADB)
    sql(host, MARIADB, "UPDATE app.m SET id = 2", "INSERT INTO app.t VALUES (2)")
    # not left out of the replay, its row is missing there: the engine stops with an error of its own
    monkeypatch.setattr(engines.Engine, "volatile", lambda *_: [])
    result = jobs.perform(host, Request(Operation.RESTORE, MARIADB, backup=backup, time=now()))
    assert result.error is not None
    assert any("what was there before is put back" in line for line in result.log)
    assert rows(host, MARIADB) == [1, 2]
    sql(host, MARIADB, "DROP TABLE app.m")


def test_a_memory_table_is_said_and_the_rest_comes_back(host: DockerHost) -> None:
    """MariaDB/server#4942: 1032, and the whole restore refused for a cache."""
    sql(host, MARIADB, "CREATE TABLE app.m (id INTEGER PRIMARY KEY, n INTEGER) ENGINE=MEMORY")
    sql(host, MARIADB, "INSERT INTO app.m VALUES (1, 1)")
    backup = begin(host, MARIADB)
    sql(host, MARIADB, "UPDATE app.m SET n = 2", "INSERT INTO app.t VALUES (2)")
    done = do(host, Operation.RESTORE, MARIADB, backup=backup, time=now())
    assert rows(host, MARIADB) == [1, 2]
    assert any("app.m" in line for line in done.log)
    sql(host, MARIADB, "DROP TABLE app.m")


# --- PostgreSQL's ------------------------------------------------------------------------------------------


def test_a_database_is_back_that_was_dropped_after_the_time(host: DockerHost) -> None:
    """pgbackrest#2531: FINISHED_OK, and the database cannot be connected to."""
    sql(host, POSTGRESQL, "CREATE DATABASE shop")
    backup = begin(host, POSTGRESQL)
    sql(host, POSTGRESQL, "INSERT INTO app.t VALUES (2)")
    before = now()
    sql(host, POSTGRESQL, "DROP DATABASE shop")
    do(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=before)
    assert rows(host, POSTGRESQL) == [1, 2]
    sql(host, POSTGRESQL, "CREATE DATABASE other TEMPLATE shop", "DROP DATABASE other", "DROP DATABASE shop")


def test_settings_that_were_changed_since_do_not_stop_a_replay(host: DockerHost) -> None:
    """cloudnative-pg#2337: recovery aborts because of insufficient parameter settings."""
    backup = begin(host, POSTGRESQL)
    do(host, Operation.CONFIG_PUT, POSTGRESQL, settings={"max_connections": "50"})
    sql(host, POSTGRESQL, "INSERT INTO app.t VALUES (2)")
    do(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=now())
    assert rows(host, POSTGRESQL) == [1, 2]
    assert sql(host, POSTGRESQL, "SHOW max_connections") == [("50",)]


def test_a_missing_segment_is_an_error_and_not_the_logs_end(host: DockerHost) -> None:
    backup = begin(host, POSTGRESQL)
    for row in (2, 3, 4):
        sql(host, POSTGRESQL, f"INSERT INTO app.t VALUES ({row})", "SELECT pg_switch_wal()")
    waits.pause(2)
    log = host.instance(POSTGRESQL).log(host.records.get(POSTGRESQL).log)
    first = sql(host, POSTGRESQL, "SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    names = [n for n in sorted(process.run(*process.as_root("ls", log)).stdout.split()) if len(n) == 24 and n < first]
    process.run(*process.as_root("mv", log / names[-2], log / "aside"))
    # what the server still has in its own folder would fill the hole
    data = host.instance(POSTGRESQL).data
    process.run(*process.as_root("rm", "-f", data / "pg_wal" / names[-2]))
    error = refused(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=now())
    assert isinstance(error, Refused)
    assert rows(host, POSTGRESQL) == [1, 2, 3, 4]
    process.run(*process.as_root("mv", log / "aside", log / names[-2]))
    do(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=now())
    assert rows(host, POSTGRESQL) == [1, 2, 3, 4]


def test_a_backup_made_while_segments_are_filled_up_loses_nothing(host: DockerHost) -> None:
    """Seen: the place noted in the log lay in what fills a segment up; the replay found nothing, and all was well."""
    sql(host, POSTGRESQL, "CREATE TABLE IF NOT EXISTS app.noise (id INTEGER)", "DELETE FROM app.t")
    sql(host, POSTGRESQL, "INSERT INTO app.t VALUES (1)")
    over = threading.Event()

    def switch() -> None:
        while not over.is_set():
            sql(host, POSTGRESQL, "INSERT INTO app.noise VALUES (1)", "SELECT pg_switch_wal()")

    switching = threading.Thread(target=switch)
    switching.start()
    try:
        backups = [str(do(host, Operation.BACKUP, POSTGRESQL).value["id"]) for _ in range(6)]
    finally:
        over.set()
        switching.join()
    sql(host, POSTGRESQL, "INSERT INTO app.t VALUES (2)")
    moment = now()
    for backup in backups:
        do(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=moment)
        assert rows(host, POSTGRESQL) == [1, 2]


def test_archiving_cannot_be_switched_off_by_sql(host: DockerHost) -> None:
    """cloudnative-pg#2725: archiving off unnoticed, the later restore fails."""
    with contextlib.suppress(Exception):
        sql(host, POSTGRESQL, "ALTER SYSTEM SET archive_mode = off")
    with contextlib.suppress(Exception):
        sql(host, POSTGRESQL, "ALTER SYSTEM SET shared_buffers = '900GB'")
    do(host, Operation.STOP, POSTGRESQL)
    do(host, Operation.START, POSTGRESQL)
    assert sql(host, POSTGRESQL, "SHOW archive_mode") == [("on",)]


def test_an_unlogged_table_is_said_and_the_rest_comes_back(host: DockerHost) -> None:
    sql(host, POSTGRESQL, "CREATE UNLOGGED TABLE app.u (id INTEGER)", "INSERT INTO app.u VALUES (1)")
    backup = begin(host, POSTGRESQL)
    sql(host, POSTGRESQL, "INSERT INTO app.t VALUES (2)")
    for time in (now(), ""):
        done = do(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=time)
        assert sql(host, POSTGRESQL, "SELECT * FROM app.u") == []
        assert any("app.u" in line for line in done.log)
    sql(host, POSTGRESQL, "DROP TABLE app.u")


# --- both --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MARIADB, POSTGRESQL])
def test_without_a_backup_named_the_newest_before_the_time_is_taken(host: DockerHost, name: str) -> None:
    """pgbackrest#817: refused, although an older backup reaches it."""
    begin(host, name)
    sql(host, name, "INSERT INTO app.t VALUES (2)")
    between = now()
    sql(host, name, "INSERT INTO app.t VALUES (3)")
    do(host, Operation.BACKUP, name)
    do(host, Operation.RESTORE, name, time=between)
    assert rows(host, name) == [1, 2]


@pytest.mark.parametrize("name", [MARIADB, POSTGRESQL])
def test_before_the_first_backup_the_earliest_time_is_told(host: DockerHost, name: str) -> None:
    begin(host, name)
    error = refused(host, Operation.RESTORE, name, time="2001-01-01T00:00:00Z")
    assert f"--time={host.records.get(name).backups[0].moment:%Y-%m-%dT%H:%M:%SZ}" in error.remedy


@pytest.mark.parametrize("name", [MARIADB, POSTGRESQL])
def test_nothing_was_committed_since_the_backup(host: DockerHost, name: str) -> None:
    backup = begin(host, name)
    moment = now()
    sql(host, name, "INSERT INTO app.t VALUES (2)")
    do(host, Operation.RESTORE, name, backup=backup, time=moment)
    assert rows(host, name) == [1]


# --- names and records -------------------------------------------------------------------------------------


def test_an_instance_may_have_any_name_and_no_backup_of_another_goes(host: DockerHost) -> None:
    """borgbackup/community#69: an instance named as the service's own folder took every backup with it."""
    backup = begin(host, MARIADB)
    do(host, Operation.CREATE, "backups")
    try:
        do(host, Operation.BACKUP, "backups")
        sql(host, MARIADB, "INSERT INTO app.t VALUES (2)")
        do(host, Operation.RESTORE, MARIADB, backup=backup)
        assert rows(host, MARIADB) == [1]
    finally:
        do(host, Operation.DESTROY, "backups")
    do(host, Operation.RESTORE, MARIADB, backup=backup)
    assert rows(host, MARIADB) == [1]


def test_create_removes_nothing_that_it_has_no_record_of(host: DockerHost) -> None:
    do(host, Operation.CREATE, "lost")
    sql(host, "lost", "CREATE SCHEMA mine")
    record = host.records.get("lost")
    do(host, Operation.STOP, "lost")
    host.records.remove("lost")
    error = refused(host, Operation.CREATE, "lost")
    assert "without a record" in error.cause
    host.records.put(replace(record))
    do(host, Operation.START, "lost")
    assert sql(host, "lost", "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'mine'")
    do(host, Operation.DESTROY, "lost")


def test_what_is_not_there_is_not_destroyed(host: DockerHost) -> None:
    assert isinstance(refused(host, Operation.DESTROY, "nope"), NoSuch)


# --- walls -------------------------------------------------------------------------------------------------


def shell(host: DockerHost, command: str) -> None:
    """A command as PostgreSQL's administrator can run one; it reads the row, or the server meets a closed pipe."""
    sql(host, POSTGRESQL, f"COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; {command}'")


def test_links_that_an_administrator_plants_lead_nowhere(host: DockerHost, tmp_path: Path) -> None:
    """By SQL alone the owner of an instance had a file of their own in a folder of the host."""
    outside = tmp_path / "cron"
    outside.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("root's")
    backup = begin(host, POSTGRESQL)
    sql(host, POSTGRESQL, "INSERT INTO app.t VALUES (2)")
    segment = "0000000100000000000000EE"
    shell(host, f"ln -s {secret} /srv/data/pg_wal/{segment}")
    shell(host, f"ln -sfn {outside}/job /srv/log/{segment}")
    shell(host, f"ln -sfn {outside}/signal /srv/data/recovery.signal")
    error = refused(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=now())
    assert "0000000100000000000000EE" in error.cause
    assert list(outside.iterdir()) == []
    assert secret.stat().st_uid == 0
    assert rows(host, POSTGRESQL) == [1, 2]
    shell(host, f"rm /srv/data/pg_wal/{segment} /srv/log/{segment}")
    do(host, Operation.RESTORE, POSTGRESQL, backup=backup, time=now())
    assert rows(host, POSTGRESQL) == [1, 2]
    assert list(outside.iterdir()) == []


def test_a_server_has_no_rights_beyond_its_own(host: DockerHost) -> None:
    shell(host, "cat /proc/self/status > /srv/data/status")
    status = (host.instance(POSTGRESQL).data / "status").read_text()
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
