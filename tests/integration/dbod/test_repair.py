"""Records, passwords and facts lost while real servers hold data: that is said, and `repair` brings them back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.core.errors import StateBroken
from lab.core.home import Home
from lab.dbod import database, jobs
from lab.dbod.contract import Operation, Request, State
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.provider import DockerHost

from .hosts import do, opened, tabled

pytestmark = pytest.mark.integration


def spoil(home: Home, name: str) -> None:
    """And what SQLite keeps beside a file: while that is whole, nothing is lost."""
    for path in home.path.glob(f"{name}*"):
        path.write_bytes(path.read_bytes()[::-1])


def lose(home: Home, *names: str) -> None:
    for name in names:
        for path in home.path.glob(f"{name}*"):
            path.unlink()


LOSSES: dict[str, Callable[[Home], None]] = {
    "its records": lambda home: lose(home, database.FILE),
    "spoilt records": lambda home: spoil(home, database.FILE),
    "spoilt facts": lambda home: spoil(home, "state.json"),
    "spoilt passwords": lambda home: spoil(home, "secrets.json"),
    "all three": lambda home: lose(home, database.FILE, "state.json", "secrets.json"),
}


@pytest.fixture(scope="module")
def backups(host: DockerHost) -> dict[str, str]:
    """An instance of each engine with a row, and a backup of it."""
    made = {}
    for engine in engines.ALL:
        name = tabled(host, f"rep_{engine}", engine)
        with host.session(name) as session:
            session.execute("INSERT INTO app.t VALUES (1)")
        made[name] = str(do(host, Operation.BACKUP, name).value["id"])
    return made


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_comes_back(host: DockerHost, backups: dict[str, str], loss: str) -> None:
    home = host.home
    before = {name: do(host, Operation.CREDENTIALS, name).value for name in backups}
    LOSSES[loss](home)
    with pytest.raises(StateBroken) as refused:
        jobs.value(opened(home.name, home.root), Operation.BACKUP, next(iter(backups)))
    assert "./inv dbod repair" in refused.value.remedy
    said = do(opened(home.name, home.root), Operation.REPAIR, "").value
    assert any("made" in line or "back" in line or "from the copies" in line for line in said), said
    again = opened(home.name, home.root)
    shown = {one["name"]: one["state"] for one in do(again, Operation.LIST, "").value}
    assert shown == dict.fromkeys(backups, State.RUNNING)
    for name, backup in backups.items():
        assert do(again, Operation.CREDENTIALS, name).value == before[name]
        with again.session(name) as session:
            session.execute("INSERT INTO app.t VALUES (2)")
        do(again, Operation.RESTORE, name, backup=backup)
        with again.session(name) as session:
            assert session.execute("SELECT id FROM app.t") == [(1,)]
    assert jobs.perform(again, Request(Operation.REPAIR)).value == ["Nothing was to be done."]
