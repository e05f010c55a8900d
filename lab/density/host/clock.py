"""A run's time limit: asked before each step, so that a run ends in time by construction and says what it left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import monotonic


class OutOfTime(Exception):
    """The limit was reached inside a trial: its rows stay, marked as stopped, and it is not counted."""


@dataclass(frozen=True)
class Clock:
    """``deadline`` on the monotonic clock, in seconds; without one time never runs out."""

    deadline: float = math.inf

    @classmethod
    def after(cls, seconds: float) -> Clock:
        """A clock that runs out in ``seconds``."""
        return cls(monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds until the limit, 0 when it is over."""
        return max(0.0, self.deadline - monotonic())

    def check(self) -> None:
        """Raises: OutOfTime."""
        if not self.left:
            raise OutOfTime


ENDLESS = Clock()
