"""How long what fails again and again is left alone before it is tried again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """``first`` seconds after the first failure, twice as long after each further one, ``most`` at most."""

    first: float
    most: float

    def after(self, failures: int) -> float:
        """Seconds to wait after that many failures one after another (1 or more)."""
        return min(self.most, self.first * 2.0 ** min(failures - 1, 50))


BACKUP = Backoff(60.0, 3600.0)
"""Of a scheduled backup that failed."""
WORKER = Backoff(1.0, 60.0)
"""Of a worker that ended in the middle of its work."""
