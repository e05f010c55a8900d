"""One instance on a container host: its folder, its configuration, its server, and a session in it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from lab.core import process, waits
from lab.core.errors import CheckFailed, DatabaseFailed, Refused
from lab.core.home import Home
from lab.core.resources import PACKAGE
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.engines import UID, Engine
from lab.dbod.dockerhost.records import Record
from lab.dbod.dockerhost.servers import Server, Servers
from lab.dbod.dockerhost.storage import Store
from lab.engines import sql
from lab.engines.sql import Login, Session

START_SECONDS = 90.0
REPLAY_SECONDS = 3600.0
PING_SECONDS = 3.0
BENEATH_SECONDS = 3600.0
BENEATH = (
    f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from lab.dbod.dockerhost.beneath import main; main()"
)
ANSWER_SECONDS = 600.0
"""A checkpoint of a busy server takes minutes."""


class Instance:
    """A record with its folder ``store/NAME``: data, log-N, ``log`` (a link to the present one), server.cnf."""

    def __init__(self, home: Home, store: Store, servers: Servers, record: Record) -> None:
        self.record = record
        self.store = store
        self.servers = servers
        self._home = home
        self._closed = False

    @property
    def engine(self) -> Engine:
        """What serves it."""
        return engines.ALL[self.record.engine]

    @property
    def folder(self) -> Path:
        """What its container sees as /srv."""
        return self.store.path / self.record.name

    @property
    def data(self) -> Path:
        """The volume of which snapshots are taken."""
        return self.folder / "data"

    @property
    def backups(self) -> Path:
        """Where its snapshots are, out of its server's sight."""
        return self.store.backups / self.record.name

    @property
    def password(self) -> str:
        """The administrator's."""
        return self._home.secrets[f"dba.{self.record.name}"]

    def log(self, number: int) -> Path:
        """The volume of the log of that number."""
        return self.folder / f"log-{number}"

    def make_folders(self) -> None:
        """The folder with an empty log; data are the caller's to put there."""
        for folder, mode in ((self.folder, 0o755), (self.store.backups, 0o700), (self.backups, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)  # whatever our umask is: the server is another user
        self.begin_log(self.record.log)

    def begin_log(self, number: int) -> None:
        """Let the server write into log ``number``, made if it is not there."""
        if not self.log(number).exists():
            self.store.create(self.log(number), UID)
        self._link("log", number)

    def replay_log(self, number: int) -> None:
        """Show the server the log that it is to replay."""
        self._link("log-replayed", number)

    def configure(self, settings: Mapping[str, str], extra: Mapping[str, str] | None = None, name: str = "") -> None:
        """Write the configuration that the next start reads; ``name`` is added to the file's name."""
        target = self.folder / f"server.cnf{name}"
        target.write_text(self.engine.config(settings, self.record.memory, extra or {}), encoding="utf-8")
        target.chmod(0o644)

    def server(self) -> Server:
        """What its container is made of."""
        engine = self.engine
        return Server(
            image=f"{engine.repository}:{self.record.version}",
            argv=tuple(engine.start(self.record.version)),
            environment=engine.environment(self.password),
            folder=self.folder,
            inner_port=engine.port,
            port=0 if self._closed else self.record.port,
            memory=self.record.memory,
        )

    @contextlib.contextmanager
    def session(
        self, *, seconds: float = ANSWER_SECONDS, password: str = "", database: str = ""
    ) -> Iterator[Session]:
        """The administrator's, in autocommit mode; ``seconds`` bounds each answer. Raises: sql.ERRORS."""
        login, host, port = self.login(password), "127.0.0.1", self.record.port
        login = replace(login, database=database or login.database)
        if self._closed:
            host, port = self.servers.address(self.record.name), self.engine.port
        with sql.connect(login, host, port, seconds=seconds, answer_seconds=seconds, autocommit=True) as found:
            yield found

    def login(self, password: str = "") -> Login:
        """The administrator's."""
        engine = self.engine
        return Login(engine.name, "127.0.0.1", engine.admin, password or self.password, engine.database)

    def answers(self, password: str = "") -> bool:
        """Whether it answers a query now."""
        try:
            with self.session(seconds=PING_SECONDS, password=password) as session:
                return bool(session.execute("SELECT 6 * 7")[0][0] == 42)
        except sql.ERRORS:
            return False

    def start(self, password: str = "", seconds: float = START_SECONDS) -> float:
        """Start and wait until it answers; the seconds that took. Raises: GaveUp (its last words), TimedOut."""
        began, name = monotonic(), self.record.name
        self.servers.start(name, self.record.port)

        def ready() -> bool:
            if not self.answers(password):
                return False
            if self.engine.name == "mariadb":
                return True
            with self.session(seconds=PING_SECONDS, password=password) as session:
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

    def beneath(self, action: str, **words: Any) -> Any:
        """An action of beneath.py in the folder, as the server's user. Raises: CheckFailed (by what was planted)."""
        program = (sys.executable, "-B", "-c", BENEATH, self.folder, action)
        done = process.run(*process.as_root(*program), stdin=json.dumps(words), timeout=BENEATH_SECONDS)
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise CheckFailed(f"the folder of {self.record.name}", answer["error"])
        return answer["value"]

    def try_out(self, argv: list[str]) -> str:
        """What a program of the engine's image prints over the folder, which it can only read."""
        return self.servers.try_out(self.server(), argv)[2]

    def need_running(self) -> None:
        """Raises: Refused, if it does not answer."""
        if not self.answers():
            raise Refused(
                f"{self.record.name} does not answer.", f"Start it: ./inv dbod start --instance={self.record.name}"
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
                    self.store.snapshot(self.data, target)
        except sql.ERRORS as error:
            self.store.remove(target)
            raise DatabaseFailed(self.record.name, str(error)) from error
        if self.engine.name == "mariadb":
            log = self.log(self.record.log).name
            position["made"] = self.beneath("made", log=log, name=position["file"])
        return position

    def left(self) -> str:
        """The first folder of this name on the store, be it of data or of backups; empty where there is none."""
        return next((str(path) for path in (self.folder, self.backups) if path.exists()), "")

    def remove(self) -> None:
        """Take away container, data, logs and backups."""
        self.servers.remove(self.record.name)
        if self.backups.exists():
            for one in sorted(self.backups.iterdir()):
                self.store.remove(one)
            self.backups.rmdir()
        if self.folder.exists():
            for one in sorted(self.folder.iterdir()):
                if one.is_dir() and not one.is_symlink():
                    self.store.remove(one)
                else:
                    one.unlink()
            self.folder.rmdir()

    def _link(self, name: str, number: int) -> None:
        process.run("ln", "-sfnT", f"log-{number}", self.folder / name)
