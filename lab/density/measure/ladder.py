"""The memory ladder: databases level by level, memory and its account at each; then idle time and a short load."""

from __future__ import annotations

from dataclasses import asdict
from time import monotonic
from typing import Any

from lab.core import waits
from lab.density import arm_names
from lab.density.analysis import account
from lab.density.arms.base import Arm
from lab.density.bake import password
from lab.density.host import ksm, procfs, surroundings
from lab.density.host.cgroup import Budget
from lab.density.measure.profile import Profile
from lab.density.measure.stage import Stage
from lab.density.protocol import ATTEMPTS, UNEXPLAINED

AGAIN = 1.2
"""A ladder is taken again only if this many times the first one's seconds are left."""
LOAD_RATE = 5
LOAD_SECONDS = 4


def run(stage: Stage) -> None:
    """One ladder, taken again where its account leaves too much unexplained and time allows.

    The rows of every attempt stay; the last one counts. Raises: OutOfTime, LabError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        began = monotonic()
        unexplained = _climb(stage, attempt)
        more = abs(unexplained) > UNEXPLAINED and attempt < ATTEMPTS
        again = more and stage.bench.ground.clock.left > AGAIN * (monotonic() - began)
        stage.row("closure", attempt=attempt, unexplained=round(unexplained, 5), again=again)
        if not again:
            return
        stage.note(f"{unexplained:+.1%} of the memory is unexplained: once more")


def _climb(stage: Stage, attempt: int) -> float:
    """Every level once; gives what stays unexplained, of the raw slope."""
    profile, trial = stage.bench.spec.profile, stage.trial
    levels = order(profile, trial.arm, trial.block, slow=_slow(stage))
    top = max(levels)
    samples: list[dict[str, Any]] = []
    with stage.opened(top) as (arm, budget):
        rested = _drop(profile)
        _memory(stage, arm, budget, 0, "dropped", attempt=attempt, settled=rested)
        for number, level in enumerate(levels):
            stage.note(f"{level} of {top}")
            known = len(arm.places())
            if level > known:
                stage.add(arm, level - known)
            else:
                arm.remove(known - level)
            if number == 0 and attempt == 1:
                stage.row("identity", **stage.baked.engine.fingerprint(arm.places()[0], password()))
                if trial.block == 0:
                    stage.row("settings", values=stage.baked.engine.values(arm.places()[0], password()))
            settled = stage.settle(arm, fresh=level > known)
            if trial.block < profile.idle_blocks and level == top:
                _idle(stage, arm, level, attempt)
            _memory(stage, arm, budget, level, "warm", attempt=attempt, settled=settled)
            settled = _drop(profile) and settled
            ask = number == len(levels) - 1 and trial.block >= profile.load_blocks
            samples.append(_memory(stage, arm, budget, level, "dropped", attempt=attempt, settled=settled, ask=ask))
            stage.check_alive(arm)
        if trial.block < profile.load_blocks:
            _worked(stage, arm, budget, levels[-1], attempt)
    return account.close(levels, samples).unexplained


def _drop(profile: Profile) -> bool:
    """Empty the page cache and wait until memory stands still after it; False if it did not in time."""
    surroundings.drop_caches()
    return surroundings.rest(profile.settle_seconds)


def order(profile: Profile, arm: str, block: int, *, slow: bool) -> tuple[int, ...]:
    """Levels of N as they are visited.

    Upwards for containers and the shared server, which gives no memory back. Downwards from all at once where a start
    (machines) or the wait until merging has settled takes long; in the first ``alone_blocks`` one starts before them,
    alone. ``slow`` machines climb as high as ``slow_tops`` says for the block: every level is visited, not by each.
    Trove's containers take turns: a cloud's own growth over time then counts once for and once against them.
    """
    if arm == "trove-container":
        levels, downwards = profile.levels, block % 2 == 1
    elif arm not in arm_names.MACHINES and arm not in arm_names.TROVE:
        levels, downwards = profile.levels, arm == "container-ksm"
    else:
        levels, downwards = profile.machine_levels, True
    if not downwards:
        return levels
    if slow:
        levels = tuple(n for n in levels if n <= profile.slow_tops[block % len(profile.slow_tops)])
    first, *more = levels
    alone = block < profile.alone_blocks and arm != "trove-container"
    return (first, *reversed(more)) if alone else tuple(reversed(levels))


def _slow(stage: Stage) -> bool:
    ground = stage.bench.ground
    if stage.trial.arm == "trove-vm":
        return ground.cloud is not None and ground.cloud.runs("trove-vm") == "qemu"
    return stage.trial.arm == "vm" and ground.machines is not None and ground.machines.emulated


def _memory(
    stage: Stage, arm: Arm, budget: Budget, level: int, state: str, *, settled: bool, ask: bool = False, **more: Any
) -> dict[str, Any]:
    values = account.sample(arm.resident)
    if ask:
        # after the sample: a guest that answers touches memory
        values["guest"] = account.guests(arm.resident(ask=True))
    merged = asdict(ksm.read()) if arm.merging else {}
    stage.row(
        "memory", level=level, state=state, settled=settled, emulated=arm.emulated,
        **values, cgroup=asdict(budget.usage()), ksm=merged, **more,
    )  # fmt: skip
    return values


def _idle(stage: Stage, arm: Arm, level: int, attempt: int) -> None:
    """Processor seconds of everything the arm needs while nobody asks anything."""
    pids = arm.pids()
    began, before, merge = monotonic(), sum(procfs.cpu_seconds(p) for p in pids), ksm.read().cpu
    waits.pause(stage.bench.spec.profile.idle_seconds)
    used, wall = sum(procfs.cpu_seconds(p) for p in pids) - before, monotonic() - began
    charged = ksm.read().cpu - merge if arm.merging else 0.0
    stage.row("idle", attempt=attempt, level=level, seconds=wall, cpu=used, ksmd=charged, emulated=arm.emulated)


def _worked(stage: Stage, arm: Arm, budget: Budget, level: int, attempt: int) -> None:
    """What a short load leaves in memory (clones diverge, pages that were merged are written)."""
    told = stage.load(arm.places(), level, 0, seconds=LOAD_SECONDS, rate=LOAD_RATE)
    settled = stage.settle(arm)
    settled = _drop(stage.bench.spec.profile) and settled
    _memory(stage, arm, budget, level, "worked", attempt=attempt, settled=settled, load=told)
