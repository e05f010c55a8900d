"""What a container host knows of its instances, damaged in every way that is known, is what was last committed."""

from __future__ import annotations

import gc
import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lab.core.errors import LabError, StateBroken
from lab.core.home import Home
from lab.dbod import database
from lab.dbod.dockerhost import copies, repair, storage
from lab.dbod.dockerhost.records import Backup, Record, Records

NAMES = ("orders", "shop", "a")
BACKUP = Backup("b1", "2026-01-02T00:00:00+00:00", "11.8", 1, {})
RECORDS = st.builds(
    Record,
    name=st.sampled_from(NAMES),
    engine=st.sampled_from(["mariadb", "postgresql"]),
    version=st.just("11.8"),
    port=st.integers(1024, 65535),
    memory=st.just(256),
    owner=st.text(max_size=8),
    category=st.just("TEST"),
    created=st.just("2026-01-01T00:00:00+00:00"),
    settings=st.dictionaries(st.sampled_from(["max_connections", "x"]), st.text(max_size=5)),
    backups=st.lists(st.just(BACKUP), max_size=1).map(tuple),
    log=st.integers(1, 9),
    ready=st.just(True),
)
CHANGES = st.lists(st.one_of(RECORDS, st.sampled_from(NAMES)), min_size=1, max_size=8)


def path(home: Home, name: str) -> Path:
    return home.path / name


def gone(file: Path) -> None:
    for one in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        one.unlink(missing_ok=True)


def empty(file: Path) -> None:
    gone(file.with_name(f"{file.name}-"))
    file.write_bytes(b"")


def cut(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def each(damage: Callable[[Path], None], *files: Path) -> None:
    for file in files:
        damage(file)


def row(file: Path) -> None:
    """A record that is well-formed, and not what was written."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE instances SET record = replace(record, '\"port\": ', '\"port\": 1')")
        connection.commit()


DAMAGE: dict[str, Callable[[Home], None]] = {
    "nothing": lambda home: None,
    "the database is gone": lambda home: gone(path(home, database.FILE)),
    "the database is empty": lambda home: empty(path(home, database.FILE)),
    "the database is cut": lambda home: cut(path(home, database.FILE)),
    "a record is another": lambda home: row(path(home, database.FILE)),
    "the facts are gone": lambda home: path(home, "state.json").unlink(),
    "the facts are cut": lambda home: cut(path(home, "state.json")),
    "the passwords are gone": lambda home: path(home, "secrets.json").unlink(),
    "the passwords are cut": lambda home: cut(path(home, "secrets.json")),
    "the copies are gone": lambda home: each(gone, *(home.path / "store/.records").glob("*")),
    "the copies are cut": lambda home: each(cut, *(home.path / "store/.records").glob("*")),
    "all but the copies is gone": lambda home: each(
        gone, *(path(home, name) for name in (database.FILE, "state.json", "secrets.json"))
    ),
}


def alone(body: Callable[[], Any]) -> Any:
    """What ``body`` gives, in a thread of its own: the database has a connection for each, and it ends with it."""
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(body).result()
    gc.collect()
    return found


def seen(home: Home) -> tuple[dict[str, Record], dict[str, str]]:
    """Records and passwords, as a new process finds them. Raises: StateBroken."""
    fresh = Home(home.name, home.root)
    records = Records(fresh, lambda: fresh.path / "store")
    found = {one.name: one for one in records.all()}
    return found, {name: fresh.secrets[f"dba.{name}"] for name in found}


def looked(home: Home) -> object:
    """As ``seen``, or the error."""
    try:
        return seen(home)
    except StateBroken as error:
        return error


def made(root: Path, changes: list[Record | str]) -> tuple[Home, tuple[dict[str, Record], dict[str, str]]]:
    """A home after these changes, and what it must be known to hold."""
    home = Home("dbod-unit", root)
    home.make()
    home.state["store"] = storage.COPY
    store = home.path / "store"
    store.mkdir()
    model: dict[str, Record] = {}

    def run() -> dict[str, str]:
        records = Records(home, lambda: store)
        records.names()  # the database is there before any data are
        for change in changes:
            if isinstance(change, Record):
                _ = home.secrets[f"dba.{change.name}"]
                (store / change.name / "data").mkdir(parents=True, exist_ok=True)
                model[change.name] = records.put(change)
            elif change in model:
                records.remove(change)
                shutil.rmtree(store / change)
                del model[change]
        return {name: home.secrets[f"dba.{name}"] for name in model}

    return home, (model, alone(run))


@settings(max_examples=40, deadline=None, derandomize=True, phases=[Phase.generate])
@given(changes=CHANGES, damage=st.sampled_from(sorted(DAMAGE)))
def test_what_was_committed_is_known_or_comes_back(changes: list[Record | str], damage: str) -> None:
    with TemporaryDirectory() as root:
        home, expected = made(Path(root), changes)
        if not expected[0]:
            return
        DAMAGE[damage](home)
        before = alone(lambda: looked(home))
        assert before == expected or "./inv dbod repair" in before.remedy
        said = alone(lambda: repair.repair(Home(home.name, home.root), lambda _: None))
        assert alone(lambda: seen(home)) == expected, said
        again = alone(lambda: repair.repair(Home(home.name, home.root), lambda _: None))
        assert [line for line in again if "is gone" not in line] == [repair.NOTHING], again


@pytest.mark.parametrize("where", range(12))
def test_a_flipped_bit_anywhere_is_no_other_record(where: int, tmp_path: Path) -> None:
    record = Record("orders", "mariadb", "11.8", 3307, 256, "me", "TEST", "2026-01-01T00:00:00+00:00", ready=True)
    home, expected = made(tmp_path, [record, replace(record, port=3308)])
    for file in (home.path / database.FILE, copies.path(home.path / "store", "orders")):
        data = bytearray(file.read_bytes())
        kept = bytes(data)
        data[len(data) * where // 12] ^= 0x10
        file.write_bytes(bytes(data))
        before = alone(lambda: looked(home))
        assert before == expected or isinstance(before, StateBroken)
        alone(lambda: repair.repair(Home(home.name, home.root), lambda _: None))
        assert alone(lambda: seen(home)) == expected
        file.write_bytes(kept)


def test_records_of_the_version_before_are_taken_over(tmp_path: Path) -> None:
    home = Home("dbod-unit", tmp_path)
    home.make()
    (home.path / "store/orders/data").mkdir(parents=True)
    old = {
        "name": "orders", "engine": "mariadb", "version": "11.8", "port": 3307, "memory": 256, "owner": "me",
        "category": "TEST", "created": "2026-01-01T00:00:00+00:00", "settings": {}, "backups": [], "log": 3,
        "ends": [], "maintenance": False, "ready": True, "done": "",
    }  # fmt: skip
    facts = {"store": "copy", "instances": ["orders"], "instance.orders": old}
    for key, value in facts.items():
        home.state[key] = value
    password = home.secrets["dba.orders"]
    found, passwords = alone(lambda: seen(home))
    assert (found["orders"].log, found["orders"].port, passwords) == (3, 3307, {"orders": password})
    assert "instances" not in json.loads((home.path / "state.json").read_text())["facts"]
    copy = copies.read(copies.path(home.path / "store", "orders"), copies.key(home.path))
    assert (copy.record["log"], copy.secrets) == (3, {"dba.orders": password})
    assert password not in copies.path(home.path / "store", "orders").read_text()


def test_without_anything_to_rebuild_from_nothing_is_made_up(tmp_path: Path) -> None:
    home = Home("dbod-unit", tmp_path)
    home.make()
    with pytest.raises(LabError, match="nothing to rebuild from"):
        repair.repair(home, lambda _: None)
