"""The bench: interleaved trials in seeded random order, block by block, resumed where they stopped."""

from __future__ import annotations

import random
import secrets
import shlex
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from lab.core import raw_rows
from lab.core.errors import DiskFull, Interrupted, LabError, Unsupported
from lab.core.progress import Progress
from lab.core.version import commit
from lab.density import arm_names, bake, engine
from lab.density.arms import table
from lab.density.arms.base import Ground
from lab.density.dockers import PROBLEMS, Dockers
from lab.density.engine import TRANSIENT
from lab.density.folder import folder
from lab.density.host import journal, surroundings
from lab.density.host.clock import Clock, OutOfTime
from lab.density.measure import ladder, manifest, searches
from lab.density.measure.profile import OBJECTIVE_MS, Profile, Spec
from lab.density.measure.stage import Bench, Stage, Trial
from lab.density.vm.machine import Machines
from lab.host import packages as lab_host

if TYPE_CHECKING:
    from lab.density.clouds import Cloud

STEP = "density"
KINDS = {"ladder": ladder.run, "fit": searches.fit, "knee": searches.at_objective, "noise": searches.noise}
TIME = "time limit"
MARGIN_SECONDS = 45.0
"""Of the time limit: to take the last trial's databases away, and for the report."""
LEAST_SHARE = 0.5
"""Of the time limit that measuring gets, however long preparing took (the first time: root file system, images)."""


def bench(
    spec: Spec,
    out: Path,
    progress: Progress,
    *,
    install: bool = True,
    lab: str = "",
    allow_dirty: bool = False,
) -> Path:
    """Run, or go on with, the bench in ``out``; the folder then holds manifest.json and rows.jsonl.

    ``install``: whether missing tools may be installed; ``lab``: where Trove's arms are measured; ``allow_dirty``:
    whether a checkout may be measured that nobody can check out again.

    Raises: LabBusy (one density run a host), Interrupted (all finished trials are kept), MissingTools,
    DockerUnusable, DiskFull, BadValue (the folder holds another run), Unsupported (an arm without its lab, a dirty
    checkout).
    """
    began = monotonic()
    if commit().endswith("-dirty") and not allow_dirty:
        raise Unsupported(
            "This checkout has changes that are in no commit, so nobody could repeat the run.",
            "Commit them, or add --allow-dirty: the manifest then says so.",
        )
    cloud = _cloud(spec, lab)
    again = command(spec, out, lab if cloud else "")
    progress.started(STEP, "measuring databases as virtual machines and as containers")
    status = "failed"
    try:
        with bake.alone():
            _run(spec, out, progress, install, cloud, again)
        status = "done"
    except (KeyboardInterrupt, Interrupted) as stop:
        raise Interrupted(again) from stop
    finally:
        progress.finished(STEP, status, monotonic() - began)
    return out


def schedule(spec: Spec) -> list[Trial]:
    """Every trial, each block in an order of its own that the seed decides."""
    order = random.Random(spec.seed)
    wanted: list[Trial] = []
    for block in range(spec.profile.blocks):
        trials_of = [
            Trial(block, e, a, k) for e in spec.engines for a in spec.arms for k in _kinds(spec.profile, block)
        ]
        order.shuffle(trials_of)
        wanted += trials_of
    return sorted(wanted, key=lambda trial: _rank(trial, spec.profile))


def _rank(trial: Trial, profile: Profile) -> int:
    """Half of the blocks' ladders (two at least), the budgets, the other ladders; then what takes long, the load.

    So a run that its time limit cuts short has something of everything, and every block that it has is whole.
    """
    if trial.kind == "ladder":
        return 0 if trial.block < max(2, profile.blocks // 2) else 2
    if trial.kind == "fit":
        return 1 if trial.arm != "vm" else 3
    return 4


def command(spec: Spec, out: Path, lab: str = "") -> str:
    """The command line that repeats or resumes a run."""
    words = ["./inv", "density-bench", f"--engine={','.join(spec.engines)}", f"--arms={','.join(spec.arms)}"]
    words += [f"--budget={spec.budget}", f"--seed={spec.seed}", f"--out={out}"]
    words += ["--quick"] if spec.profile.name.endswith("quick") else []
    words += [f"--name={lab}"] if lab else []
    words += [f"--objective={spec.objective_ms:g}"] if spec.objective_ms != OBJECTIVE_MS else []
    return shlex.join(words)


def _kinds(profile: Profile, block: int) -> Iterable[str]:
    """Ladders in every block; the others from the middle block on."""
    yield "ladder"
    middle = profile.blocks // 2
    for kind, blocks in (("fit", profile.fit_blocks), ("knee", profile.knee_blocks), ("noise", profile.noise_blocks)):
        if middle <= block < middle + blocks:
            yield kind


def _cloud(spec: Spec, lab: str) -> Cloud | None:
    """The lab of Trove's arms, where any is asked for. Raises: Unsupported."""
    if not set(arm_names.TROVE) & set(spec.arms):
        return None
    from lab.density import clouds  # the other arms need no OpenStack

    return clouds.of(spec.arms, lab)


def _run(spec: Spec, out: Path, progress: Progress, install: bool, cloud: Cloud | None, again: str) -> None:
    def note(text: str) -> None:
        progress.note(STEP, text)

    began, limit = monotonic(), spec.profile.minutes * 60
    engines = engine.named(spec.engines)
    parts = {"docker", "rootfs", *(f"load-{e.name}" for e in engines)}
    parts |= {"guest"} if arm_names.MACHINES & set(spec.arms) else set()
    lab_host.ensure(parts, note, folder() / "install.log", install)
    run_id = secrets.token_hex(4)
    dockers = Dockers(run_id)
    for removed in journal.sweep(dockers):
        note(f"removed what a killed run left: {removed}")
    record = journal.Journal(run_id)
    try:
        machines = Machines(record, note) if arm_names.MACHINES & set(spec.arms) else None
        baked = {e.name: bake.bake(dockers, e, note) for e in engines}
        if machines:
            table.prepare(machines, spec.arms, baked.values())
        out.mkdir(parents=True, exist_ok=True)
        manifest.settle(out, manifest.make(spec, dockers, machines, list(baked.values()), again, cloud))
        known = raw_rows.read(out) if (out / raw_rows.FILE).exists() else []
        work = raw_rows.Rows(out)
        spent = monotonic() - began
        work.add("prepared", seconds=round(spent, 1), commit=commit())
        clock = Clock.after(max(limit - MARGIN_SECONDS - spent, limit * LEAST_SHARE))
        bench = Bench(spec, Ground(dockers, record, machines, spec.answer_seconds, clock, cloud), work, note)
        _all(bench, baked, raw_rows.of(known, "trial"))
    finally:
        journal.clean(record, dockers)


def _all(bench: Bench, baked: dict[str, bake.Baked], known: list[raw_rows.Row]) -> None:
    """Every trial that is not done yet, as far as the time limit goes; what it leaves is a row each."""
    ended = {r["trial"] for r in known if r["status"] != raw_rows.STOPPED}
    longest = {(r["engine"], r["arm"], r["test"]): float(r["seconds"]) for r in known}
    todo = [t for t in schedule(bench.spec) if t.key not in ended]
    left = 0
    for number, trial in enumerate(todo, 1):
        sort = (trial.engine, trial.arm, trial.kind)
        machines = bench.ground.machines
        if trial.arm in arm_names.MACHINES and trial.kind in ("knee", "noise") and machines and machines.emulated:
            bench.rows.add("left-out", trial=trial.key, why="processor figures of an emulator")
        elif bench.ground.clock.left <= longest.get(sort, 0.0):
            bench.rows.add("left-out", trial=trial.key, why=TIME)
            left += 1
        else:
            bench.note(f"{number}/{len(todo)} block {trial.block + 1}: {trial.engine} {trial.arm} {trial.kind}")
            began = monotonic()
            left += _trial(bench, trial, baked[trial.engine]) == raw_rows.STOPPED
            longest[sort] = max(longest.get(sort, 0.0), monotonic() - began)
    if left:
        bench.rows.add("stopped", left=left, minutes=bench.spec.profile.minutes)
        bench.note(f"the time limit of {bench.spec.profile.minutes} minutes leaves {left} trials undone")


def _trial(bench: Bench, trial: Trial, baked: bake.Baked) -> str:
    """One trial; a failure is a row, and the run goes on, unless nothing could go on. Gives its status."""
    outside, before, began = surroundings.outside(), surroundings.mark(), monotonic()
    stage = Stage(bench, trial, baked)
    stage.row("begin")
    status, why, error_id = "done", "", ""
    try:
        with stage.merging():
            KINDS[trial.kind](stage)
    except (DiskFull, Interrupted):
        raise
    except OutOfTime:
        status, why = raw_rows.STOPPED, "the time limit"
    except LabError as error:
        status, why, error_id = "failed", error.cause, error.id
    except (*TRANSIENT, *PROBLEMS) as error:
        status, why, error_id = "failed", f"{type(error).__name__}: {error}", "database-gone"
    if status == "failed" and not bench.ground.clock.left:
        # what would have come had there been time is not known
        status = raw_rows.STOPPED
    seen = surroundings.since(before)
    loud = outside > surroundings.LOUD or float(seen["steal"] or 0) > surroundings.LOUD or bool(seen["swapped"])
    stage.row(
        "trial", test=trial.kind, status=status, why=why, error=error_id, seconds=round(monotonic() - began, 2),
        outside=outside, loud=loud, **seen,
    )  # fmt: skip
    return status
