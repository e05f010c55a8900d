"""What a watch over a broken instance concludes, with a provider that breaks and heals as the test says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.core import run_manifest
from lab.core.errors import Missing
from lab.dbod.contract import Operation, Request
from lab.dbod.evaluation import evaluate, faults
from lab.dbod.evaluation.faults import Fault, Patience, Watch
from lab.dbod.evaluation.trial import Trial
from lab.report import dbod as page


class Broken:
    """A provider; ``down`` counts the connections that will fail, ``told`` the questions that show it."""

    name = "trove"

    def __init__(self) -> None:
        self.work: dict[Operation, str] = {}
        self.down = self.told = 0
        self.started = self.stopped = False
        self.rows: list[tuple[object, ...]] = []
        self.does = {Operation.MONITOR: self._monitor, Operation.START: self._start}

    @contextlib.contextmanager
    def session(self, name: str) -> Iterator[Broken]:
        if self.down:
            self.down -= 1
            raise OSError("connection refused")
        yield self

    def execute(self, statement: str, *parameters: Any) -> list[tuple[object, ...]]:
        if statement.startswith("INSERT"):
            self.rows.append(parameters)
        if statement.startswith("DROP"):
            self.rows.clear()
        return [(1,)] if statement == "SELECT 1" else list(self.rows)

    def _monitor(self, request: Request, note: Any) -> dict[str, str]:
        self.told = max(0, self.told - 1)
        if self.stopped:
            return {"state": "STOPPED", "status": "ACTIVE SHUTDOWN"}
        return {"state": "RUNNING", "status": "ACTIVE ERROR" if self.told else "ACTIVE HEALTHY"}

    def _start(self, request: Request, note: Any) -> None:
        self.down, self.stopped, self.started = 0, False, True


def harm(provider: Broken, **broken: int) -> faults.Strike:
    """A strike that breaks the provider so."""

    @contextlib.contextmanager
    def strike(trial: Trial, watch: Watch) -> Iterator[None]:
        vars(provider).update(broken)
        yield

    return strike


def endured(monkeypatch: pytest.MonkeyPatch, strike: Any, provider: Broken) -> dict[str, Any]:
    monkeypatch.setitem(faults.PATIENCE, "trove", Patience(0.001, 0.02, 0.1))
    return faults.endured(Trial(provider, "mariadb", "ev"), Fault("It breaks", strike))  # type: ignore[arg-type]


def test_what_heals_by_itself_and_who_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Broken()
    strike = harm(provider, down=3)

    row = endured(monkeypatch, strike, provider)
    assert set(row["noticed"]) == {"connecting"}
    assert row["user"] == "connection refused"
    assert (row["by"], row["survived"], row["why"]) == ("itself", True, "")
    assert row["healthy"] is not None


def test_what_only_the_provider_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Broken()
    strike = harm(provider, told=4)

    row = endured(monkeypatch, strike, provider)
    assert set(row["noticed"]) == {"provider"}
    assert (row["user"], row["by"]) == ("", "itself")
    assert any("RUNNING (ACTIVE ERROR)" in words for words in row["evidence"])


def test_what_nobody_notices_is_well_after_the_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    row = endured(monkeypatch, lambda trial, watch: contextlib.nullcontext(), Broken())
    assert (row["noticed"], row["healthy"], row["by"], row["survived"]) == ({}, 0.0, "itself", True)


def test_what_a_start_heals_and_what_nothing_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Broken()
    strike = harm(provider, down=10**6, stopped=True)

    row = endured(monkeypatch, strike, provider)
    assert provider.started
    assert (row["by"], row["survived"]) == ("start", True)
    provider.does[Operation.START] = lambda request, note: None
    monkeypatch.setattr("lab.dbod.evaluation.trial.ANSWER_SECONDS", 0.05)
    row = endured(monkeypatch, strike, provider)
    assert (row["by"], row["healthy"], row["survived"]) == ("nobody", None, False)


def test_rows_that_are_lost_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Broken()

    @contextlib.contextmanager
    def strike(trial: Trial, watch: Watch) -> Iterator[None]:
        provider.rows.clear()
        yield

    row = endured(monkeypatch, strike, provider)
    assert not row["survived"]
    assert "rows [1] should be there" in row["why"]


def test_a_strike_that_is_not_possible_here_is_not_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def strike(trial: Trial, watch: Watch) -> contextlib.AbstractContextManager[None]:
        raise Missing("trove", "it", "not here")

    row = endured(monkeypatch, strike, Broken())
    assert not row["tried"]
    assert page.broken([row]) == []


def test_the_page_has_a_row_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    provider = Broken()
    strike = harm(provider, down=3)

    rows = [
        {"kind": "scenario", "provider": "trove", "engine": "mariadb", "requirement": "create", "title": "Create",
         "operation": "create", "in_2014": "", "outcome": "native", "why": "", "seconds": 1.0, "evidence": [],
         "operations": []},
        {"kind": "fault", **endured(monkeypatch, strike, provider)},
    ]  # fmt: skip
    (tmp_path / run_manifest.FILE).write_text(
        json.dumps({"version": 1, "sittings": [evaluate.sitting("./inv dbod-evaluate")]})
    )
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = page.report(tmp_path).read_text()
    assert 'id="fault-trove-mariadb-strike"' in text
    assert "connection refused" in text
    assert "Of 1 faults that were tried, the data survived 1; nothing was seen of 0, 1 healed by themselves" in text
    assert "1 were noticed by connecting only" in text
