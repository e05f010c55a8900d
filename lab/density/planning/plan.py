"""The fleet plan: measured footprints, a fleet and a host give the number of hosts for each arm."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from scipy.stats import t

from lab.core import raw_rows
from lab.core.errors import BadFile, BadValue, Unsupported
from lab.core.resources import RESOURCES
from lab.density.analysis import summary
from lab.density.analysis.stats import Estimate
from lab.density.analysis.summary import Arm
from lab.density.measure import fleet as fleets
from lab.density.measure.profile import parse_size
from lab.density.planning import planner
from lab.density.planning.planner import Class, Plan
from lab.density.protocol import CONFIDENCE

RESERVE = 0.1
"""Share of a host that is left to itself."""
HOURS = 24
KEPT = RESOURCES / "benchmarks" / "results" / "density"
"""A folder for each run that the project keeps."""
MOST = 10_000_000


@dataclass(frozen=True)
class Kind:
    """Databases of one sort: ``cpus`` in cores at their busiest; ``hourly`` shares of memory and cpu, a day long."""

    name: str
    engine: str
    count: int
    cpus: float
    hourly_cpu: tuple[float, ...]
    hourly_memory: tuple[float, ...]


@dataclass(frozen=True)
class Planned:
    """One arm's plan. ``skipped`` says why there is none.

    ``stand_ins``: engines that were never measured in this arm, each with the measured one that it is planned as.
    ``fullest``: memory of the fullest host in bytes, with its 95 % prediction interval; ``fits``: how probable it is
    that this is in the room that the plan gives it. Both None where an estimate is only a range. They hold what
    differed from block to block of one run, and nothing of what differs between hosts or workloads.
    """

    arm: str
    plan: Plan | None
    bytes_each: dict[str, float]
    emulated: bool
    skipped: str = ""
    stand_ins: dict[str, str] = field(default_factory=dict)
    fullest: Estimate | None = None
    fits: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json`` and the report."""
        if self.plan is None:
            return {"arm": self.arm, "hosts": None, "why": self.skipped}
        return {
            "arm": self.arm,
            "hosts": self.plan.best.hosts,
            "method": self.plan.best.method,
            "lower_bound": self.plan.bound,
            "volume_bound": self.plan.volume_bound,
            "optimal": self.plan.optimal,
            "gap": round(self.plan.gap, 5),
            "first_fit": self.plan.first_fit.hosts,
            "best_fit": self.plan.best_fit.hosts,
            "seconds": round(self.plan.best.seconds, 3),
            "bytes_each": {k: round(v) for k, v in self.bytes_each.items()},
            "assumed": [f"{e} was not measured here, and is planned as {as_}" for e, as_ in self.stand_ins.items()],
            "fullest_host_bytes": self.fullest.as_dict() if self.fullest else None,
            "probability_that_it_fits": None if self.fits is None else round(self.fits, 4),
            "emulated_cpu": self.emulated,
        }


def folders(names: Sequence[str]) -> list[Path]:
    """The bench folders that were named; without any, those that the project keeps. Raises: BadFile."""
    found = [Path(name) for name in names] or sorted(p.parent for p in KEPT.glob(f"*/{raw_rows.FILE}"))
    if not found:
        raise BadFile(KEPT, "no run is kept there", "Name the folder that ./inv density-bench wrote: --results=DIR.")
    return found


def plan(
    fleet: str, host: str, results: Sequence[Path], arms: Sequence[str] = (), *, seconds: float = 30.0
) -> list[Planned]:
    """Plan ``fleet`` (``dbod`` or a JSON file) on equal hosts (``memory=256GiB,cpus=64``) for each arm measured.

    Footprints are the slopes in the bench folders ``results``, or what their enforced budgets showed; of several the
    one with the most blocks. An engine that was not measured in an arm is planned as the largest one that was, and
    the plan says so.
    Raises: BadFile, BadValue, Unsupported.
    """
    kinds = load(fleet)
    size = parse_host(host)
    told = summary.Summary({}, [], True, 0)
    for folder in results:
        for name, arm in summary.summarise(raw_rows.read(folder)).arms.items():
            if name not in told.arms or len(arm.accounts) > len(told.arms[name].accounts):
                told.arms[name] = arm
    measured = list(dict.fromkeys(arm for _, arm in told.arms))
    if unknown := [a for a in arms if a not in measured]:
        raise Unsupported(f"There is no measurement of {unknown[0]!r}.", f"There are {', '.join(measured)}.")
    return [one(arm, kinds, size, told, seconds) for arm in (arms or measured)]


def one(
    arm: str, kinds: Sequence[Kind], host: tuple[float, float], figures: summary.Summary, seconds: float
) -> Planned:
    """The plan of one arm; an engine that was not measured in it is planned as the largest that was."""
    need: dict[str, tuple[float, float]] = {}
    slopes: dict[str, Estimate] = {}
    stand_ins: dict[str, str] = {}
    emulated = False
    measured = {e: a for (e, name), a in figures.arms.items() if name == arm and a.slope and a.slope.point > 0}
    if not measured:
        return Planned(arm, None, {}, False, f"nothing was measured in the arm {arm}")
    for engine in dict.fromkeys(k.engine for k in kinds if k.count):
        known = engine if engine in measured else max(measured, key=lambda e: _need(measured[e]).point)
        if known != engine:
            stand_ins[engine] = known
        found = measured[known]
        slopes[engine] = _need(found)
        emulated |= found.emulated
        # an emulator's processor time says nothing about a host with KVM
        idle = 0.0 if found.emulated or not found.idle else fmean(found.idle.values()) / 60
        need[engine] = (slopes[engine].point, idle)
    timed = any(k.hourly_cpu or k.hourly_memory for k in kinds)
    hours = HOURS if timed else 1
    classes = [
        Class(
            k.name,
            k.count,
            (
                *(need[k.engine][0] * _share(k.hourly_memory, h) for h in range(hours)),
                *(need[k.engine][1] + k.cpus * _share(k.hourly_cpu, h) for h in range(hours)),
            ),
        )
        for k in kinds
        if k.count
    ]
    room = [size * (1 - RESERVE) for size in host for _ in range(hours)]
    made = planner.solve(classes, room, seconds=seconds)
    fullest, fits = _fullest(made, [k for k in kinds if k.count], slopes, stand_ins, room[0])
    return Planned(arm, made, {e: n[0] for e, n in need.items()}, emulated, "", stand_ins, fullest, fits)


def _fullest(
    made: Plan, kinds: Sequence[Kind], slopes: dict[str, Estimate], stand_ins: dict[str, str], room: float
) -> tuple[Estimate | None, float | None]:
    """Memory of the plan's fullest host with its 95 % prediction interval, and how probable it is in ``room``.

    Databases of one measured engine err together: their number multiplies the slope's standard error.
    """
    if any(s.how == "range" for s in slopes.values()) or not made.best.patterns:
        return None, None
    numbers: list[dict[str, float]] = []
    for _, pattern in made.best.patterns:
        held: dict[str, float] = {}
        for kind, number in zip(kinds, pattern, strict=True):
            known = stand_ins.get(kind.engine, kind.engine)
            held[known] = held.get(known, 0.0) + number * max(kind.hourly_memory, default=1.0)
        numbers.append(held)
    by_source = {stand_ins.get(engine, engine): slope for engine, slope in slopes.items()}
    held = max(numbers, key=lambda one: sum(n * by_source[e].point for e, n in one.items()))
    point = sum(n * by_source[e].point for e, n in held.items())
    blocks = min(s.blocks for s in by_source.values())
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, blocks - 1))
    error = math.hypot(*(n * (by_source[e].high - by_source[e].low) / 2 / quantile for e, n in held.items()))
    half = quantile * error
    fits = float(t.cdf((room - point) / error, blocks - 1)) if error else float(point <= room)
    return Estimate(point, point - half, point + half, blocks, "t95"), fits


def _need(arm: Arm) -> Estimate:
    """Bytes for one more database: the slope, or what an enforced budget showed where that is more.

    A budget that held n databases and not n + 1 shows that one needs at least its (n + 1)th part: merged or shared
    memory has to be had before it is saved, which no slope at rest tells.
    """
    slope = arm.slope
    assert slope is not None
    shown = [r["budget"] / (max(r["found"], r["again"]) + 1) for r in arm.fit if r["found"] and not r["capped"]]
    more = max(0.0, max(shown, default=0.0) - slope.point)
    return Estimate(slope.point + more, slope.low + more, slope.high + more, slope.blocks, slope.how)


def load(name: str) -> list[Kind]:
    """``dbod``, {"mariadb": 141}, or {"classes": [{name, engine, count, cpus, hourly_cpu, hourly_memory}, …]}.

    Raises: BadFile, BadValue, Unsupported.
    """
    path = Path(name)
    data: Any = {}
    if name != "dbod":
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadFile(path, str(error), "Give --fleet=dbod or a JSON file; README shows both forms.") from error
    if not isinstance(data, dict) or "classes" not in data:
        counts = fleets.load(name).counts
        return [Kind(engine, engine, count, 0.04, (), ()) for engine, count in counts.items()]
    try:
        return [_kind(row, name) for row in data["classes"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(path, f"a class lacks or spoils {error}", "Each needs name, engine and count.") from error


def parse_host(text: str) -> tuple[float, float]:
    """``memory=256GiB,cpus=64`` as (bytes, cores). Raises: BadValue."""
    words = dict(word.split("=", 1) for word in text.split(",") if "=" in word)
    if set(words) != {"memory", "cpus"}:
        raise BadValue("host", text, "memory and cpus, as in memory=256GiB,cpus=64", "--host")
    try:
        cpus = float(words["cpus"])
    except ValueError:
        cpus = 0.0
    if not 0 < cpus <= 100_000:
        raise BadValue("host", text, "a number of processors", "--host")
    return float(parse_size(words["memory"], "--host")), cpus


def _kind(row: dict[str, Any], where: str) -> Kind:
    shapes = []
    for key in ("hourly_cpu", "hourly_memory"):
        shape = tuple(float(v) for v in row.get(key, ()))
        if shape and (len(shape) != HOURS or any(not 0 <= v <= 1 for v in shape)):
            raise BadValue(key, row.get(key), f"{HOURS} shares between 0 and 1", where)
        shapes.append(shape)
    kind = Kind(str(row["name"]), str(row["engine"]), int(row["count"]), float(row.get("cpus", 0.04)), *shapes)
    if not 0 <= kind.count <= MOST or not kind.cpus >= 0:
        raise BadValue("class", row, "a count from 0 and cpus that are not negative", where)
    return kind


def _share(shape: tuple[float, ...], hour: int) -> float:
    return shape[hour] if shape else 1.0
