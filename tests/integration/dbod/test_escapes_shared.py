"""Attempts of a database's owner to leave it in a shared server: into the server, its files, others' databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.dbod.contract import Operation
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.providers.shared import Shared
from lab.engines import sql

from .hosts import do, say

pytestmark = pytest.mark.integration

REACHES = {
    "mariadb": {
        "a file into a table": "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
        "a table into a file": "SELECT 1 INTO OUTFILE '/srv/tmp/x'",
        "a row into a file": "SELECT 1 INTO DUMPFILE '/srv/data/x'",
        "a library": "CREATE FUNCTION f RETURNS INTEGER SONAME 'x.so'",
        "a plugin": "INSTALL SONAME 'ha_connect'",
        "an account": "CREATE USER more",
        "every right": "GRANT ALL ON *.* TO CURRENT_USER",
        "accounts' passwords": "SELECT * FROM mysql.global_priv",
        "the server's settings": "SET GLOBAL general_log = ON",
        "another database": "CREATE DATABASE more",
        "the other's database": "SELECT * FROM {other}.t",
        "the other's name": "CREATE TABLE {other}.mine (id INT)",
        "another's rights by a view": "CREATE DEFINER = 'root'@'%%' SQL SECURITY DEFINER VIEW v AS SELECT 1",
        "another's rights by a routine": "CREATE DEFINER = 'root'@'%%' PROCEDURE p() SELECT 1",
        "another's rights by an event": "CREATE DEFINER = 'root'@'%%' EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "the log": "SHOW BINLOG EVENTS",
        "the log's end": "RESET MASTER",
        "a master": "CHANGE MASTER TO MASTER_HOST = '127.0.0.1'",
        "the server's end": "SHUTDOWN",
    },
    "postgresql": {
        "a program": "COPY t FROM PROGRAM 'id'",
        "a program's input": "COPY t TO PROGRAM 'cat'",
        "a file into a table": "COPY t FROM '/etc/passwd'",
        "a table into a file": "COPY t TO '/srv/tmp/x'",
        "a file": "SELECT pg_read_file('/etc/passwd')",
        "a folder": "SELECT * FROM pg_ls_dir('/srv')",
        "a large object of a file": "SELECT lo_import('/etc/passwd')",
        "a library": "LOAD '/srv/tmp/x.so'",
        "a function in C": "CREATE FUNCTION f() RETURNS int AS '/srv/tmp/x', 'f' LANGUAGE C",
        "an extension of the server's": "CREATE EXTENSION file_fdw",
        "a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
        "the administrator": "SET ROLE postgres",
        "the service": "SET SESSION AUTHORIZATION trove_lab",
        "an account": "CREATE ROLE more",
        "another database": "CREATE DATABASE more",
        "a place for its data": "CREATE TABLESPACE more LOCATION '/srv/tmp'",
        "the server's settings": "ALTER SYSTEM SET archive_command = 'true'",
        "its configuration": "SELECT pg_reload_conf()",
        "accounts' passwords": "SELECT * FROM pg_authid",
        "others' sessions": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
        "a replication slot": "SELECT pg_create_physical_replication_slot('x')",
        "a subscription": "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p",
    },
}
"""What must fail, by what it reaches for."""


@pytest.fixture(scope="module", params=list(engines.ALL))
def both(request: pytest.FixtureRequest, host: DockerHost) -> Iterator[tuple[Shared, str, str, str]]:
    """A shared server of an engine, and two databases in it, each with a table ``t`` of one row."""
    shared = Shared(DockerHost(host.home, say, owned=True))
    names = f"one_{request.param}", f"two_{request.param}"
    for name in names:
        do(shared, Operation.CREATE, name, engine=request.param)
        with shared.session(name) as session:
            session.execute("CREATE TABLE t (id VARCHAR(200))")
            session.execute("INSERT INTO t VALUES ('mine')")
    yield (shared, request.param, *names)
    for name in names:
        do(shared, Operation.DESTROY, name)


@pytest.mark.parametrize(
    ("both", "what"),
    [(engine, what) for engine, reaches in REACHES.items() for what in reaches],
    indirect=["both"],
)
def test_what_an_owner_reaches_for(both: tuple[Shared, str, str, str], what: str) -> None:
    shared, engine, name, other = both
    with pytest.raises(sql.ERRORS), shared.session(name) as session:
        session.execute(REACHES[engine][what].format(other=other))
    for one in (name, other):
        with shared.session(one) as session:
            assert session.execute("SELECT id FROM t") == [("mine",)]


@pytest.mark.parametrize("both", ["mariadb"], indirect=True)  # PostgreSQL's is refused, above
def test_a_file_is_not_read_by_a_function(both: tuple[Shared, str, str, str]) -> None:
    shared, _, name, _ = both
    with shared.session(name) as session:
        assert session.execute("SELECT LOAD_FILE('/etc/passwd')") == [(None,)]
        assert session.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE user <> "
                               "SUBSTRING_INDEX(CURRENT_USER(), '@', 1)") == [(0,)]  # fmt: skip


def test_nobody_enters_the_others_database(both: tuple[Shared, str, str, str]) -> None:
    shared, _, name, other = both
    strange = replace(shared._login(name), database=other)
    port = do(shared, Operation.CREDENTIALS, name).value["port"]
    with pytest.raises(sql.ERRORS), sql.connect(strange, "127.0.0.1", port) as session:
        session.execute("SELECT * FROM t")
