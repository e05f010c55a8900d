"""One trial of each kind: the memory ladder, the enforced budget, the latency knee, the noisy neighbour."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from lab import waits
from lab.density import account, arms, host, knee, ksm, load, procfs
from lab.density.arms.base import Arm, Ground
from lab.density.bake import Baked, password
from lab.density.cgroup import Budget
from lab.density.engine import TRANSIENT, Place
from lab.density.profile import Profile, Spec
from lab.density.rows import Rows
from lab.errors import GaveUp, LabError

TOUCHERS = 4
STEP = 4
"""Databases started at once in the ladder."""
TOGETHER = {True: 2, False: 4}
"""How many are started side by side: emulated machines load both processors alone."""
FIT_MOST = 64
LOST = 0.001
NEIGHBOURS = 3


@dataclass(frozen=True)
class Trial:
    """What to do: ``kind`` is ladder, fit, knee or noise."""

    block: int
    engine: str
    arm: str
    kind: str

    @property
    def key(self) -> str:
        """Its name in the rows."""
        return f"{self.block}/{self.engine}/{self.arm}/{self.kind}"


@dataclass(frozen=True)
class Bench:
    """What trials work with."""

    spec: Spec
    ground: Ground
    rows: Rows
    note: Callable[[str], None]


def run(bench: Bench, trial: Trial, baked: Baked) -> None:
    """Do one trial; its rows are on disk when it returns. Raises: LabError."""
    kinds = {"ladder": _ladder, "fit": _fit, "knee": _knee, "noise": _noise}
    merging = arms.make(trial.arm, bench.ground, baked, _budget(bench)).merging
    with contextlib.ExitStack() as stack:
        if merging:
            stack.enter_context(ksm.running(bench.ground.journal.ksm))
        kinds[trial.kind](bench, trial, baked)


def _budget(bench: Bench) -> Budget:
    return Budget(bench.ground.dockers.name, systemd=bench.ground.dockers.systemd)


@contextlib.contextmanager
def _opened(
    bench: Bench, trial: Trial, baked: Baked, most: int, limit: int | None = None
) -> Iterator[tuple[Arm, Budget]]:
    budget = _budget(bench)
    bench.ground.journal.cgroup(bench.ground.dockers.name)
    budget.open(limit)
    arm = arms.make(trial.arm, bench.ground, baked, budget)
    try:
        arm.open(most)
        yield arm, budget
    finally:
        arm.close()
        budget.close()


def _add(bench: Bench, trial: Trial, arm: Arm, count: int, **more: Any) -> None:
    """Start ``count`` more, a row each. Raises: GaveUp if one never answers."""
    starts = arm.add(count, min(count, TOGETHER[arm.emulated]))
    for start in starts:
        _row(bench, trial, "start", emulated=arm.emulated, **asdict(start), **more)
    if failed := [s for s in starts if s.error]:
        raise GaveUp(f"{failed[0].name}'s first answer", failed[0].error)


def _row(bench: Bench, trial: Trial, kind: str, **values: Any) -> None:
    bench.rows.add(kind, trial=trial.key, block=trial.block, engine=trial.engine, arm=trial.arm, **values)


def _touch(baked: Baked, places: list[Place]) -> None:
    with ThreadPoolExecutor(TOUCHERS) as pool:
        list(pool.map(lambda place: baked.engine.pretouch(place, password()), places))


def _settle(bench: Bench, arm: Arm) -> bool:
    if arm.merging and not ksm.settle(bench.spec.profile.ksm_seconds):
        return False
    return host.rest(bench.spec.profile.settle_seconds)


# --- memory, start, idle processor time --------------------------------------------------------------------


def _ladder(bench: Bench, trial: Trial, baked: Baked) -> None:
    profile = bench.spec.profile
    levels = order(profile, trial.arm)
    host.drop_caches()
    with _opened(bench, trial, baked, max(levels)) as (arm, budget):
        host.rest(profile.settle_seconds)
        _memory(bench, trial, arm, budget, 0, "dropped", settled=True)
        for level in levels:
            bench.note(f"{trial.arm}: {level} of {max(levels)}")
            known = len(arm.places())
            if level > known:
                _add(bench, trial, arm, level - known)
                _touch(baked, arm.places()[known:])
            else:
                arm.remove(known - level)
            if not known:
                _row(bench, trial, "identity", **baked.engine.fingerprint(arm.places()[0], password()))
            settled = _settle(bench, arm)
            _memory(bench, trial, arm, budget, level, "warm", settled=settled)
            host.drop_caches()
            _memory(bench, trial, arm, budget, level, "dropped", settled=settled, ask=level == max(levels))
            _check_alive(arm)
        if trial.block >= profile.idle_blocks:
            return
        _idle(bench, trial, arm, levels[-1])
        window = load.window(
            baked.engine, arm.places(), password(), bench.ground.journal.folder / "load", rate=5, seconds=4
        )
        settled = _settle(bench, arm)
        host.drop_caches()
        _memory(bench, trial, arm, budget, levels[-1], "worked", settled=settled, load=window.summary())


def order(profile: Profile, arm: str) -> tuple[int, ...]:
    """Levels of N as they are visited: upwards, or for machines one, then all (side by side), then down to two.

    Booting is what takes a machine's time; an ended one gives all its memory back, a database of a server does not.
    """
    if arm not in arms.MACHINES:
        return profile.levels
    first, *more = profile.machine_levels
    return (first, *reversed(more))


def _memory(
    bench: Bench,
    trial: Trial,
    arm: Arm,
    budget: Budget,
    level: int,
    state: str,
    *,
    settled: bool,
    ask: bool = False,
    **more: Any,
) -> None:
    values = account.sample(arm.resident(ask=ask))
    merged = asdict(ksm.read()) if arm.merging else {}
    _row(
        bench, trial, "memory", level=level, state=state, settled=settled, emulated=arm.emulated,
        **values, cgroup=asdict(budget.usage()), ksm=merged, **more,
    )  # fmt: skip


def _idle(bench: Bench, trial: Trial, arm: Arm, level: int) -> None:
    """Processor seconds of everything the arm needs while nobody asks anything."""
    pids = arm.pids()
    began, before, merge = monotonic(), sum(procfs.cpu_seconds(p) for p in pids), ksm.read().cpu
    waits.pause(bench.spec.profile.idle_seconds)
    used, wall = sum(procfs.cpu_seconds(p) for p in pids) - before, monotonic() - began
    charged = ksm.read().cpu - merge if arm.merging else 0.0
    _row(bench, trial, "idle", level=level, seconds=wall, cpu=used, ksmd=charged, emulated=arm.emulated)


def _check_alive(arm: Arm) -> None:
    if dead := arm.dead():
        raise GaveUp("all databases' survival", dead[0])


# --- how many fit the enforced budget ----------------------------------------------------------------------


def _fit(bench: Bench, trial: Trial, baked: Baked) -> None:
    """Grow until one more fails; then, afresh, that many pass and one more fails again."""
    found = _grow(bench, trial, baked, FIT_MOST, "ramp")
    again = _grow(bench, trial, baked, min(found + 1, FIT_MOST), "confirm") if found else 0
    _row(
        bench, trial, "fit", n=min(found, again), budget=bench.spec.budget, found=found, again=again,
        confirmed=found == again and 0 < found < FIT_MOST, capped=found == FIT_MOST,
    )  # fmt: skip


def _grow(bench: Bench, trial: Trial, baked: Baked, limit: int, phase: str) -> int:
    """The largest N up to ``limit`` at which every database answers with its whole pool, none killed."""
    with _opened(bench, trial, baked, limit, bench.spec.budget) as (arm, budget):
        passed = 0
        for n in range(1, limit + 1):
            bench.note(f"{trial.arm}: {n} in the budget ({phase})")
            why = _one_more(bench, trial, baked, arm, budget, n, phase)
            _row(bench, trial, "fit-step", n=n, phase=phase, passed=not why, why=why, cgroup=asdict(budget.usage()))
            if why:
                break
            passed = n
        return passed


def _one_more(bench: Bench, trial: Trial, baked: Baked, arm: Arm, budget: Budget, n: int, phase: str) -> str:
    """Why N databases do not fit; empty if they do."""
    before = host.mark()
    began = monotonic()
    try:
        _add(bench, trial, arm, 1, phase=phase)
        _touch(baked, arm.places() if phase == "confirm" and n % 4 == 0 else arm.places()[-2:])
        _check_alive(arm)
    except (LabError, *TRANSIENT) as error:
        kills = budget.usage().oom_kills
        return f"{'killed for memory; ' if kills else ''}{error}"
    if kills := budget.usage().oom_kills:
        return f"{kills} killed for memory"
    stalled = host.since(before)["stalled"]
    if stalled is not None and stalled > 0.5 * (monotonic() - began):
        return f"everything waited for memory for {stalled:.1f} s"
    return ""


# --- how many keep the latency objective -------------------------------------------------------------------


def _knee(bench: Bench, trial: Trial, baked: Baked) -> None:
    """Search N at the objective: p95 of the worst database (upper limit), lost transactions, no process gone."""
    profile = bench.spec.profile
    limit = profile.machine_knee_limit if trial.arm in arms.MACHINES else profile.knee_limit
    objective = bench.spec.objective_ms
    with contextlib.ExitStack() as fresh:
        held: list[Arm] = []

        def up(n: int, *, anew: bool) -> list[Place]:
            if anew or not held:
                fresh.close()
                held[:] = [fresh.enter_context(_opened(bench, trial, baked, limit))[0]]
            known = len(held[0].places())
            if n > known:
                _add(bench, trial, held[0], n - known)
                _touch(baked, held[0].places()[known:])
            return held[0].places()[:n]

        def window(n: int, phase: str, limit_ms: float) -> tuple[bool, dict[str, Any]]:
            bench.note(f"{trial.arm}: load on {n} ({phase})")
            before = host.mark()
            places = up(n, anew=phase == "confirm")
            told: dict[str, Any] = load.window(
                baked.engine,
                places,
                password(),
                bench.ground.journal.folder / "load",
                rate=profile.rate,
                seconds=profile.window_seconds,
            ).summary()
            why = missed(told, limit_ms) or "; ".join(held[0].dead())
            _row(
                bench, trial, "load", n=n, phase=phase, rate=profile.rate, objective_ms=limit_ms, passed=not why,
                missed=why, emulated=held[0].emulated, **told, **host.since(before),
            )  # fmt: skip
            return not why, told

        _, solo = window(1, "solo", 0.0)
        if not objective and "worst_p95_upper" in solo:
            objective = max(2 * solo["worst_p95_upper"], solo["worst_p95_upper"] + 5)
        if not objective:
            raise GaveUp("the solo database's latency", str(solo.get("why")))
        found = knee.find(lambda n, phase: window(n, phase, objective)[0], first=4, limit=limit)
        _row(
            bench, trial, "knee", n=found.n, confirmed=found.confirmed, capped=found.capped, objective_ms=objective,
            relative=not bench.spec.objective_ms, rate=profile.rate, emulated=held[0].emulated,
        )  # fmt: skip


def missed(told: dict[str, Any], limit_ms: float) -> str:
    """Which part of the objective a window missed; empty if none. An aborted generator is a missed objective."""
    if told["broken"]:
        return f"{told['broken']} without data: {told['why']}"
    if told["lost"] > LOST:
        return f"{told['lost']:.2%} of the transactions lost"
    if limit_ms and told["worst_p95_upper"] > limit_ms:
        return f"worst p95 {told['worst_p95_upper']:.1f} ms"
    return ""


# --- a noisy neighbour -------------------------------------------------------------------------------------


def _noise(bench: Bench, trial: Trial, baked: Baked) -> None:
    """Three victims at a steady rate, first alone, then beside one database that is asked as fast as it answers."""
    profile = bench.spec.profile
    with _opened(bench, trial, baked, NEIGHBOURS + 1) as (arm, _):
        _add(bench, trial, arm, NEIGHBOURS + 1)
        _touch(baked, arm.places())
        *victims, aggressor = arm.places()
        for phase, other in (("quiet", None), ("noisy", aggressor)):
            bench.note(f"{trial.arm}: {phase} neighbour")
            told = load.window(
                baked.engine,
                victims,
                password(),
                bench.ground.journal.folder / "load",
                rate=profile.rate,
                seconds=profile.window_seconds,
                aggressor=other,
            ).summary()
            _row(bench, trial, "noise", phase=phase, emulated=arm.emulated, **told)
