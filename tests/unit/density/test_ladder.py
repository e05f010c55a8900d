"""The ladder against an arm whose memory we made up: when it waits, when it samples, when it climbs again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lab.density import protocol
from lab.density.analysis import account
from lab.density.host import cgroup, surroundings
from lab.density.host.resident import Resident
from lab.density.measure import ladder, profile

MIB = 1024 * 1024


class Climbable:
    """A stage with databases of 80 MiB, of which the account misses the share ``missing`` in each climb."""

    def __init__(self, *missing: float, left: float = 1e9) -> None:
        spec = profile.spec(["mariadb"], ["container"], "1GiB", quick=True, seed=1)
        clock = SimpleNamespace(left=left)
        self.bench = SimpleNamespace(spec=spec, ground=SimpleNamespace(clock=clock, machines=None, cloud=None))
        self.trial = SimpleNamespace(arm="container", block=5)
        self.baked = SimpleNamespace(engine=SimpleNamespace(fingerprint=lambda *_: {}))
        self.missing = list(missing)
        self.rows: list[dict[str, Any]] = []
        self.did: list[str] = []

    @contextlib.contextmanager
    def opened(self, most: int) -> Iterator[tuple[Any, Any]]:
        up: list[int] = []
        self.share = self.missing.pop(0)
        arm = SimpleNamespace(
            places=lambda: up, up=up, merging=False, emulated=False, pids=list,
            resident=lambda ask=False: Resident({"database": int(len(up) * 80 * MIB * (1 - self.share))}, 0),
        )  # fmt: skip
        yield arm, SimpleNamespace(usage=lambda: cgroup.Usage(0, 0, 0, 0, 0))

    def sample(self, look: Any) -> dict[str, Any]:
        self.did.append("sample")
        parts = look().parts
        lost = parts["database"] / (1 - self.share)
        meminfo = {"MemAvailable": 9e9 - lost, "AnonPages": parts["database"]}
        return {"meminfo": meminfo, "elsewhere": {"processors_free": 0}, "parts": parts, "guest": {}}

    def add(self, arm: Any, count: int) -> None:
        arm.up += range(count)

    def settle(self, arm: Any, *, fresh: bool) -> bool:
        return True

    def check_alive(self, arm: Any) -> None:
        pass

    def row(self, kind: str, **values: Any) -> None:
        self.rows.append({"kind": kind, **values})

    def note(self, text: str) -> None:
        pass


def climb(stage: Climbable, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Run the ladder: each attempt's number, and whether another followed."""

    def rest(_: float) -> bool:
        stage.did.append("rest")
        return True

    monkeypatch.setattr(surroundings, "drop_caches", lambda: stage.did.append("drop"))
    monkeypatch.setattr(surroundings, "rest", rest)
    monkeypatch.setattr(account, "sample", stage.sample)
    monkeypatch.setattr(ladder, "password", lambda: "x")
    ladder.run(stage)  # type: ignore[arg-type]
    return [(r["attempt"], r["again"]) for r in stage.rows if r["kind"] == "closure"]


def test_every_sample_after_the_page_cache_was_emptied_waits_until_memory_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Climbable(0.0)
    climb(stage, monkeypatch)
    levels = len(stage.bench.spec.profile.levels)
    assert stage.did == ["drop", "rest", "sample"] + ["sample", "drop", "rest", "sample"] * levels


def test_a_ladder_with_too_much_unexplained_is_taken_again_and_both_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Climbable(0.2, 0.01)
    assert climb(stage, monkeypatch) == [(1, True), (2, False)]
    assert {r["attempt"] for r in stage.rows if r["kind"] == "memory"} == {1, 2}
    assert [r["kind"] for r in stage.rows].count("identity") == 1


def test_it_is_not_taken_for_ever_nor_without_time_nor_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    assert climb(Climbable(*[0.2] * 9), monkeypatch) == [(1, True), (protocol.ATTEMPTS, False)]
    assert climb(Climbable(0.2, left=0.0), monkeypatch) == [(1, False)]
    assert climb(Climbable(protocol.UNEXPLAINED * 0.9), monkeypatch) == [(1, False)]
