"""What pgbench and sysbench print, read; and the verdict on a window."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy.stats import chi2

from lab.core.errors import CheckFailed
from lab.density.arms.shared import Shared
from lab.density.engine import MARIADB, POSTGRESQL, Engine, Place
from lab.density.load import generators
from lab.density.load.generators import Load, Window
from lab.density.measure import profile, searches

PGBENCH = "".join(
    f"0 {i} {word} 0 {1000 + i} 0 10\n"
    for i, word in enumerate(["90000", "90000", "90000", "2000", "3000", "skipped", "4000", "failed", "5000", "6000"])
)
SYSBENCH = """[ 1s ] thds: 2 tps: 9.0 qps: 1 (r/w/o: 1/1/1) lat (ms,95%): 900.00 err/s: 0.00 reconn/s: 0.00
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
     900.000 |****                                     40
    ignored errors:                      7      (0.20 per sec.)
[ 4s ] thds: 2 tps: 9.0 qps: 1 (r/w/o: 1/1/1) lat (ms,95%): 4.00 err/s: 0.00 reconn/s: 0.00
[ 5s ] thds: 2 tps: 9.0 qps: 1 (r/w/o: 1/1/1) lat (ms,95%): 8.00 err/s: 0.00 reconn/s: 0.00
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       2.500 |****                                     3
       8.000 |*                                        1
    ignored errors:                      1      (0.20 per sec.)
"""


def test_pgbench_counts_what_it_skipped_and_leaves_the_warm_up_out() -> None:
    got = generators.parse_pgbench(PGBENCH, 7)
    assert got.latencies == (2.0, 3.0, 4.0, 5.0, 6.0)
    assert (got.skipped, got.failed) == (1, 1)


def test_sysbench_is_read_from_after_its_checkpoint() -> None:
    got = generators.parse_sysbench(SYSBENCH, 2)
    assert got.latencies == (2.5, 2.5, 2.5, 8.0)
    assert got.failed == 1
    assert got.drift == 2.0


@pytest.mark.parametrize("parse", [generators.parse_pgbench, generators.parse_sysbench])
def test_no_output_is_no_data_and_says_so(parse: object) -> None:
    got = parse("FATAL: The event queue is full.\n", 5)  # type: ignore[operator]
    assert not got.latencies
    assert got.error


def window(*loads: Load) -> dict[str, object]:
    return Window(loads, 10.0, 0.1).summary()


GOOD = Load(tuple(float(v) for v in range(1, 101)), 10)


def test_the_worst_database_decides_not_the_mean() -> None:
    slow = Load(tuple(v + 100 for v in GOOD.latencies), 10)
    told = window(GOOD, GOOD, GOOD, slow)
    assert told["worst_p95"] == 195.0
    assert told["pooled_p50"] == 67.0
    assert searches.missed(told, 150).startswith("worst p95")
    assert not searches.missed(window(GOOD), 150)


def test_an_aborted_generator_is_a_missed_objective() -> None:
    assert "queue is full" in searches.missed(window(GOOD, Load((), 10, error="the queue is full")), 1e9)


def test_skipped_transactions_miss_the_objective() -> None:
    assert "lost" in searches.missed(window(Load(GOOD.latencies, 10, skipped=1)), 1e9)


RATE, SECONDS, GENERATORS, WINDOWS = 15, 60, 8, 24


def arrivals(seed: int) -> int:
    """A generator's transactions in a window: both tools draw gaps of an exponential distribution from their seed."""
    draws, at, count = random.Random(seed), 0.0, 0
    while (at := at + draws.expovariate(RATE)) < SECONDS:
        count += 1
    return count


def seed_of(engine: Engine, draw: tuple[int, ...], instance: int) -> int:
    """The seed that a generator is given on its command line."""
    words = generators.command(
        engine, Place("h", 1), Path("x"), RATE, SECONDS, generators.seed(draw, instance)
    )  # fmt: skip
    return int(re.findall(r"--(?:rand|random)-seed=(\d+)", " ".join(words))[0])


def poisson(totals: list[int]) -> float:
    """How probable such a scatter is at least, if every window's total were Poisson's: the dispersion test."""
    expected = RATE * SECONDS * GENERATORS
    scatter = sum((total - expected) ** 2 / expected for total in totals)
    return float(min(chi2.sf(scatter, len(totals)), chi2.cdf(scatter, len(totals))))


@pytest.mark.parametrize("engine", [MARIADB, POSTGRESQL], ids=lambda e: e.name)
def test_arrivals_at_different_databases_are_independent(engine: Engine) -> None:
    """Totals over databases scatter as independent arrivals do; with one seed for all, as sysbench's clock gives
    those that start together, they scatter eight times as much, and the same test says so."""
    own = [sum(arrivals(seed_of(engine, (1, 0, 8, w), i)) for i in range(GENERATORS)) for w in range(WINDOWS)]
    assert poisson(own) > 0.01
    clock = [GENERATORS * arrivals(1_800_000_000 + 63 * w) for w in range(WINDOWS)]
    assert poisson(clock) < 1e-6


def test_every_generator_has_a_seed_of_its_own_and_a_repeated_window_the_same_ones() -> None:
    draws = [(study, block, n, w) for study in (1, 2) for block in range(5) for n in range(1, 13) for w in range(3)]
    seeds = {generators.seed(draw, i) for draw in draws for i in (*range(12), "aggressor")}
    assert len(seeds) == len(draws) * 13
    assert all(0 < seed < 2**31 for seed in seeds)
    assert generators.seed((1, 2, 3, 4), 5) == generators.seed((1, 2, 3, 4), 5)


def window_of(*served: int, skipped: int = 0) -> Window:
    loads = tuple(Load((1.0,) * count, SECONDS, skipped=skipped) for count in served)
    return Window(loads, RATE, 0.1)


def test_transactions_that_never_came_are_lost() -> None:
    """900 are due a database. 354 of 3,750 that were neither served nor skipped passed for none lost once."""
    assert window_of(900, 820, 905).lost == 0.0
    assert window_of(900, 600).lost == pytest.approx(300 / 1800)
    assert "lost" in searches.missed(window_of(900, 600).summary(), 1e9)
    assert window_of(900, 880, skipped=10).lost == pytest.approx(20 / 1800)
    # 30 fewer at one are chance, at each of sixteen they are not
    assert window_of(870).missing == 0
    assert window_of(*[870] * 16).missing == 16 * 30


def test_a_generator_without_a_rate_owes_nothing() -> None:
    assert Window((Load((1.0,), SECONDS),), 0, 0.1).lost == 0.0


@pytest.mark.parametrize(("engine", "option"), [(MARIADB, "--max-connections="), (POSTGRESQL, "max_connections=")])
def test_the_shared_server_has_connections_for_every_database_it_holds(engine: Engine, option: str) -> None:
    """32 databases with two clients each failed on a limit of 60, and it looked like load."""
    networks = SimpleNamespace(network=lambda _: contextlib.nullcontext(SimpleNamespace(name="n")))
    baked: Any = SimpleNamespace(engine=engine, argv=list)
    shared = Shared(SimpleNamespace(dockers=networks), baked, None)  # type: ignore[arg-type]
    shared.open(32)
    (limit,) = [int(word.removeprefix(option)) for word in shared._words if word.startswith(option)]
    assert limit >= 32 * generators.CLIENTS + 2 * generators.CLIENTS


class Loadable:
    """A stage whose worst p95 is 4 ms and 2 ms more for each database; it keeps its rows, and how often it loaded."""

    def __init__(self, objective_ms: float) -> None:
        spec = profile.spec(["mariadb"], ["container"], "1GiB", quick=True, seed=1, objective_ms=objective_ms)
        self.bench = SimpleNamespace(spec=spec, ground=SimpleNamespace(clock=SimpleNamespace(check=lambda: None)))
        self.trial = SimpleNamespace(arm="container")
        self.rows: list[dict[str, Any]] = []
        self.loaded: list[tuple[int, int]] = []
        self.data = True

    @contextlib.contextmanager
    def opened(self, most: int) -> Iterator[tuple[Any, None]]:
        up: list[int] = []
        yield SimpleNamespace(places=lambda: up, dead=list, emulated=False, up=up), None

    def add(self, arm: Any, count: int) -> None:
        arm.up += range(count)

    def load(self, places: list[int], n: int, number: int, *, seconds: int) -> dict[str, Any]:
        self.loaded.append((n, number))
        assert len(places) == n
        if not self.data:
            return {"broken": 1, "why": "the queue is full", "lost": 0}
        return {"broken": 0, "lost": 0, "worst_p95_upper": 4.0 + 2 * n, "drift": 1.0}

    def row(self, kind: str, **values: Any) -> None:
        self.rows.append({"kind": kind, **values})

    def note(self, text: str) -> None:
        pass


def test_one_objective_is_relative_and_one_is_the_same_for_all_arms() -> None:
    stage = Loadable(objective_ms=20)
    searches.at_objective(stage)  # type: ignore[arg-type]
    knees = [r for r in stage.rows if r["kind"] == "knee"]
    # alone 6 ms: 12 ms is kept by 4, and 20 ms by 8
    assert [(k["relative"], k["objective_ms"], k["n"], k["confirmed"]) for k in knees] == [
        (True, 12, 4, True),
        (False, 20, 8, True),
    ]
    assert len(set(stage.loaded)) == len(stage.loaded), "a window's arrivals are never those of another"
    ramps = [r["n"] for r in stage.rows if r["kind"] == "load" and r["phase"] != "confirm"]
    assert len(ramps) == len(set(ramps)), "what was seen once is judged again, not loaded again"


def test_no_latency_alone_is_no_objective() -> None:
    stage = Loadable(objective_ms=20)
    stage.data = False
    with pytest.raises(CheckFailed, match="queue is full"):
        searches.at_objective(stage)  # type: ignore[arg-type]
