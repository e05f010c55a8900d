"""The searches: how many fit the enforced budget, how many keep the latency objective; and a noisy neighbour."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import asdict
from time import monotonic
from typing import Any

from lab.core import raw_rows
from lab.core.errors import CheckFailed, DiskFull, Interrupted, LabError
from lab.core.units import MIB
from lab.density import arm_names
from lab.density.analysis import summary
from lab.density.analysis.summary import CACHE
from lab.density.arms.base import Arm
from lab.density.arms.machines import KINDS
from lab.density.engine import TRANSIENT, Place
from lab.density.host import surroundings
from lab.density.host.cgroup import Budget
from lab.density.measure import knee
from lab.density.measure.stage import Stage
from lab.density.protocol import LOST

FIT_MOST = 64
CAREFUL = 0.8
"""The first step into the budget: this share of what the measured slope promises to fit, all at once."""
NEIGHBOURS = 3
STEADY = 1.3
"""A set-up is warm when the second half of a window is at most this much quicker or slower than the first."""
WARM_WINDOWS = 3


def fit(stage: Stage) -> None:
    """Grow until one more fails; then, afresh and by the same steps, that many pass and one more fails again."""
    first, found, batch = _promised(stage), 0, 1
    while first and not found:
        batch = first
        found = _grow(stage, batch, FIT_MOST, "ramp")
        first //= 2
    again = _grow(stage, batch, min(found + 1, FIT_MOST), "confirm") if found else 0
    stage.row(
        "fit", n=min(found, again), budget=stage.bench.spec.budget, found=found, again=again,
        confirmed=found == again and 0 < found < FIT_MOST, capped=found == FIT_MOST,
    )  # fmt: skip


def _promised(stage: Stage) -> int:
    """The first step: what the slope measured so far in this run promises, with room to spare; 1 without a slope."""
    told = summary.summarise(raw_rows.read(stage.bench.rows.path.parent))
    arm = told.arms.get((stage.trial.engine, stage.trial.arm))
    if arm is None or arm.slope is None or arm.slope.point <= 0:
        return 1
    return max(1, min(FIT_MOST, int(stage.bench.spec.budget * CAREFUL / arm.slope.point)))


def _grow(stage: Stage, first: int, limit: int, phase: str) -> int:
    """The largest N up to ``limit`` at which every database answers with its whole pool, none killed.

    ``first`` are started side by side, then one after the other.
    """
    with stage.opened(limit, stage.bench.spec.budget) as (arm, budget):
        passed = 0
        for n in range(min(first, limit), limit + 1):
            stage.note(f"{n} in the budget ({phase})")
            why = _more(stage, arm, budget, n - passed, phase)
            stage.row("fit-step", n=n, phase=phase, passed=not why, why=why, cgroup=asdict(budget.usage()))
            if why:
                break
            passed = n
        return passed


def _more(stage: Stage, arm: Arm, budget: Budget, count: int, phase: str) -> str:
    """Why ``count`` more databases do not fit; empty if they do."""
    before, began = surroundings.mark(), monotonic()
    size = stage.bench.spec.budget
    try:
        if arm.emulated:
            # the emulator's cache is no cost of a machine: it is granted on top, as much as may come, then as it is
            budget.resize(size + KINDS[stage.trial.arm].cache * MIB * (len(arm.places()) + count))
        stage.add(arm, count, phase=phase)
        if arm.merging and count > 1:
            stage.settle(arm)
        stage.touch(arm.places()[-2:])
        if arm.emulated and not budget.resize(size + arm.resident().parts.get(CACHE, 0)):
            return "more memory in use than the budget"
        stage.check_alive(arm)
    except (DiskFull, Interrupted):
        raise
    except (LabError, *TRANSIENT) as error:
        stage.bench.ground.clock.check()
        kills = budget.usage().oom_kills
        return f"{'killed for memory; ' if kills else ''}{error}"
    if kills := budget.usage().oom_kills:
        return f"{kills} killed for memory"
    stalled = surroundings.since(before)["stalled"]
    if stalled is not None and stalled > 0.5 * (monotonic() - began):
        return f"everything waited for memory for {stalled:.1f} s"
    return ""


class _Loaded:
    """The knee's set-up: databases under an open-loop load, made anew for every confirming window."""

    def __init__(self, stage: Stage, fresh: contextlib.ExitStack) -> None:
        profile = stage.bench.spec.profile
        self.limit = profile.machine_knee_limit if stage.trial.arm in arm_names.MACHINES else profile.knee_limit
        self._stage = stage
        self._fresh = fresh
        self._arm: Arm | None = None
        self._windows = 0
        self._seen: dict[int, dict[str, Any]] = {}

    @property
    def emulated(self) -> bool:
        """Whether the arm's processor figures are an emulator's."""
        return self._arm is not None and self._arm.emulated

    def keeps(self, n: int, phase: str, limit_ms: float) -> bool:
        """Whether ``n`` databases keep the objective; a window that was seen is judged again, unless to confirm."""
        if phase == "confirm" or n not in self._seen:
            self._seen[n] = self.window(n, phase, limit_ms)
        return not missed(self._seen[n], limit_ms)

    def window(self, n: int, phase: str, limit_ms: float) -> dict[str, Any]:
        """Load ``n`` databases: what was seen; ``dead`` says which of them did not live through it."""
        stage = self._stage
        profile = stage.bench.spec.profile
        stage.bench.ground.clock.check()
        stage.note(f"load on {n} ({phase})")
        arm, places = self._up(n, anew=phase == "confirm")
        told = stage.load(places, n, self._windows, seconds=profile.window_seconds)
        self._windows += 1
        told["dead"] = "; ".join(arm.dead())
        why = missed(told, limit_ms)
        stage.row(
            "load", n=n, phase=phase, rate=profile.rate, objective_ms=limit_ms, passed=not why, missed=why,
            emulated=arm.emulated, **told,
        )  # fmt: skip
        return told

    def _up(self, n: int, *, anew: bool) -> tuple[Arm, list[Place]]:
        if anew or self._arm is None:
            self._fresh.close()
            self._arm = self._fresh.enter_context(self._stage.opened(self.limit))[0]
        known = len(self._arm.places())
        if n > known:
            self._stage.add(self._arm, n - known)
        return self._arm, self._arm.places()[:n]


def at_objective(stage: Stage) -> None:
    """Search N at two objectives: one relative to the arm's own solo latency, and one that is the same for all arms.

    Kept is an objective by p95 of the worst database (upper limit), lost transactions, and no process gone.
    """
    spec = stage.bench.spec
    with contextlib.ExitStack() as fresh:
        loaded = _Loaded(stage, fresh)
        for number in range(WARM_WINDOWS):
            solo = loaded.window(1, "solo", 0.0)
            # the last window counts, warm or not: its row says which
            if 1 / STEADY <= float(solo.get("drift", 0)) <= STEADY or number == WARM_WINDOWS - 1:
                break
        if "worst_p95_upper" not in solo:
            raise CheckFailed("the solo database's latency", str(solo.get("why")))
        alone = solo["worst_p95_upper"]
        for objective, relative in ((max(2 * alone, alone + 5), True), (spec.objective_ms, False)):
            keeps = functools.partial(loaded.keeps, limit_ms=objective)
            found = knee.find(keeps, first=4, limit=loaded.limit)
            stage.row(
                "knee", n=found.n, confirmed=found.confirmed, capped=found.capped, objective_ms=objective,
                relative=relative, rate=spec.profile.rate, emulated=loaded.emulated, draw=[spec.seed],
            )  # fmt: skip


def missed(told: dict[str, Any], limit_ms: float) -> str:
    """Which part of the objective a window missed; empty if none. An aborted generator is a missed objective."""
    if told["broken"]:
        return f"{told['broken']} without data: {told['why']}"
    if told["lost"] > LOST:
        return f"{told['lost']:.2%} of the transactions lost"
    if limit_ms and told["worst_p95_upper"] > limit_ms:
        return f"worst p95 {told['worst_p95_upper']:.1f} ms"
    return str(told.get("dead", ""))


def noise(stage: Stage) -> None:
    """Three victims at a steady rate, first alone, then beside one database that is asked as fast as it answers.

    Their arrivals are the same alone and beside it: what differs is the neighbour.
    """
    seconds = stage.bench.spec.profile.window_seconds
    with stage.opened(NEIGHBOURS + 1) as (arm, _):
        *victims, aggressor = stage.add(arm, NEIGHBOURS + 1)
        for phase, number, other in (("warm-up", 0, None), ("quiet", 1, None), ("noisy", 1, aggressor)):
            stage.bench.ground.clock.check()
            stage.note(f"{phase} neighbour")
            told = stage.load(victims, NEIGHBOURS, number, seconds=seconds, aggressor=other)
            stage.row("noise", phase=phase, emulated=arm.emulated, **told)
