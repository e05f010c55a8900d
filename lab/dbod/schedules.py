"""Automatic backups: when each instance is due, counted from a fixed Monday so that no clock drifts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from lab.dbod.contract import Request
from lab.dbod.database import Database, Row

MONDAY = datetime(2001, 1, 1, tzinfo=UTC)
"""A Monday before every instance: due times are whole intervals after it."""


@dataclass(frozen=True)
class Schedule:
    """Every ``every`` hours, at ``hour`` (UTC) of week day ``day``; ``last`` is the due time seen to last.

    Every ``drill`` days the newest backup is tried (0: never); ``drilled`` is since when that is counted (ISO 8601).
    """

    instance: str
    every: int
    hour: int
    day: int
    keep: int
    last: datetime
    drill: int = 0
    drilled: str = ""

    @property
    def step(self) -> timedelta:
        """From one due time to the next."""
        return timedelta(hours=self.every)

    def latest(self, now: datetime) -> datetime:
        """The newest due time that is not after ``now``."""
        first = MONDAY + timedelta(days=self.day, hours=self.hour)
        return first + (now - first) // self.step * self.step

    def nearest(self, now: datetime) -> datetime:
        """The due time that is nearest to ``now``."""
        return self.latest(now + self.step / 2)

    def following(self, now: datetime) -> datetime:
        """The first due time after ``now``."""
        return self.latest(now) + self.step

    def ahead(self, now: datetime) -> timedelta:
        """How long from ``now`` to the due time after ``last``; negative where that has passed.

        A ``last`` that is still to come says that the clock went back, nobody knows how far: then it is a whole
        interval to the due time nearest to that, so that none is made twice or left out for long.
        """
        last = self.last if self.last <= now else self.nearest(now)
        return last + self.step - now

    def tried(self, now: datetime) -> bool:
        """Whether a drill is due. A clock that was set back makes it late by as much, one that was set on, early."""
        return self.drill > 0 and now - datetime.fromisoformat(self.drilled) >= timedelta(days=self.drill)

    def as_dict(self, now: datetime) -> Row:
        """For programs."""
        return {
            "every": self.every,
            "hour": self.hour,
            "day": self.day,
            "keep": self.keep,
            "drill": self.drill,
            "next": self.following(now).isoformat(),
        }


class Schedules:
    """The schedules of a home; who calls ``due`` makes the backups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, request: Request, now: datetime) -> Schedule:
        """Switch on, or change, the automatic backups of an instance; the first is at the next due time."""
        made = Schedule(
            request.instance,
            request.every,
            request.hour,
            request.day,
            request.keep,
            now,
            request.drill,
            now.isoformat(),
        )
        # what is due already is not asked for: it would be a backup at the moment of switching on
        row = {**asdict(made), "last": made.latest(now).isoformat()}
        with self._database.write() as change:
            change.execute(
                f"INSERT OR REPLACE INTO schedules ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
        return made

    def remove(self, instance: str) -> None:
        """Switch off."""
        with self._database.write() as change:
            change.execute("DELETE FROM schedules WHERE instance = ?", (instance,))

    def all(self) -> list[Schedule]:
        """Every schedule, by instance."""
        rows = self._database.rows("SELECT * FROM schedules ORDER BY instance")
        return [Schedule(**{**row, "last": datetime.fromisoformat(row["last"])}) for row in rows]

    def of(self, instance: str) -> Schedule | None:
        """An instance's."""
        return next((one for one in self.all() if one.instance == instance), None)
