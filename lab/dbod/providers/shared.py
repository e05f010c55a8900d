"""The cheapest way: one server, and in it a schema and an account per database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from lab.core.errors import DatabaseFailed, Missing, Refused
from lab.core.waits import Note
from lab.dbod import jobs, lock
from lab.dbod.contract import DISK_MOST, Handler, Operation, Request, State, Value
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.instances import PING_SECONDS, Instance
from lab.dbod.dockerhost.provider import DockerHost
from lab.engines import sql
from lab.engines.sql import Login, Session

SERVER = "shared_"
"""Before an engine's name: the server that all databases of that engine are in."""
RESERVED = {
    "mariadb": {"information_schema", "mariadb", "mariadb.sys", "mysql", "performance_schema", "root", "sys"},
    "postgresql": {"postgres", "template0", "template1"},
    "SQL": {"none", "public"},
}
"""Databases and accounts that the servers bring with them, and words that are no account's in either engine."""
PREFIX = "pg_"
"""PostgreSQL keeps every role that begins so for itself."""
THERE = {
    "mariadb": (
        "SELECT 1 FROM mysql.user WHERE user = '{}'",
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = '{}'",
    ),
    "postgresql": ("SELECT 1 FROM pg_roles WHERE rolname = '{}'", "SELECT 1 FROM pg_database WHERE datname = '{}'"),
}
"""Whether a server has an account of that name, and a database."""
Run = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement; gives its rows."""
ONE = "one server serves all databases"
LACKS = {
    Operation.START: f"{ONE}: it is started for all or for none",
    Operation.STOP: f"{ONE}: it is stopped for all or for none",
    Operation.CONFIG_GET: f"{ONE} with one configuration, which is not the user's",
    Operation.CONFIG_PUT: f"{ONE} with one configuration, which is not the user's",
    Operation.BACKUP: f"{ONE} on one volume: a snapshot holds every database, not this one",
    Operation.BACKUPS: "there are no backups of one database",
    Operation.BACKUP_DELETE: "there are no backups of one database",
    Operation.DRILL: "there are no backups of one database",
    Operation.AUTOMATIC_BACKUPS: "there are no backups of one database",
    Operation.RESTORE: f"{ONE} on one volume: a restore would take every database back",
    Operation.CLONE: "there is no backup of one database to clone from",
    Operation.UPGRADE: f"{ONE} in one version",
    Operation.RESIZE: f"{ONE} under one memory limit",
    Operation.LOGS: "the server's log holds what other users did",
    Operation.REPLICATE: f"{ONE}: it is replicated for all or for none",
    Operation.PROMOTE: "there are no replicas",
    Operation.MAINTENANCE: f"{ONE}: its maintenance is everybody's",
    Operation.ADOPT: f"{ONE}: a database of its own that has no record is not told from another's",
}
WORK = {
    Operation.PING: "a connection with a deadline",
    Operation.MONITOR: "a query for the schema's size and connections",
    Operation.CHECK: "a connection as every account",
    Operation.CREDENTIALS: "a random password, kept 0600",
    Operation.REPAIR: "copies of the servers' records, databases in them, from which lost files are made again",
}


class Shared:
    """The provider ``shared``; its servers are instances of a container host that it keeps for itself.

    ``host`` takes no lock: what changes something holds it here, be it about a server or about what is in it. With
    ``owned`` the caller holds it.
    """

    name = "shared"
    work = WORK
    lacks = LACKS

    def __init__(self, host: DockerHost, owned: bool = False) -> None:
        self.host = host
        self._owned = owned

    @property
    def does(self) -> Mapping[Operation, Handler]:
        """What it has."""
        return {
            Operation.CREATE: self._alone(self._create),
            Operation.DESTROY: self._alone(self._destroy),
            Operation.LIST: lambda _request, _note: [self._shown(name) for name in sorted(self._known())],
            Operation.PING: lambda request, _note: {"answers": self._answers(request.instance)},
            Operation.MONITOR: self._monitor,
            Operation.CHECK: lambda _request, _note: [self._shown(name) for name in sorted(self._known())],
            Operation.CREDENTIALS: self._credentials,
            Operation.REPAIR: self._alone(self.host.does[Operation.REPAIR]),
        }

    def _alone(self, body: Handler) -> Handler:
        return body if self._owned else lock.alone(body, self.host.home.path, self.host.home.name)

    def session(self, name: str) -> AbstractContextManager[Session]:
        """The account's own session: there is no administrator's for users."""
        login = self._login(name)
        return sql.connect(login, "127.0.0.1", self._server(login.datastore).record.port, autocommit=True)

    def _known(self) -> dict[str, dict[str, Any]]:
        """Database to its engine and owner."""
        return {
            name: {"engine": server.engine, "owner": owner}
            for server in self.host.records.all()
            for name, owner in server.databases.items()
        }

    def _keep(self, engine: str, databases: Callable[[Mapping[str, str]], dict[str, str]]) -> None:
        server = self._server(engine).record
        self.host.records.put(replace(server, databases=databases(server.databases)))

    def _engine(self, name: str) -> str:
        try:
            return str(self._known()[name]["engine"])
        except KeyError as error:
            have = ", ".join(sorted(self._known())) or "none"
            raise Refused(f"There is no database {name!r}.", f"Databases here: {have}.") from error

    def _server(self, engine: str) -> Instance:
        return self.host.instance(SERVER + engine)

    def _login(self, name: str) -> Login:
        return self._account(self._engine(name), name)

    def _account(self, engine: str, name: str) -> Login:
        return Login(engine, "127.0.0.1", name, self.host.home.secrets[f"account.{name}"], name)

    def _create(self, request: Request, note: Note) -> Value:
        name, engine = request.instance, request.engine
        if request.port or request.version:
            what = "port" if request.port else "version"
            raise Missing(self.name, "create", f"{ONE}: a database has no {what} of its own")
        if name.startswith(PREFIX) or any(name in names for names in RESERVED.values()):
            raise Refused(f"{name!r} is a name of the servers' own.", "Choose another name.")
        if name in self._known():
            if self._engine(name) != engine:
                raise Refused(f"There is a {self._engine(name)} database {name!r} already.", "Choose another name.")
            note("it is there already")
            return self._shown(name)
        if self.host.records.find(SERVER + engine) is None:
            note("starting the server that all share")
            jobs.value(self.host, Operation.CREATE, SERVER + engine, engine=engine, disk=DISK_MOST)
        with self._admin(engine) as run:
            self._make(run, self._account(engine, name))
        self._keep(engine, lambda there: {**there, name: request.owner})
        return self._shown(name)

    def _make(self, run: Run, login: Login) -> None:
        """The account, its database and its rights. Raises: Refused (the server has one of that name), sql.ERRORS.

        What is there is left as it is. It is gone on with where the account opens with the password that we keep:
        then a create that was killed had made it. A create that fails takes back what it made itself.
        """
        engine, name = login.datastore, login.user
        account, database = (bool(run(query.format(name))) for query in THERE[engine])
        if (account or database) and not (account and self._opens(login)):
            what = "an account" if account else "a database"
            raise Refused(
                f"The shared {engine} server has {what} {name!r} already, which was not made here.",
                "Choose another name.",
            )
        made: list[str] = []
        try:
            # the contract checks names, passwords are alphanumeric (lab/core/secrets.py)
            if engine == "mariadb":
                if not account:
                    run(f"CREATE USER `{name}`@'%%' IDENTIFIED BY '{login.password}'")
                    made.append(f"DROP USER `{name}`@'%%'")
                if not database:
                    run(f"CREATE DATABASE `{name}`")
                    made.append(f"DROP DATABASE `{name}`")
                # in a GRANT, _ stands for any character: a_b would be given axb too
                pattern = name.replace("_", "\\_")
                run(f"GRANT ALL PRIVILEGES ON `{pattern}`.* TO `{name}`@'%%'")
            else:
                if not account:
                    run(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{login.password}'")
                    made.append(f'DROP ROLE "{name}"')
                if not database:
                    run(f'CREATE DATABASE "{name}" OWNER "{name}"')
                    made.append(f'DROP DATABASE "{name}"')
                run(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
        except BaseException:
            for statement in reversed(made):
                with contextlib.suppress(*sql.ERRORS):  # what stays opens with our password: the next create goes on
                    run(statement)
            raise

    def _opens(self, login: Login) -> bool:
        """Whether the account is there with the password that we keep, be there no database of its own yet."""
        anywhere = replace(login, database="" if login.datastore == "mariadb" else engines.POSTGRESQL.database)
        try:
            with sql.connect(anywhere, "127.0.0.1", self._server(login.datastore).record.port, seconds=PING_SECONDS):
                return True
        except sql.ERRORS:
            return False

    def _destroy(self, request: Request, note: Note) -> Value:
        name = request.instance
        if name not in self._known():
            note("there is none of that name")
            return
        engine = self._engine(name)
        with self._admin(engine) as run:
            self._drop(run, engine, name)
        self._keep(engine, lambda there: {key: owner for key, owner in there.items() if key != name})

    def _drop(self, run: Run, engine: str, name: str) -> None:
        if engine == "mariadb":
            run(f"DROP DATABASE IF EXISTS `{name}`")
            run(f"DROP USER IF EXISTS `{name}`@'%%'")
        else:
            run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            run(f'DROP ROLE IF EXISTS "{name}"')

    def _monitor(self, request: Request, note: Note) -> Value:
        name = request.instance
        shown = self._shown(name)
        if shown["state"] != State.RUNNING:
            return shown
        with self._admin(self._engine(name)) as run:
            if self._engine(name) == "mariadb":
                size = run("SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables "
                           f"WHERE table_schema = '{name}'")  # fmt: skip
            else:
                size = run(f"SELECT pg_database_size('{name}')")
        return {**shown, "bytes": int(size[0][0])}

    def _credentials(self, request: Request, note: Note) -> Value:
        login = self._login(request.instance)
        port = self._server(login.datastore).record.port
        return {"host": login.address, "port": port, "user": login.user, "password": login.password}

    def _answers(self, name: str) -> bool:
        login = self._login(name)
        port = self._server(login.datastore).record.port
        try:
            with sql.connect(login, "127.0.0.1", port, seconds=PING_SECONDS, answer_seconds=PING_SECONDS) as session:
                return bool(session.execute("SELECT 6 * 7")[0][0] == 42)
        except sql.ERRORS:
            return False

    def _shown(self, name: str) -> dict[str, Any]:
        server = self._server(self._engine(name)).record
        return {
            "name": name,
            "engine": server.engine,
            "version": server.version,
            "host": "127.0.0.1",
            "port": server.port,
            "owner": self._known()[name]["owner"],
            "state": str(State.RUNNING if self._answers(name) else State.UNKNOWN),
        }

    @contextlib.contextmanager
    def _admin(self, engine: str) -> Iterator[Run]:
        """Statements as the server's administrator. Raises: DatabaseFailed with the server's words."""
        try:
            with self._server(engine).session() as session:
                yield session.execute
        except sql.ERRORS as error:
            raise DatabaseFailed("the shared server", str(error)) from error
