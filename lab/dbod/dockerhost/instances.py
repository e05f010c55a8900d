"""One instance on a container host: its configuration, its server, and a session in it."""

from __future__ import annotations

import contextlib
import secrets
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic

from lab.core import process, waits
from lab.core.errors import DatabaseFailed, Refused
from lab.core.home import Home
from lab.dbod.dockerhost import accounts, engines, records
from lab.dbod.dockerhost.engines import STATEMENTS, UID, Engine
from lab.dbod.dockerhost.folders import Folder
from lab.dbod.dockerhost.records import Record
from lab.dbod.dockerhost.servers import Server, Servers
from lab.dbod.dockerhost.storage import Store
from lab.engines import sql
from lab.engines.sql import Login, Session

START_SECONDS = 90.0
REPLAY_SECONDS = 3600.0
PING_SECONDS = 3.0
ANSWER_SECONDS = 600.0
"""A checkpoint of a busy server takes minutes."""


class Instance(Folder):
    """A folder with a server over it."""

    def __init__(self, home: Home, store: Store, servers: Servers, record: Record) -> None:
        super().__init__(store, record)
        self.servers = servers
        self._home = home
        self._closed = False
        self._former = ""
        """The service's password where the data have another than this instance's."""

    @property
    def engine(self) -> Engine:
        """What serves it."""
        return engines.ALL[self.record.engine]

    @property
    def password(self) -> str:
        """Its owner's administrator's."""
        return records.password(self._home, self.record)

    @property
    def service_password(self) -> str:
        """Of the service's own account."""
        return self._home.secrets[f"service.{self.record.name}"]

    @contextlib.contextmanager
    def seeded(self) -> Iterator[str]:
        """Meanwhile the first start finds a password in a file: this one, which is good until it has another.

        It is on the store, which keeps what is removed until it needs the room.
        """
        seed, password = self.folder / "password", secrets.token_hex(16)
        words = ("install", f"--owner={UID}", "--mode=0400", "/dev/stdin", seed)
        process.run(*process.as_root(*words), stdin=password)
        try:
            yield password
        finally:
            seed.unlink(missing_ok=True)

    def configure(self, settings: Mapping[str, str], extra: Mapping[str, str] | None = None, name: str = "") -> None:
        """Write the configuration that the next start reads; ``name`` is added to the file's name."""
        self._furnish()
        self.put(f"server.cnf{name}", self.engine.config(settings, self.record.memory, extra or {}))

    def _furnish(self) -> None:
        """What configuration and command line name in the folder; that of an earlier version lacks it."""
        tmp = ("install", "--directory", f"--owner={UID}", f"--group={UID}", "--mode=0700", self.folder / "tmp")
        process.run(*process.as_root(*tmp))
        if self.engine.name == "mariadb":
            self.put("service.sql", accounts.mariadb(self.service_password))
        else:
            self.put("pg_hba.conf", accounts.HBA)

    def server(self) -> Server:
        """What its container is made of."""
        engine = self.engine
        return Server(
            image=f"{engine.repository}:{self.record.version}",
            argv=tuple(engine.start(self.record.version)),
            environment=engine.environment,
            volume=engine.volume,
            folder=self.folder,
            inner_port=engine.port,
            port=0 if self._closed else self.record.port,
            memory=self.record.memory,
        )

    @contextlib.contextmanager
    def session(self, *, seconds: float = ANSWER_SECONDS, database: str = "") -> Iterator[Session]:
        """The service's, in autocommit mode; ``seconds`` bounds each answer. Raises: sql.ERRORS."""
        login, host, port = self.service(database), "127.0.0.1", self.record.port
        if self._closed:
            host, port = self.servers.address(self.record.name), self.engine.port
        with sql.connect(login, host, port, seconds=seconds, answer_seconds=seconds, autocommit=True) as found:
            yield found

    def owner_session(self) -> contextlib.AbstractContextManager[Session]:
        """The owner's administrator's, in autocommit mode. Raises: sql.ERRORS."""
        seconds = ANSWER_SECONDS
        return sql.connect(
            self.login(), "127.0.0.1", self.record.port, seconds=seconds, answer_seconds=seconds, autocommit=True
        )

    def service(self, database: str = "") -> Login:
        """The service's own."""
        password = self._former or self.service_password
        return Login(self.engine.name, "127.0.0.1", accounts.SERVICE, password, database or self.engine.database)

    def login(self) -> Login:
        """Its owner's administrator's, as it was made: who has it may have changed it."""
        return Login(self.engine.name, "127.0.0.1", self.engine.admin, self.password, self.engine.database)

    def answers(self) -> bool:
        """Whether it answers a query now."""
        return self._silence() is None

    def _silence(self) -> BaseException | None:
        """Why it does not answer a query now."""
        try:
            with self.session(seconds=PING_SECONDS) as session:
                session.execute("SELECT 6 * 7")
        except sql.ERRORS as error:
            return error
        return None

    def start(self, seconds: float = START_SECONDS, former: str = "") -> float:
        """Start and wait until it answers; the seconds that took. Raises: GaveUp (its last words), TimedOut.

        A server that does not let the service in is started once more, with the service's account put back.
        ``former`` is the service's password where PostgreSQL's data have another than this instance's.
        """
        began, name = monotonic(), self.record.name
        self.limit()
        self._former = former if self.engine.name == "postgresql" else ""
        self.servers.start(name, self.record.port)
        mended = False

        def ready() -> bool:
            nonlocal mended
            error = self._silence()
            if error and accounts.shut_out(error) and not mended:
                mended = True
                self._let_in()
            if error or self.engine.name == "mariadb":
                return not error
            with self.session(seconds=PING_SECONDS) as session:
                return not session.execute("SELECT pg_is_in_recovery()")[0][0]

        waits.until(
            f"{name} to answer",
            ready,
            seconds=seconds,
            every=0.1,
            fatal=lambda: None if self.servers.running(name) else self.servers.logs(name, 12),
            transient=sql.ERRORS,
        )
        return monotonic() - began

    def _let_in(self) -> None:
        """Start it again, as a container made anew, with the service's account as it was made."""
        name, self._former = self.record.name, ""
        self.stop()
        self._furnish()
        self.servers.create(name, self.server())
        if self.engine.name == "postgresql":
            self.put("service.sql", accounts.postgresql(self.service_password, self.record.version))
            program, *options = self.engine.start(self.record.version)
            single = shlex.join([program, "--single", *options, "template1"])
            self.servers.try_out(self.server(), ["sh", "-c", f"exec {single} < {STATEMENTS}"], write=True)
        self.servers.start(name, self.record.port)

    def set_accounts(self) -> None:
        """Its own passwords, its owner's account's and the service's, for new data. Raises: sql.ERRORS."""
        with self.session() as session:
            self.engine.set_admin(session, self.password)
            self.engine.set_service(session, self.record.version, self.service_password)
        self._former = ""

    def stop(self) -> None:
        """Stop the server; one that does not run is fine."""
        if self.servers.running(self.record.name):
            self.servers.stop(self.record.name)

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Meanwhile the server has no port on this host, and only this object reaches it. It ends stopped."""
        self._closed = True
        self.servers.create(self.record.name, self.server())
        try:
            yield
        finally:
            self.stop()
            self._closed = False
            self.servers.create(self.record.name, self.server())

    def try_out(self, argv: list[str]) -> str:
        """What a program of the engine's image prints over the folder, which it can only read."""
        return self.servers.try_out(self.server(), argv)[2]

    def need_running(self) -> None:
        """Raises: Refused, if it does not answer."""
        if error := self._silence():
            why = f": {sql.said(error)}" if self.servers.running(self.record.name) else ""
            raise Refused(
                f"{self.record.name} does not answer{why}".rstrip(".") + ".",
                f"Start it: ./inv dbod start --instance={self.record.name}",
            )

    def volatile(self) -> list[str]:
        """Tables that no snapshot holds the rows of, nor any log: MEMORY's and UNLOGGED ones, as ``schema.table``."""
        with self.session() as session:
            found = self.engine.volatile(session)
            others = [name for name in self.engine.databases(session) if name != self.engine.database]
        for name in others:
            with self.session(database=name) as session:
                found += [f"{name}.{table}" for table in self.engine.volatile(session)]
        return found

    def snapshot(self, target: Path) -> dict[str, object]:
        """Quiesce, snapshot the data to ``target``, release; where the log stands. Raises: DatabaseFailed."""
        try:
            with self.session() as session, self.engine.quiesced(session) as position:
                still = contextlib.nullcontext() if self.store.atomic else self.servers.paused(self.record.name)
                with still:
                    self.store.snapshot(self.data, target, fixed=True)
        except sql.ERRORS as error:
            self.store.remove(target)
            raise DatabaseFailed(self.record.name, str(error)) from error
        if self.engine.name == "mariadb":
            log = self.log(self.record.log).name
            position["made"] = self.beneath("made", log=log, name=position["file"])
        return position

    def remove(self) -> None:
        """Take away container, data, logs and backups."""
        self.servers.destroy(self.record.name)
        self._home.secrets.forget(f"dba.{self.record.name}", f"service.{self.record.name}")
        self.remove_files()
