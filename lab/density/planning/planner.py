"""Hosts needed for a fleet: vector bin packing of few classes, exact where provable.

Cutting-stock model (Gilmore & Gomory 1961): a pattern is how many instances of each class one host takes; column
generation gives the bound, an integer program over the patterns the solution (HiGHS). Beside it first fit and best
fit, decreasing. A resource may be a time series: every hour is then a dimension of its own, so that peaks which do
not coincide share a host (Kairos, SIGMOD'11).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import highspy
import numpy as np

from lab.core.errors import BadValue

EPSILON = 1e-9
ROUNDS = 400


@dataclass(frozen=True)
class Class:
    """``count`` equal instances; ``need`` has one number a dimension, in the host's units."""

    name: str
    count: int
    need: tuple[float, ...]


@dataclass(frozen=True)
class Packing:
    """``hosts`` found by ``method``; ``patterns``: (times used, instances of each class on such a host)."""

    method: str
    hosts: int
    patterns: tuple[tuple[int, tuple[int, ...]], ...]
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The best packing, the proven lower ``bound``, and the simple rules beside it."""

    best: Packing
    first_fit: Packing
    best_fit: Packing
    volume_bound: int
    bound: int

    @property
    def optimal(self) -> bool:
        """Whether it is proven that no packing needs fewer hosts."""
        return self.best.hosts == self.bound

    @property
    def gap(self) -> float:
        """(hosts - bound) / bound: how far from optimal the plan can be at most."""
        return (self.best.hosts - self.bound) / self.bound if self.bound else 0.0


def solve(classes: Sequence[Class], host: Sequence[float], *, seconds: float = 30.0) -> Plan:
    """Plan a fleet on equal hosts of capacity ``host``.

    ``seconds`` bounds the exact search. Raises: BadValue if an instance fits no empty host, or a number is no number.
    """
    _check(classes, host)
    fleet = [c for c in classes if c.count > 0]
    if not fleet:
        nothing = Packing("exact", 0, (), 0.0)
        return Plan(nothing, nothing, nothing, 0, 0)
    need = np.array([c.need for c in fleet], dtype=float) / np.asarray(host, dtype=float)
    counts = np.array([c.count for c in fleet], dtype=int)
    volume = max(1, math.ceil(float((need * counts[:, None]).sum(axis=0).max()) - 1e-6))
    first, best = _first_fit(need, counts), _best_fit(need, counts)
    greedy = min((first, best), key=lambda p: p.hosts)
    if greedy.hosts == volume:
        return Plan(greedy, first, best, volume, volume)
    exact, bound = _patterns(need, counts, [first, best], seconds)
    return Plan(min((exact, greedy), key=lambda p: p.hosts), first, best, volume, max(bound, volume))


def verify(packing: Packing, classes: Sequence[Class], host: Sequence[float]) -> bool:
    """Whether every instance is placed exactly once and no host is over its capacity in any dimension."""
    fleet = [c for c in classes if c.count > 0]
    placed = [0] * len(fleet)
    for times, pattern in packing.patterns:
        for k, number in enumerate(pattern):
            placed[k] += times * number
        for d, capacity in enumerate(host):
            if sum(n * c.need[d] for n, c in zip(pattern, fleet, strict=True)) > capacity * (1 + 1e-6):
                return False
    return placed == [c.count for c in fleet] and packing.hosts == sum(times for times, _ in packing.patterns)


def _check(classes: Sequence[Class], host: Sequence[float]) -> None:
    if not host or any(not math.isfinite(c) or c <= 0 for c in host):
        raise BadValue("host", list(host), "a positive size for every dimension", "the planner")
    for c in classes:
        if len(c.need) != len(host) or any(not math.isfinite(v) or v < 0 for v in c.need) or c.count < 0:
            raise BadValue(f"class {c.name}", c.need, f"{len(host)} numbers, none negative", "the planner")
        if c.count and not any(v > 0 for v in c.need):
            raise BadValue(f"class {c.name}", c.need, "an instance that needs something", "the planner")
        if c.count and any(v > size * (1 + EPSILON) for v, size in zip(c.need, host, strict=True)):
            raise BadValue(
                f"class {c.name}", c.need, f"an instance that fits an empty host {tuple(host)}", "the planner"
            )


def _order(need: np.ndarray) -> list[int]:
    return sorted(range(len(need)), key=lambda k: (-float(need[k].max()), -float(need[k].sum())))


def _fits(room: np.ndarray, need: np.ndarray) -> int:
    """How many of one class fit into ``room``."""
    used = need > 0
    return max(0, int(np.floor((room[used] / need[used]).min() + 1e-9)))


def _first_fit(need: np.ndarray, counts: np.ndarray) -> Packing:
    """First fit, decreasing: equal instances are placed a host at a time, which gives the same hosts."""
    began = monotonic()
    return _greedy("first fit", need, counts, best=False, began=began)


def _best_fit(need: np.ndarray, counts: np.ndarray) -> Packing:
    """Best fit, decreasing: the host whose free room is most like the need (dot product, Panigrahy et al. 2011)."""
    return _greedy("best fit", need, counts, best=True, began=monotonic())


def _greedy(method: str, need: np.ndarray, counts: np.ndarray, *, best: bool, began: float) -> Packing:
    classes, dims = need.shape
    # hosts with the same content are kept once, with how many there are: 100,000 instances stay a few rows
    groups: list[tuple[int, np.ndarray, tuple[int, ...]]] = []
    for k in _order(need):
        left = int(counts[k])
        order = list(range(len(groups)))
        if best:
            order.sort(key=lambda g: float((groups[g][1] * need[k]).sum()))
        changed: list[tuple[int, np.ndarray, tuple[int, ...]]] = []
        untouched = set(order)
        for g in order:
            times, room, content = groups[g]
            take = min(_fits(room, need[k]), left)
            if take == 0:
                continue
            untouched.discard(g)
            whole = min(times, left // take)
            changed.append((whole, room - take * need[k], _plus(content, k, take)))
            left -= whole * take
            rest = times - whole
            if rest and left:
                changed.append((1, room - left * need[k], _plus(content, k, left)))
                left, rest = 0, rest - 1
            if rest:
                changed.append((rest, room, content))
        groups = [groups[g] for g in sorted(untouched)] + changed
        empty = np.ones(dims)
        most = _fits(empty, need[k])
        for take, times in ((most, left // most), (left % most, 1)):
            if take and times:
                groups.append((times, empty - take * need[k], _plus((0,) * classes, k, take)))
    patterns = tuple((times, content) for times, _, content in groups)
    return Packing(method, sum(times for times, _ in patterns), patterns, monotonic() - began)


def _plus(content: tuple[int, ...], k: int, number: int) -> tuple[int, ...]:
    return (*content[:k], content[k] + number, *content[k + 1 :])


def _patterns(need: np.ndarray, counts: np.ndarray, known: list[Packing], seconds: float) -> tuple[Packing, int]:
    began = monotonic()
    deadline = began + seconds
    columns = {p for packing in known for _, p in packing.patterns}
    columns |= {_plus((0,) * len(need), k, min(_fits(np.ones(need.shape[1]), need[k]), int(counts[k])))
                for k in range(len(need))}  # fmt: skip
    bound = 0
    for _ in range(ROUNDS):
        ordered = sorted(columns)
        value, duals = _master(ordered, counts)
        fresh, price, price_bound = _price(need, counts, duals, deadline)
        # Farley's bound: any LP value divided by the best price is a lower bound, converged or not
        bound = max(bound, math.ceil(value / max(price_bound, 1.0) - 1e-6))
        if price <= 1 + 1e-7 or fresh in columns or monotonic() > deadline:
            break
        columns.add(fresh)
    uses = _integer(sorted(columns), counts, max(1.0, deadline - monotonic()), bound)
    patterns = _trimmed(uses, counts)
    return Packing("exact", sum(t for t, _ in patterns), patterns, monotonic() - began), bound


def _solver() -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    return solver


def _master(columns: list[tuple[int, ...]], counts: np.ndarray) -> tuple[float, np.ndarray]:
    """The linear covering problem over known patterns: its value and the price of each class."""
    solver = _solver()
    uses = [solver.addVariable(lb=0.0, obj=1.0) for _ in columns]
    for k, count in enumerate(counts):
        solver.addConstr(sum(u * c[k] for u, c in zip(uses, columns, strict=True) if c[k]) >= int(count))
    solver.minimize()
    return solver.getInfo().objective_function_value, np.maximum(np.array(solver.getSolution().row_dual), 0.0)


def _price(
    need: np.ndarray, counts: np.ndarray, duals: np.ndarray, deadline: float
) -> tuple[tuple[int, ...], float, float]:
    """The most valuable pattern at these prices (a knapsack in all dimensions), its value and a bound on that."""
    solver = _solver()
    solver.setOptionValue("time_limit", max(0.5, deadline - monotonic()))
    numbers = [
        solver.addIntegral(lb=0, ub=min(int(c), _fits(np.ones(need.shape[1]), need[k])), obj=-float(duals[k]))
        for k, c in enumerate(counts)
    ]
    for d in np.flatnonzero(need.any(axis=0)):
        solver.addConstr(sum(n * float(need[k, d]) for k, n in enumerate(numbers) if need[k, d] > 0) <= 1.0 + EPSILON)
    solver.minimize()
    info = solver.getInfo()
    values = solver.getSolution().col_value
    pattern = tuple(round(v) for v in values) if values else (0,) * len(counts)
    return pattern, float(np.dot(pattern, duals)), -info.mip_dual_bound


def _integer(
    columns: list[tuple[int, ...]], counts: np.ndarray, seconds: float, bound: int
) -> list[tuple[int, tuple[int, ...]]]:
    """The fewest hosts over known patterns; stops at the bound."""
    solver = _solver()
    solver.setOptionValue("time_limit", seconds)
    solver.setOptionValue("objective_target", float(bound))
    uses = [solver.addIntegral(lb=0, obj=1.0) for _ in columns]
    for k, count in enumerate(counts):
        solver.addConstr(sum(u * c[k] for u, c in zip(uses, columns, strict=True) if c[k]) >= int(count))
    solver.minimize()
    values = solver.getSolution().col_value
    return [(round(v), c) for v, c in zip(values, columns, strict=True) if round(v)]


def _trimmed(uses: list[tuple[int, tuple[int, ...]]], counts: np.ndarray) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Covering may place an instance twice: take the surplus away, and hosts that are left empty."""
    surplus = np.array([sum(t * p[k] for t, p in uses) for k in range(len(counts))]) - counts
    done: list[tuple[int, tuple[int, ...]]] = []
    for times, pattern in uses:
        left = times
        while left and surplus.any():
            cut = np.minimum(np.array(pattern), surplus)
            surplus = surplus - cut
            done.append((1, tuple(int(v) for v in np.array(pattern) - cut)))
            left -= 1
        done.append((left, pattern))
    return tuple((t, p) for t, p in done if t and any(p))
