"""What a database's owner does to accounts, with every right: the service goes on, or says why it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.containers import client
from lab.core import process
from lab.core.errors import LabError, Refused
from lab.dbod import jobs
from lab.dbod.contract import Operation, State
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.accounts import SERVICE
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.dockerhost.records import Backup
from lab.engines import sql
from lab.engines.sql import ERRORS

from .hosts import do, now, tabled

pytestmark = pytest.mark.integration

THEIRS = {
    "mariadb": {
        "another password": ["ALTER USER 'root'@'%%' IDENTIFIED BY 'x'"],
        "locked": ["ALTER USER 'root'@'%%' ACCOUNT LOCK"],
        "renamed": ["RENAME USER 'root'@'%%' TO 'boss'@'%%'"],
        "dropped": ["DROP USER 'boss'@'%%', 'root'@'localhost'"],
    },
    "postgresql": {
        "another password": ["ALTER ROLE postgres PASSWORD 'x'"],
        "locked": ["ALTER ROLE postgres NOLOGIN"],
        "no superuser": ["ALTER ROLE postgres NOSUPERUSER"],
        "renamed": ["ALTER ROLE postgres RENAME TO boss"],
        "dropped": [f"REASSIGN OWNED BY boss TO {SERVICE}", "DROP OWNED BY boss", "DROP ROLE boss"],
    },
}
OURS = {
    "mariadb": {
        "dropped": [f"DROP USER {SERVICE}"],
        "locked": [f"ALTER USER {SERVICE} ACCOUNT LOCK"],
        "another password": [f"ALTER USER {SERVICE} IDENTIFIED BY 'x'"],
    },
    "postgresql": {
        "locked": [f"ALTER ROLE {SERVICE} NOLOGIN"],
        "another password": [f"ALTER ROLE {SERVICE} PASSWORD 'x'"],
        "renamed": [f"ALTER ROLE {SERVICE} RENAME TO was"],
        "no database": ["ALTER DATABASE postgres RENAME TO mine"],
        "closed database": ["ALTER DATABASE postgres ALLOW_CONNECTIONS false"],
    },
}  # fmt: skip


@pytest.fixture(params=list(engines.ALL))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def name(host: DockerHost, engine: str) -> Iterator[str]:
    """A new instance of one table with one row."""
    try:
        add(host, tabled(host, "acc", engine), 1)
        yield "acc"
    finally:
        do(host, Operation.DESTROY, "acc")


def rows(host: DockerHost, name: str, database: str = "") -> list[int]:
    with host.instance(name).session(database=database) as session:
        return [row[0] for row in session.execute("SELECT id FROM app.t ORDER BY id")]


def add(host: DockerHost, name: str, row: int, database: str = "") -> None:
    with host.instance(name).session(database=database) as session:
        session.execute("INSERT INTO app.t VALUES (%s)", row)


def test_what_owners_do_to_their_account_breaks_nothing(host: DockerHost, engine: str, name: str) -> None:
    first = do(host, Operation.BACKUP, name).value["id"]
    for done, statements in THEIRS[engine].items():
        with host.instance(name).session() as session:
            for statement in statements:
                session.execute(statement)
        assert host.state(host.records.get(name)) == State.RUNNING, done
        last = do(host, Operation.BACKUP, name).value["id"]
    add(host, name, 2)
    do(host, Operation.STOP, name)
    do(host, Operation.START, name)
    do(host, Operation.RESTORE, name, backup=first, time=now())
    assert rows(host, name) == [1, 2]
    do(host, Operation.RESTORE, name, backup=last)
    assert rows(host, name) == [1]
    with pytest.raises(ERRORS), host.session(name) as session:
        session.execute("SELECT 1")
    do(host, Operation.CLONE, name, target="acc2")
    try:
        with host.session("acc2") as session:  # its owner has an account that works
            assert session.execute("SELECT id FROM app.t") == [(1,)]
    finally:
        do(host, Operation.DESTROY, "acc2")


@pytest.mark.parametrize(("engine", "done"), [(e, d) for e in OURS for d in OURS[e]], indirect=["engine"])
def test_our_account_is_put_back_by_a_start(host: DockerHost, engine: str, name: str, done: str) -> None:
    backup = do(host, Operation.BACKUP, name).value["id"]
    login = host.instance(name).login()
    if engine == "postgresql" and "database" in done:
        login = sql.Login(login.datastore, login.address, login.user, login.password, "template1")
    with sql.connect(login, "127.0.0.1", host.records.get(name).port, autocommit=True) as session:
        if engine == "postgresql":
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE datname = 'postgres' AND pid <> pg_backend_pid()")  # fmt: skip
        for statement in OURS[engine][done]:
            session.execute(statement)
    assert host.state(host.records.get(name)) == State.UNKNOWN
    with pytest.raises(LabError) as refused:
        jobs.value(host, Operation.BACKUP, name)
    assert isinstance(refused.value, Refused)
    assert ": " in refused.value.cause
    assert f"./inv dbod start --instance={name}" in refused.value.remedy
    do(host, Operation.START, name)
    place = "mine" if done == "no database" else ""
    add(host, name, 2, place)
    moment = now()
    add(host, name, 3, place)
    # what was done to it is in the log as well
    do(host, Operation.RESTORE, name, backup=backup, time=moment)
    assert rows(host, name, place) == [1, 2]


GONE = {"mariadb": f"DROP USER {SERVICE}", "postgresql": f"ALTER ROLE {SERVICE} RENAME TO was"}
BEFORE = {
    "mariadb": {"/srv/tmp": "/tmp", engines.STATEMENTS: "/dev/null"},
    "postgresql": {"/srv/pg_hba.conf": f"{engines.DATA}/pg_hba.conf"},
}
"""Paths on command line and in configuration, and what the version before the service's account had there."""


def test_an_instance_of_an_earlier_version_is_restored_at_once(host: DockerHost, engine: str, name: str) -> None:
    found = host.instance(name)

    def before(text: str) -> str:
        for ours, theirs in BEFORE[engine].items():
            text = text.replace(ours, theirs)
        return text

    with host.session(name) as session:
        session.execute(GONE[engine])
    found.stop()
    found.store.snapshot(found.data, found.backups / "before")
    host.records.put(replace(found.record, backups=(Backup("before", now(), found.record.version, 1, {}),)))
    config = found.folder / "server.cnf"
    config.write_text(before(config.read_text()))
    host.servers.create(name, replace(found.server(), argv=tuple(before(word) for word in found.server().argv)))
    process.run(*process.as_root("rm", "-r", found.folder / "tmp"))
    for left in ("service.sql", "pg_hba.conf"):
        (found.folder / left).unlink(missing_ok=True)
    do(host, Operation.RESTORE, name)
    assert host.state(host.records.get(name)) == State.RUNNING
    assert rows(host, name) == [1]


def test_a_trigger_at_logins_and_a_limit_of_time_stop_owners_only(host: DockerHost) -> None:
    try:
        with host.session(tabled(host, "acc", "postgresql")) as session:
            for statement in (
                "CREATE FUNCTION app.no() RETURNS event_trigger LANGUAGE plpgsql "
                "AS 'BEGIN RAISE EXCEPTION ''no''; END'",
                "CREATE EVENT TRIGGER no ON login EXECUTE FUNCTION app.no()",
                "ALTER DATABASE postgres SET statement_timeout = '1ms'",
                "ALTER DATABASE postgres SET default_transaction_read_only = on",
            ):
                session.execute(statement)
        with pytest.raises(ERRORS), host.session("acc") as session:
            session.execute("SELECT 1")
        do(host, Operation.BACKUP, "acc")
        add(host, "acc", 1)
        do(host, Operation.RESTORE, "acc")
        assert rows(host, "acc") == []
    finally:
        do(host, Operation.DESTROY, "acc")


def test_no_secret_is_in_sight_and_none_survives(host: DockerHost, engine: str) -> None:
    do(host, Operation.CREATE, "acc", engine=engine)
    found = host.instance("acc")
    secrets = [found.password, found.service_password]
    do(host, Operation.STOP, "acc")
    do(host, Operation.START, "acc")
    with client.connect() as daemon:
        container = daemon.containers.get(host.servers._container("acc"))
        seen = json.dumps(container.attrs) + bytes(container.logs()).decode()
    for path in found.folder.iterdir():
        if path.is_file():
            seen += path.read_text()
    assert not [secret for secret in secrets if secret in seen]
    assert not (found.folder / "password").exists()
    folder = found.folder
    do(host, Operation.DESTROY, "acc")
    assert not folder.exists()
    kept = process.run(
        "grep", "-rlF", *(word for one in secrets for word in ("-e", one)), host.home.path, check=False
    )
    assert kept.stdout == ""
    assert not [one for one in secrets if one in host.home.secrets.values()]


def test_nothing_but_its_folder_can_be_written(host: DockerHost, name: str) -> None:
    volume = host.instance(name).engine.volume
    places = ["/x", "/etc/x", "/usr/bin/x", "/var/tmp/x", "/srv/x", f"{volume}/x"]
    with client.connect() as daemon:
        container = daemon.containers.get(host.servers._container(name))
        ended = {place: container.exec_run(["sh", "-c", f"echo > {place}"]).exit_code for place in places}
        assert {place: code for place, code in ended.items() if code == 0} == {}
        assert (
            container.exec_run(["sh", "-c", "echo > /srv/data/x && rm /srv/data/x && echo > /tmp/x"]).exit_code == 0
        )
        assert [mount["Destination"] for mount in container.attrs["Mounts"] if mount["Type"] == "volume"] == []


def test_one_instance_does_not_reach_another(host: DockerHost, name: str, tmp_path: Path) -> None:
    do(host, Operation.CREATE, "acc2", engine="postgresql")
    try:
        address, port = host.servers.address("acc2"), 5432
        ask = f"import socket; socket.create_connection(('{address}', {port}), 2)"
        with client.connect() as daemon:
            pid = daemon.containers.get(host.servers._container(name)).attrs["State"]["Pid"]
        assert process.run("/usr/bin/python3", "-c", ask, check=False).ok
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", "-c", ask)
        assert not process.run(*process.as_root(*inside), check=False).ok
    finally:
        do(host, Operation.DESTROY, "acc2")
