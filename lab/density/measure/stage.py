"""What every trial stands on: an arm opened in its cgroup, databases added and filled, memory come to rest, rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from lab.core.errors import CheckFailed
from lab.core.raw_rows import Rows
from lab.density import arm_names
from lab.density.arms import table
from lab.density.arms.base import Arm, Ground
from lab.density.bake import Baked, password
from lab.density.engine import Place
from lab.density.host import ksm, surroundings
from lab.density.host.cgroup import Budget
from lab.density.load import generators
from lab.density.measure.profile import Spec

TOUCHERS = 4
TOGETHER = {True: 2, False: 4}
"""How many are started side by side: emulated machines load both processors alone."""


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


@dataclass(frozen=True)
class Stage:
    """One trial under way. Every method that takes long asks the clock first. Raises: OutOfTime, LabError."""

    bench: Bench
    trial: Trial
    baked: Baked

    @contextlib.contextmanager
    def merging(self) -> Iterator[None]:
        """KSM on for the arms that want it."""
        with contextlib.ExitStack() as stack:
            if self._make(self._budget()).merging:
                stack.enter_context(ksm.running(self.bench.ground.journal.ksm))
            yield

    @contextlib.contextmanager
    def opened(self, most: int, limit: int | None = None) -> Iterator[tuple[Arm, Budget]]:
        """The trial's arm, ready for ``most`` databases, in a cgroup of ``limit`` bytes; taken away afterwards."""
        ground = self.bench.ground
        ground.clock.check()
        budget = self._budget()
        ground.journal.cgroup(ground.dockers.name)
        budget.open(limit)
        arm = self._make(budget)
        try:
            arm.open(most)
            yield arm, budget
        finally:
            arm.close()
            budget.close()

    def add(self, arm: Arm, count: int, **more: Any) -> list[Place]:
        """Start ``count`` more, a row each, and read all of their data. Raises: CheckFailed if one never answers."""
        self.bench.ground.clock.check()
        known = len(arm.places())
        starts = arm.add(count, min(count, TOGETHER[arm.emulated]))
        for start in starts:
            self.row("start", emulated=arm.emulated, **asdict(start), **more)
        if failed := [s for s in starts if s.error]:
            raise CheckFailed(f"{failed[0].name}'s first answer", failed[0].error)
        fresh = arm.places()[known:]
        self.touch(fresh)
        return fresh

    def touch(self, places: list[Place]) -> None:
        """Read all data of these databases, so that their buffer pools are held."""
        with ThreadPoolExecutor(TOUCHERS) as pool:
            list(pool.map(lambda place: self.baked.engine.pretouch(place, password()), places))

    def settle(self, arm: Arm, *, fresh: bool = True) -> bool:
        """Wait until memory stands still; with ``fresh`` databases first for the end of boot and of KSM's merging.

        False if it did not in time.
        """
        profile = self.bench.spec.profile
        self.bench.ground.clock.check()
        calm = merged = True
        if fresh:
            boots = self.trial.arm in arm_names.MACHINES or self.trial.arm == "trove-vm"
            calm = not boots or surroundings.calm(arm.pids, profile.boot_seconds)
            merged = not arm.merging or ksm.settle(profile.ksm_seconds)
        return surroundings.rest(profile.settle_seconds) and calm and merged

    def load(
        self,
        places: list[Place],
        n: int,
        number: int,
        *,
        seconds: int,
        rate: float = 0,
        aggressor: Place | None = None,
    ) -> dict[str, Any]:
        """Load ``places`` for a window, the ``number``-th at ``n`` in this trial: plain values for a row.

        ``rate``: transactions a second at each, 0 for the profile's. Raises: TimedOut.
        """
        spec, before = self.bench.spec, surroundings.mark()
        draw = (spec.seed, self.trial.block, n, number)
        told = generators.window(
            self.baked.engine, places, password(), self.bench.ground.journal.folder / "load",
            rate=rate or spec.profile.rate, seconds=seconds, draw=draw, aggressor=aggressor,
        ).summary()  # fmt: skip
        return {**told, "draw": list(draw), **surroundings.since(before)}

    def check_alive(self, arm: Arm) -> None:
        """Raises: CheckFailed if a database has gone."""
        if dead := arm.dead():
            raise CheckFailed("all databases' survival", dead[0])

    def row(self, kind: str, **values: Any) -> None:
        """A row of this trial."""
        one = self.trial
        self.bench.rows.add(kind, trial=one.key, block=one.block, engine=one.engine, arm=one.arm, **values)

    def note(self, text: str) -> None:
        """Say what is done at the moment."""
        self.bench.note(f"{self.trial.arm}: {text}")

    def _budget(self) -> Budget:
        dockers = self.bench.ground.dockers
        return Budget(dockers.name, systemd=dockers.systemd)

    def _make(self, budget: Budget) -> Arm:
        return table.make(self.trial.arm, self.bench.ground, self.baked, budget)
