"""destroy's refusals: a name that nothing has, databases that nobody said yes to; nothing is removed by either."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core.errors import NoSuchLab, Refused, StateBroken
from lab.core.home import Home
from lab.dbod.dockerhost import records
from lab.dbod.dockerhost.records import Record, Records
from lab.lifecycle import destroy
from lab.lifecycle.destroy import Sweepers


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labs lie in ``tmp_path``; no Docker engine answers. Names of the homes that were swept."""
    done: list[str] = []
    monkeypatch.setattr("lab.lifecycle.destroy.Home", lambda name: Home(name, tmp_path))
    monkeypatch.setattr("lab.lifecycle.destroy.Home.all", lambda: [Home("other", tmp_path)], raising=False)
    monkeypatch.setattr("lab.containers.client.usable", lambda: "there is none")
    monkeypatch.setattr("lab.lifecycle.leftovers.sweep", lambda home, keep, note: done.append(home.name))
    return done


def home(tmp_path: Path, name: str, *instances: str) -> Home:
    made = Home(name, tmp_path)
    made.make()
    (made.path / "store").mkdir()
    made.state["store"] = "copy"
    for one in instances:
        record = Record(one, "mariadb", "11.8", 3307, 256, "", "TEST", "2026-01-01T00:00:00+00:00")
        Records(made, lambda: made.path / "store").put(record)
    return made


def remove(name: str, *, yes: bool = False) -> list[str]:
    return destroy.destroy([name], Sweepers(databases=records.held), dry_run=False, keep_cache=True, yes=yes)


def test_a_name_that_nothing_has(swept: list[str]) -> None:
    with pytest.raises(NoSuchLab):
        remove("nobody")
    assert swept == []


def test_databases_want_a_yes(swept: list[str], tmp_path: Path) -> None:
    home(tmp_path, "dbod", "orders", "shop")
    with pytest.raises(Refused, match="orders, shop"):
        remove("dbod")
    assert (tmp_path / "dbod/state.json").exists()
    assert swept == []
    remove("dbod", yes=True)
    assert swept == ["dbod"]


def test_a_home_without_databases_wants_none(swept: list[str], tmp_path: Path) -> None:
    home(tmp_path, "dbod")
    remove("dbod")
    assert swept == ["dbod"]


def test_damaged_records_are_no_reason_to_remove_what_they_are_of(swept: list[str], tmp_path: Path) -> None:
    made = home(tmp_path, "dbod", "orders")
    (made.path / "state.json").write_text("{")
    with pytest.raises(Refused, match="cannot be read"):
        remove("dbod")
    with pytest.raises(StateBroken) as broken:
        _ = Home("dbod", tmp_path).state
    assert "destroy" not in broken.value.remedy
    assert swept == []
