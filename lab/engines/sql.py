"""SQL against an instance's own address, from this host through the machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pg8000.dbapi
import pymysql

from lab.core.ssh import Channel, Remote

PORTS = {"mariadb": 3306, "postgresql": 5432}
CONNECT_SECONDS = 20
ANSWER_SECONDS = 60
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
    """A session through the machine; the work is committed at the end. Raises: any of ``ERRORS``."""
    with remote.channel(login.address, login.port) as channel:
        channel.settimeout(ANSWER_SECONDS)
        with connect(login, login.address, login.port, answer_seconds=ANSWER_SECONDS, through=channel) as found:
            yield found


@contextlib.contextmanager
def connect(
    login: Login,
    host: str,
    port: int,
    *,
    seconds: float = CONNECT_SECONDS,
    answer_seconds: float | None = None,
    autocommit: bool = False,
    through: Channel | None = None,
) -> Iterator[Session]:
    """A session with the server at ``host``, or at the end of ``through``; committed at its end.

    Raises: any of ``ERRORS``.

    No TLS within ``through``: Python's wants a socket of the system, and SSH hides all but the last leg, which is a
    lab's private network. ``seconds`` bounds connecting, and in pg8000, which has one bound for both, each answer
    too; ``answer_seconds`` bounds MariaDB's greeting and answers: a frozen server's port accepts connections and
    says nothing.
    """
    where: dict[str, Any] = {"host": host, "port": port, "user": login.user, "password": login.password}
    connection: Any
    if login.datastore == "postgresql":
        connection = pg8000.dbapi.connect(
            **where,
            database=login.database,
            timeout=seconds,
            sock=_Socket(through) if through else None,
            ssl_context=False if through else None,
        )
        connection.autocommit = autocommit
    else:
        connection = pymysql.connect(
            **where,
            database=login.database or None,
            connect_timeout=seconds,
            read_timeout=answer_seconds,
            write_timeout=answer_seconds,
            autocommit=autocommit,
            defer_connect=True,
            ssl_disabled=through is not None,
        )
        connection.connect(through)
    try:
        yield Session(connection)
        if not autocommit:
            connection.commit()
    finally:
        with contextlib.suppress(*ERRORS):
            connection.close()


class _Socket:
    """A channel for pg8000, which calls ``makefile`` by a name that a channel's has not."""

    def __init__(self, channel: Channel) -> None:
        self.close = channel.close
        self._channel = channel

    def makefile(self, mode: str) -> Any:
        return self._channel.makefile(mode)


class Session:
    """Statements on one connection; parameters as ``%s``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        cursor = self._connection.cursor()
        cursor.execute(statement, parameters)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def columns(self, statement: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Run one statement (SHOW …, say) and return these columns of its rows."""
        cursor = self._connection.cursor()
        cursor.execute(statement)
        where = [[column[0] for column in cursor.description].index(name) for name in names]
        return [tuple(row[i] for i in where) for row in cursor.fetchall()]


def said(error: BaseException) -> str:
    """The server's message out of a driver's error; the cause of one of ours."""
    last = error.args[-1] if error.args else error
    return str(last.get("M", last)) if isinstance(last, dict) else str(last)
