"""What every arm is: a way to have N databases on this host."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from lab import waits
from lab.density.bake import Baked, password
from lab.density.cgroup import Budget
from lab.density.dockers import Dockers
from lab.density.engine import TRANSIENT, Place
from lab.density.journal import Journal
from lab.density.machine import Machines
from lab.errors import GaveUp, LabError, TimedOut

ANSWER_EVERY = 0.05
MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Start:
    """How one database came up: seconds from the order to its first answered query, or why it never answered."""

    name: str
    seconds: float
    together: int
    error: str = ""


@dataclass(frozen=True)
class Guest:
    """What a virtual machine says about itself, in bytes: /proc/meminfo and the database's held memory in it."""

    meminfo: dict[str, int]
    database: int


@dataclass(frozen=True)
class Resident:
    """Where an arm's memory is, in bytes, each part counted once (proportional shares)."""

    parts: dict[str, int]
    mapped_files: int
    guests: tuple[Guest, ...] = ()


@dataclass(frozen=True)
class Ground:
    """What a run gives its arms."""

    dockers: Dockers
    journal: Journal
    machines: Machines | None
    """None where no QEMU is needed."""
    answer_seconds: float
    """How long a database may take to answer its first query (setting ``answer_seconds``)."""


class Arm(Protocol):
    """N equal databases. ``open`` prepares, ``add`` starts more, ``close`` takes everything away."""

    name: str
    emulated: bool

    def open(self, baked: Baked, budget: Budget, most: int) -> None:
        """Prepare for up to ``most`` databases in ``budget``."""

    def add(self, count: int, together: int) -> list[Start]:
        """Start ``count`` more, ``together`` at once, and wait until each answered a query or failed."""

    def places(self) -> list[Place]:
        """Where the databases that came up answer."""

    def resident(self) -> Resident:
        """The arm's memory now, by part."""

    def pids(self) -> list[int]:
        """Every process that exists for this arm's databases."""

    def dead(self) -> list[str]:
        """Names of databases whose process is gone, with what is known about why."""

    def close(self) -> None:
        """Remove everything; safe to call twice."""


@dataclass
class Launch:
    """Starts databases side by side and times each until it answers."""

    baked: Baked
    seconds: float
    setting: str = "answer_seconds of the profile"
    problems: tuple[type[Exception], ...] = field(default=())

    def all(
        self,
        names: list[str],
        together: int,
        start: Callable[[str], Callable[[], Place | None]],
        fatal: Callable[[str], str | None],
    ) -> list[tuple[Start, Place | None]]:
        """``start`` orders one database and returns a function that gives its place once it has one."""

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
                    seconds=self.seconds,
                    setting=self.setting,
                    every=ANSWER_EVERY,
                    transient=TRANSIENT,
                    fatal=lambda: fatal(name),
                )
            except (TimedOut, GaveUp, *self.problems) as error:
                cause = error.cause if isinstance(error, LabError) else str(error)
                return Start(name, monotonic() - began, together, cause), None
            return Start(name, monotonic() - began, together), place

        with ThreadPoolExecutor(max_workers=max(1, min(together, MOST_AT_ONCE))) as pool:
            return list(pool.map(one, names))
