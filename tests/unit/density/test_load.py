"""What pgbench and sysbench print, read; and the verdict on a window."""

from __future__ import annotations

import pytest

from lab.density.load import generators
from lab.density.load.generators import Load, Window
from lab.density.measure import searches

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
