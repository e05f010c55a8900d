"""What every arm is: a way to have N databases on this host."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from lab.core import waits
from lab.core.errors import ApiFailed, CheckFailed, GaveUp, LabError, TimedOut
from lab.density.bake import Baked, password
from lab.density.dockers import Dockers
from lab.density.engine import TRANSIENT, Place
from lab.density.host.clock import ENDLESS, Clock
from lab.density.host.journal import Journal
from lab.density.host.resident import Resident
from lab.density.vm.machine import Machines

if TYPE_CHECKING:
    from lab.density.clouds import Cloud

ANSWER_EVERY = 0.05
MOST_AT_ONCE = 16
SETTING = "--answer-seconds"


@dataclass(frozen=True)
class Start:
    """How one database came up: seconds from the order to its first answered query, or why it never answered.

    ``active``: seconds until Trove said that it is, where it was Trove that was asked.
    """

    name: str
    seconds: float
    together: int
    error: str = ""
    active: float | None = None


@dataclass(frozen=True)
class Ground:
    """What a run gives its arms."""

    dockers: Dockers
    journal: Journal
    machines: Machines | None
    """None where no arm of the run needs QEMU."""
    answer_seconds: float
    """How long a database may take to answer its first query (setting ``answer_seconds``)."""
    clock: Clock = ENDLESS
    cloud: Cloud | None = None
    """The lab of the arms that are Trove's."""

    @property
    def patience(self) -> float:
        """``answer_seconds``, or what is left of the run's time."""
        return max(1.0, min(self.answer_seconds, self.clock.left))


class Arm(Protocol):
    """N equal databases of one engine. ``open`` prepares, ``add`` starts more, ``close`` takes everything away."""

    name: str
    emulated: bool
    merging: bool
    """Whether the arm wants KSM while it runs."""

    def open(self, most: int) -> None:
        """Prepare for up to ``most`` databases. Raises: LabError."""

    def add(self, count: int, together: int) -> list[Start]:
        """Start ``count`` more, ``together`` at once, and wait until each answered a query or failed."""

    def remove(self, count: int) -> None:
        """End the ``count`` that came last. Raises: Unsupported where that gives nothing back."""

    def places(self) -> list[Place]:
        """Where the databases that came up answer."""

    def resident(self, *, ask: bool = False) -> Resident:
        """The arm's memory now, by part; with ``ask`` the guests tell theirs too."""

    def pids(self) -> list[int]:
        """Every process that exists because of this arm's databases."""

    def dead(self) -> list[str]:
        """Databases whose process is gone, each with what is known about why."""

    def close(self) -> None:
        """Remove everything; safe to call twice."""


@dataclass(frozen=True)
class Launch:
    """Starts databases side by side and times each until it answers; ``problems`` are what a failed start raises."""

    baked: Baked
    ground: Ground
    problems: tuple[type[Exception], ...] = ()

    def all(
        self,
        names: list[str],
        together: int,
        start: Callable[[str], Callable[[], Place | None]],
        fatal: Callable[[str], str | None],
    ) -> list[tuple[Start, Place | None]]:
        """``start`` orders one database and returns a function that gives its place once it has one."""

        failures: tuple[type[Exception], ...] = (TimedOut, GaveUp, ApiFailed, CheckFailed, *self.problems)

        def one(name: str) -> tuple[Start, Place | None]:
            began = monotonic()
            try:
                where = start(name)

                def answering() -> Place | None:
                    place = where()
                    return place if place and self.baked.engine.answers(place, password()) else None

                place = waits.until(
                    f"{name} to answer",
                    answering,
                    seconds=self.ground.patience,
                    setting=SETTING,
                    every=ANSWER_EVERY,
                    transient=TRANSIENT,
                    fatal=lambda: fatal(name),
                )
            except failures as error:
                cause = error.cause if isinstance(error, LabError) else str(error)
                return Start(name, monotonic() - began, together, cause), None
            return Start(name, monotonic() - began, together), place

        try:
            with ThreadPoolExecutor(max_workers=max(1, min(together, MOST_AT_ONCE))) as pool:
                try:
                    return list(pool.map(one, names))
                except KeyboardInterrupt:
                    # else the pool would go on waiting for each first answer
                    waits.cancelled.set()
                    raise
        finally:
            # what takes the arm away must be able to wait
            waits.cancelled.clear()
