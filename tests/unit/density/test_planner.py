"""The planner against brute force, and against what it promises."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.core.errors import BadValue
from lab.density.planning import planner
from lab.density.planning.planner import Class


def fewest(items: list[tuple[float, ...]], host: tuple[float, ...]) -> int:
    """Brute force: every assignment of items to bins, by the number of bins."""
    for bins in range(1, len(items) + 1):
        for where in itertools.product(range(bins), repeat=len(items)):
            loads = [[0.0] * len(host) for _ in range(bins)]
            for item, b in zip(items, where, strict=True):
                for d, v in enumerate(item):
                    loads[b][d] += v
            if all(v <= c + 1e-9 for load in loads for v, c in zip(load, host, strict=True)):
                return bins
    raise AssertionError


NEED = st.tuples(st.integers(1, 10), st.integers(0, 10)).map(lambda t: (float(t[0]), float(t[1])))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(NEED, st.integers(1, 3)), min_size=1, max_size=3))
def test_it_agrees_with_brute_force(classes: list[tuple[tuple[float, float], int]]) -> None:
    fleet = [Class(f"c{i}", count, need) for i, (need, count) in enumerate(classes)]
    items = [c.need for c in fleet for _ in range(c.count)][:5]
    fleet = [Class(c.name, sum(c.need == i for i in items), c.need) for c in {c.need: c for c in fleet}.values()]
    got = planner.solve(fleet, (10.0, 10.0))
    true = fewest(items, (10.0, 10.0))
    assert got.bound <= true <= got.best.hosts
    assert got.best.hosts == true
    assert got.best.hosts <= min(got.first_fit.hosts, got.best_fit.hosts)
    for packing in (got.best, got.first_fit, got.best_fit):
        assert planner.verify(packing, fleet, (10.0, 10.0))


def test_it_beats_first_fit_where_first_fit_errs() -> None:
    """Sizes 6, 5, 5, 4, 4, 3, 3 of 10 need 3 hosts; the greedy rules place 6+4, 5+5, 4+3+3 as well, but not here."""
    fleet = [Class("a", 4, (0.44,)), Class("b", 4, (0.28,)), Class("c", 8, (0.14,))]
    got = planner.solve(fleet, (1.0,))
    assert got.optimal
    assert got.best.hosts == got.bound == 4
    assert planner.verify(got.best, fleet, (1.0,))


def test_peaks_that_do_not_coincide_share_a_host() -> None:
    day = Class("day", 4, (0.9, 0.1))
    night = Class("night", 4, (0.1, 0.9))
    assert planner.solve([day, night], (1.0, 1.0)).best.hosts == 4
    assert planner.solve([Class("peak", 8, (0.9,))], (1.0,)).best.hosts == 8


def test_168_instances_are_proven_optimal_in_five_seconds() -> None:
    fleet = [Class("mysql", 141, (392.0, 0.1)), Class("other", 27, (310.0, 0.2))]
    began = time.monotonic()
    got = planner.solve(fleet, (4096.0, 8.0))
    assert got.optimal
    assert got.best.hosts == 16 < got.first_fit.hosts
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("classes", "host"),
    [
        ([Class("a", 1, (2.0,))], (1.0,)),
        ([Class("a", 1, (0.0,))], (1.0,)),
        ([Class("a", 1, (-1.0,))], (1.0,)),
        ([Class("a", 1, (float("nan"),))], (1.0,)),
        ([Class("a", -1, (0.5,))], (1.0,)),
        ([Class("a", 1, (0.5, 0.5))], (1.0,)),
        ([Class("a", 1, (0.5,))], (0.0,)),
        ([Class("a", 1, (0.5,))], ()),
    ],
)
def test_what_cannot_be_planned_is_refused(classes: list[Class], host: tuple[float, ...]) -> None:
    with pytest.raises(BadValue):
        planner.solve(classes, host)


def test_a_dimension_that_nobody_needs_is_no_obstacle() -> None:
    """Emulated arms have no processor need: the pattern search must not stumble over it."""
    fleet = [Class("a", 4, (0.44, 0.0)), Class("b", 4, (0.28, 0.0)), Class("c", 8, (0.14, 0.0))]
    assert planner.solve(fleet, (1.0, 1.0)).best.hosts == 4


def test_no_instances_need_no_hosts() -> None:
    assert planner.solve([Class("a", 0, (1.0,))], (1.0,)).best.hosts == 0
