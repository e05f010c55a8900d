"""SQL against an instance's own address, from this host through the machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pg8000.dbapi
import pymysql

from lab.remote import Remote

PORTS = {"mariadb": 3306, "postgresql": 5432}
CONNECT_SECONDS = 20
ERRORS = (pymysql.MySQLError, pg8000.dbapi.Error, OSError, EOFError)
"""What "it does not answer (yet)" looks like, over both drivers."""


@dataclass(frozen=True)
class Login:
    """Where and as whom: ``address`` is the instance's own, on the lab's private network."""

    datastore: str
    address: str
    user: str
    password: str
    database: str

    @property
    def port(self) -> int:
        """The server's port."""
        return PORTS[self.datastore]


@contextlib.contextmanager
def session(remote: Remote, login: Login) -> Iterator[Session]:
    """A connected session; the work is committed at the end. Raises: any of ``ERRORS``."""
    with remote.forward(login.address, login.port) as port:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": port, "user": login.user, "password": login.password}
        connection: Any
        if login.datastore == "postgresql":
            connection = pg8000.dbapi.connect(**where, database=login.database, timeout=CONNECT_SECONDS)
        else:
            connection = pymysql.connect(**where, database=login.database, connect_timeout=CONNECT_SECONDS)
        try:
            yield Session(connection)
            connection.commit()
        finally:
            connection.close()


class Session:
    """Statements on one connection; parameters as ``%s``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        cursor = self._connection.cursor()
        cursor.execute(statement, parameters)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
