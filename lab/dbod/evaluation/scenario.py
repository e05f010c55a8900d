"""One of DBOD's requirements, as something that can be tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.dbod.contract import Operation as Op
from lab.dbod.evaluation.trial import Trial

NO_DATABASE = "not answered: no database ever ran"
"""Of Lipp 2014 (https://zenodo.org/records/12443): after nine weeks no guest image had booted."""


@dataclass(frozen=True)
class Scenario:
    """``in_2014`` is where the report stood; ``operation`` the one whose seconds count."""

    id: str
    title: str
    operation: Op
    in_2014: str
    run: Callable[[Trial], None]


REGISTERED: list[Scenario] = []
"""In the order in which they are tried."""


def scenario(title: str, operation: Op, in_2014: str = NO_DATABASE) -> Callable[[Callable[[Trial], None]], None]:
    """Register what it decorates, under its own name."""

    def add(run: Callable[[Trial], None]) -> None:
        name = run.__name__.strip("_").replace("_", "-")
        REGISTERED.append(Scenario(name, title, operation, in_2014, run))

    return add
