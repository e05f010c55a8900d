"""The lab's first database: created, written to, restarted, read back; the proof that the lab is for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import openstack.exceptions
from openstack.connection import Connection

from lab.cloud.offer import NETWORK
from lab.cloud.trove import Trove, named
from lab.core import waits
from lab.core.errors import CheckFailed, LabError, NotUp
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.engines import sql
from lab.engines.sql import Login

DATABASE = "labdb"
USER = "labuser"
FIRST = {"mariadb": "SELECT 1", "postgresql": f"CREATE SCHEMA IF NOT EXISTS {USER}"}
"""What its user does first. Trove grants the database, and PostgreSQL 15 took the right to its schema "public" out of
that; a schema of the user's own name is looked into first. Trove makes the user before it grants."""
ROWS = 100
FLAVOR = "db.small"


@dataclass(frozen=True)
class FirstDatabase:
    """What is needed to make and use it: the demo user's connection and a way to the machine."""

    home: Home
    datastore: str
    seconds: float
    demo: Connection
    remote: Remote

    @property
    def _key(self) -> str:
        return f"database.{self.datastore}"

    def login(self) -> Login | None:
        """How to connect, or None as long as there is no instance with an address."""
        known = self.home.state.get(self._key)
        if not known or "address" not in known:
            return None
        return Login(self.datastore, known["address"], USER, self.home.secrets[self._key], DATABASE)

    def answers(self) -> bool:
        """Whether the database that the state knows answers SQL with its rows at this moment."""
        login = self.login()
        if login is None or not self.home.state[self._key].get("proven"):
            return False
        try:
            with sql.session(self.remote, login) as db:
                return bool(db.execute("SELECT count(*) FROM proof")[0][0] == ROWS)
        except sql.ERRORS:
            return False

    def make(self, note: Note) -> None:
        """Create what is missing, then prove it: rows written, server restarted, rows read back.

        A database that was proven before (its machine was halted, say) must come back with the rows that it had.
        """
        trove = Trove(self.demo)
        known = self.home.state.get(self._key) or {}
        if known.get("proven") and known["id"] in {i["id"] for i in trove.instances()}:
            waits.until(
                f"{known['name']} to come back with its rows",
                self.answers,
                seconds=self.seconds,
                setting="--database-timeout",
                every=2.0,
                describe=lambda: str(trove.instance(known["id"])["status"]),
                transient=(openstack.exceptions.SDKException, LabError),
                note=note,
            )
            return
        instance = self._instance(trove, note)
        known = self.home.state[self._key]
        if DATABASE not in trove.databases(instance):
            trove.create_database(instance, {"name": DATABASE})
        if USER not in trove.users(instance):
            trove.create_user(instance, USER, self.home.secrets[self._key], [DATABASE])
        login = self.login()
        assert login is not None
        token = secrets.token_hex(8)
        note("writing rows")
        self._wait_sql(login, note, FIRST[login.datastore])
        with sql.session(self.remote, login) as db:
            db.execute("DROP TABLE IF EXISTS proof")
            db.execute("CREATE TABLE proof (id INTEGER PRIMARY KEY, token VARCHAR(40))")
            for number in range(ROWS):
                db.execute("INSERT INTO proof VALUES (%s, %s)", number, f"{token}-{number}")
        note("restarting the server")
        trove.restart(instance)
        waits.until(
            "the restart to begin",
            lambda: trove.instance(instance)["status"] not in {"ACTIVE", "HEALTHY"},
            seconds=10,
            setting="--database-timeout",
            every=0.5,
        )
        trove.wait_active(instance, seconds=self.seconds, note=note)
        self._wait_sql(login, note)
        with sql.session(self.remote, login) as db:
            rows = db.execute("SELECT id, token FROM proof ORDER BY id")
        if rows != [(number, f"{token}-{number}") for number in range(ROWS)]:
            raise CheckFailed("the rows that were written before the restart", f"{len(rows)} other rows came back")
        self.home.state[self._key] = {**known, "proven": True}
        self._client_file(login)

    def _instance(self, trove: Trove, note: Note) -> str:
        known = self.home.state.get(self._key) or {}
        name = f"{self.home.name}-{self.datastore}"
        # the state may be older than the cloud: the name finds what a killed run had asked for
        there = [i for i in trove.instances() if i["status"] not in {"ERROR", "SHUTDOWN"}]
        kept = [i for i in there if i["id"] == known.get("id")]
        found = named(kept or there, name)
        instance = found["id"] if found else None
        if instance is None:
            version = trove.newest(self.datastore)
            if version is None:
                raise NotUp(
                    f"Trove has no datastore {self.datastore!r}.",
                    f"./inv up --name={self.home.name} registers it.",
                )
            instance = trove.create(
                name,
                flavorRef=self.demo.compute.find_flavor(FLAVOR, ignore_missing=False).id,
                datastore={"type": self.datastore, "version": version},
                nics=[{"net-id": self.demo.network.find_network(NETWORK, ignore_missing=False).id}],
                databases=[{"name": DATABASE}],
            )
        self.home.state[self._key] = {"id": instance, "name": name}
        seen = trove.wait_active(instance, seconds=self.seconds, note=note)
        address = next(a["address"] for a in seen["addresses"])
        self.home.state[self._key] = {
            "id": instance,
            "name": name,
            "address": address,
            "version": seen["datastore"]["version"],
        }
        return str(instance)

    def _wait_sql(self, login: Login, note: Note, statement: str = "SELECT 1") -> None:
        def probe() -> bool:
            with sql.session(self.remote, login) as db:
                db.execute(statement)
            return True

        waits.until(
            f"SQL from {login.address}",
            probe,
            seconds=120,
            setting="--database-timeout",
            transient=(*sql.ERRORS, openstack.exceptions.SDKException),
            note=note,
        )

    def _client_file(self, login: Login) -> None:
        """The password where stock clients read it: an option file for mariadb, a .pgpass for psql."""
        if login.datastore == "postgresql":
            line = f"*:*:{login.database}:{login.user}:{login.password}\n"
            write_atomically(client_file(self.home, login.datastore), line, 0o600)
            return
        text = f"[client]\nuser={login.user}\npassword={login.password}\n"
        write_atomically(client_file(self.home, login.datastore), text, 0o600)


def client_file(home: Home, datastore: str) -> Path:
    """Where the stock client's credentials lie (mode 0600)."""
    return home.path / ("pgpass" if datastore == "postgresql" else "my.cnf")
