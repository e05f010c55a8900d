"""Shared fixtures: a bench run's folder with figures that we chose, for what reads rows."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.core.raw_rows import Rows
from lab.density.measure import profile

MIB = 1024 * 1024
COST = {"vm": 450.0, "vm-lean": 260.0, "vm-clone": 120.0, "container": 80.0, "shared": 16.0}
UNEXPLAINED = 0.02
CACHE = 32.0
OTHERS = 3 * 1024 * 1024
"""Bytes that another program takes at each level: no cost of a database."""
MACHINES = ("vm", "vm-lean", "vm-clone")


def pytest_collection_finish() -> None:
    """What was imported stays: a collection of garbage need not walk through all of it again (0.1 s each time)."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class DensityRun:
    """What was put in: ``cost`` in bytes for one more database (a block within 1 %), by arm the share unexplained."""

    folder: Path
    cost: dict[str, float]
    unexplained: dict[str, float]
    machines: tuple[str, ...]


@pytest.fixture(scope="session")
def density_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], DensityRun]:
    """Makes a run's folder of so many blocks: manifest and rows; one trial of ``vm`` failed."""
    return lambda blocks: _write(tmp_path_factory.mktemp("run"), blocks, "mariadb")


def _write(folder: Path, blocks: int, engine: str) -> DensityRun:
    spec = profile.spec([engine], list(COST), "1GiB", quick=True, seed=5).as_dict()
    spec["profile"]["blocks"] = blocks
    (folder / "manifest.json").write_text(json.dumps(_manifest(spec, engine)))
    rows, noise = Rows(folder), random.Random(5)
    for block in range(blocks):
        for arm, cost in COST.items():
            common: dict[str, Any] = {"block": block, "engine": engine, "arm": arm}
            _ladder(
                rows, {**common, "trial": f"{block}/{engine}/{arm}/ladder"}, cost * noise.uniform(0.99, 1.01), noise
            )
            _end(rows, common, "ladder")
            if block == 0:
                _load(rows, {**common, "trial": f"0/{engine}/{arm}/knee"}, noise)
                _end(rows, common, "knee")
    rows.add("trial", trial=f"1/{engine}/vm/noise", block=1, engine=engine, arm="vm", test="noise", status="failed",
             why="the guest's <disk> was full", loud=True)  # fmt: skip
    raw = {arm: cost * MIB + (CACHE * MIB if arm in MACHINES else 0) + OTHERS for arm, cost in COST.items()}
    unexplained = {arm: (cost * MIB * UNEXPLAINED + OTHERS) / raw[arm] for arm, cost in COST.items()}
    return DensityRun(folder, {arm: cost * MIB for arm, cost in COST.items()}, unexplained, MACHINES)


def _ladder(rows: Rows, common: dict[str, Any], cost: float, noise: random.Random) -> None:
    emulated = common["arm"] in MACHINES
    part = "guest_ram" if emulated else "database"
    rows.add("identity", **common, version="11.8", settings="x", data="y")
    for level in (0, 1, 2, 3, 4):
        if level:
            seconds = noise.uniform(5, 6) if emulated else noise.uniform(0.4, 0.5)
            rows.add("start", **common, name="x", seconds=seconds,
                     together=1 if level == 1 else 2, error="", emulated=emulated)  # fmt: skip
        for state in ("warm", "dropped"):
            lost, cache = level * cost * MIB, level * CACHE * MIB if emulated else 0
            rows.add("memory", **common, level=level, state=state, settled=True, emulated=emulated, files=0, ksm={},
                     elsewhere={"processors_free": 0},
                     meminfo={"MemAvailable": 2e10 - lost - cache - OTHERS * level, "PageTables": 5 * MIB,
                              "AnonPages": 1e9 + lost * (1 - UNEXPLAINED) + cache + OTHERS * level},
                     parts={part: lost * (1 - UNEXPLAINED), "tcg_cache": cache}, guest={}, cgroup={})  # fmt: skip
    rows.add("idle", **common, level=4, seconds=6.0, cpu=0.4 if emulated else 0.1, ksmd=0.0, emulated=emulated)


def _load(rows: Rows, common: dict[str, Any], noise: random.Random) -> None:
    emulated = common["arm"] in MACHINES
    for n in (1, 2, 4, 8):
        p95 = (40 if emulated else 5) * (1 + n / 4) * noise.uniform(0.95, 1.05)
        rows.add("load", **common, n=n, phase="ramp", rate=15, objective_ms=15.0, passed=p95 < 15, missed="",
                 emulated=emulated, worst_p95=p95, worst_p95_upper=p95 * 1.1, draw=[5, 0, n, 0])  # fmt: skip
    for relative, objective in ((True, 15.0), (False, 20.0)):
        rows.add("knee", **common, n=0 if emulated else 6, confirmed=not emulated, capped=False,
                 objective_ms=objective, relative=relative, rate=15, emulated=emulated, draw=[5])  # fmt: skip
    rows.add("fit", **common, n=int(1000 / COST[common["arm"]]), budget=1024 * MIB,
             found=int(1000 / COST[common["arm"]]), again=int(1000 / COST[common["arm"]]), confirmed=True,
             capped=False)  # fmt: skip
    for phase in ("quiet", "noisy"):
        rows.add("noise", **common, phase=phase, emulated=emulated, pooled_p99=10.0 if phase == "quiet" else 35.0,
                 draw=[5, 0, 3, 1])  # fmt: skip


def _end(rows: Rows, common: dict[str, Any], test: str) -> None:
    name = f"{common['block']}/{common['engine']}/{common['arm']}/{test}"
    rows.add("trial", trial=name, **common, test=test, status="done", why="", error="", loud=False)


def _manifest(spec: dict[str, Any], engine: str) -> dict[str, Any]:
    return {
        "version": 1,
        "made": "2026-01-02T03:04:05+00:00",
        "command": "./inv density-bench --quick",
        "spec": spec,
        "host": {"kernel": "6.1", "processors": 2, "memory": 24 * 1024**3, "cgroup": 1, "thp": "madvise", "swap": 0},
        "docker": {"ServerVersion": "20.10", "Driver": "overlay2"},
        "accelerator": {"name": "tcg", "why": "/dev/kvm is there, but no kernel booted", "cache_mib": {"vm": 128}},
        "engines": {engine: {"hashes": {"binary": "b" * 64, "config": "c" * 64, "data": "d" * 64}}},
        "tools": {"pgbench": "pgbench 17", "sysbench": ""},
    }
