"""The shared server's databases: what is made, what is refused, and what is never dropped.

The server is a small one in memory that refuses what a real one refuses: a second of a name, a drop of what is not
there. Real ones are in tests/integration/dbod/test_dockerhost.py.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest

from lab.core import errors
from lab.core.home import Home
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request, Result
from lab.dbod.dockerhost import engines, storage
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.dockerhost.records import Record
from lab.dbod.providers.shared import SERVER, Shared
from lab.engines import sql

ENGINES = pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
ACCOUNT = r"(?:USER|ROLE) (?:IF EXISTS )?[`\"](\w+)"
DATABASE = r"DATABASE (?:IF EXISTS )?[`\"](\w+)"


class Server:
    """Accounts with passwords, databases, and what was said to it."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.databases: set[str] = set()
        self.breaks = ""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Raises: MySQLError as a server would, or where the statement has ``breaks`` in it."""
        if self.breaks and self.breaks in statement:
            raise pymysql.MySQLError(1, "the disk is full")
        if query := re.search(r"FROM (\S+) WHERE (\w+) = '(\w+)'", statement):
            there = self.accounts if query[1] in {"mysql.user", "pg_roles"} else self.databases
            return [(1,)] if query[3] in there else []
        verb = statement.split(maxsplit=1)[0]
        for pattern, there in ((ACCOUNT, self.accounts), (DATABASE, self.databases)):
            if verb not in {"CREATE", "DROP"} or not (named := re.match(f"{verb} {pattern}", statement)):
                continue
            if (named[1] in there) is (verb == "CREATE"):
                if "IF EXISTS" in statement:
                    return []
                raise pymysql.MySQLError(2, f"{named[1]} is there already, or not there")
            if verb == "DROP":
                there.pop(named[1]) if isinstance(there, dict) else there.remove(named[1])
            elif isinstance(there, dict):
                there[named[1]] = re.findall("'(\\w+)'", statement)[-1]
            else:
                there.add(named[1])
        return []

    @contextlib.contextmanager
    def session(self) -> Iterator[Server]:
        yield self


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    @contextlib.contextmanager
    def connect(login: sql.Login, *_: object, **__: object) -> Iterator[Any]:
        if made.accounts.get(login.user) != login.password:
            raise pymysql.MySQLError(1045, "Access denied")
        yield SimpleNamespace(execute=lambda _: [(42,)])

    monkeypatch.setattr(sql, "connect", connect)

    def found(shared: Shared, engine: str) -> SimpleNamespace:
        return SimpleNamespace(session=made.session, record=shared.host.records.get(SERVER + engine))

    monkeypatch.setattr(Shared, "_server", found)
    return made


@pytest.fixture
def shared(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    home = Home("shared", tmp_path)
    home.make()
    home.state["store"] = storage.COPY
    host = DockerHost(home, lambda _: None, owned=True)
    for engine in engines.ALL:
        host.records.put(Record(SERVER + engine, engine, "1", 3306, 256, "", "", "2026-01-01T00:00:00Z"))
    return Shared(host)


def do(shared: Shared, operation: Operation, engine: str, name: str = "orders") -> Result:
    return jobs.perform(shared, Request(operation, name, engine=engine))


@ENGINES
def test_a_database_and_its_account_are_made_and_go_together(shared: Shared, server: Server, engine: str) -> None:
    assert do(shared, Operation.CREATE, engine).value["state"] == "RUNNING"
    assert (set(server.accounts), server.databases) == ({"orders"}, {"orders"})
    assert do(shared, Operation.CREATE, engine).error is None
    assert do(shared, Operation.DESTROY, engine).error is None
    assert (server.accounts, server.databases) == ({}, set())


@ENGINES
@pytest.mark.parametrize("there", ["account", "database", "both"])
def test_what_somebody_else_made_is_refused_and_left(shared: Shared, server: Server, engine: str, there: str) -> None:
    if there != "database":
        server.accounts["orders"] = "theirs"
    if there != "account":
        server.databases.add("orders")
    before = (dict(server.accounts), set(server.databases))
    with pytest.raises(errors.Refused, match="'orders' already, which was not made here"):
        do(shared, Operation.CREATE, engine)
    assert (server.accounts, server.databases) == before
    assert do(shared, Operation.LIST, engine).value == []


@pytest.mark.parametrize(
    ("engine", "breaks"),
    [
        ("mariadb", "CREATE DATABASE"),
        ("mariadb", "GRANT"),
        ("postgresql", "CREATE DATABASE"),
        ("postgresql", "REVOKE"),
    ],
)
def test_a_create_that_fails_takes_back_its_own_and_can_be_asked_again(
    shared: Shared, server: Server, engine: str, breaks: str
) -> None:
    server.accounts["neighbour"], server.breaks = "theirs", breaks
    assert isinstance(do(shared, Operation.CREATE, engine).error, errors.DatabaseFailed)
    assert (server.accounts, server.databases) == ({"neighbour": "theirs"}, set())
    server.breaks = ""
    assert do(shared, Operation.CREATE, engine).error is None


@ENGINES
def test_a_create_that_was_killed_is_gone_on_with(shared: Shared, server: Server, engine: str) -> None:
    server.accounts["orders"] = shared.host.home.secrets["account.orders"]
    assert do(shared, Operation.CREATE, engine).error is None
    assert server.databases == {"orders"}


@ENGINES
@pytest.mark.parametrize(
    "name",
    ["mysql", "sys", "information_schema", "performance_schema", "root", "mariadb", "postgres", "template0",
     "template1", "public", "none", "pg_catalog", "pg_mine"],
)  # fmt: skip
def test_the_servers_own_names_are_refused(shared: Shared, engine: str, name: str) -> None:
    with pytest.raises(errors.Refused, match="a name of the servers' own"):
        do(shared, Operation.CREATE, engine, name)


def test_a_name_with_a_dot_is_no_name() -> None:
    with pytest.raises(errors.BadValue):
        Request(Operation.CREATE, "mariadb.sys")
