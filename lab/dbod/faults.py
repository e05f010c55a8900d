"""Faults: something breaks under an instance; who notices, what its user sees, when it is well, what survived."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from lab import sql, waits
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request, State
from lab.dbod.trial import Trial, Unmet
from lab.errors import LabError, Missing

WELL = "HEALTHY"
"""How Trove's status of an instance ends when its guest agent is content."""


@dataclass(frozen=True)
class Patience:
    """Seconds: between two looks; until it is believed that nothing is wrong; the longest wait to be well."""

    every: float
    calm: float
    longest: float


PATIENCE = {"docker-host": Patience(0.2, 3.0, 10.0), "trove": Patience(1.0, 100.0, 180.0)}
"""Trove calls an agent unreachable that was silent for 90 s (trove 23, cfg.py: agent_heartbeat_expiry)."""


@dataclass
class Watch:
    """Looks at an instance from the strike on, in two ways: by connecting, as a state checker does, and by asking
    the provider. ``evidence`` has every change with its seconds."""

    trial: Trial
    patience: Patience
    evidence: list[str] = field(default_factory=list)
    noticed: dict[str, float] = field(default_factory=dict)
    """``connecting`` and ``provider``: seconds until each first saw that something was wrong."""
    user: str = ""
    """The first thing that a user was told."""
    began: float = field(default_factory=monotonic)
    _last: tuple[str, str] = ("", "")

    @property
    def seconds(self) -> float:
        """Since the strike."""
        return monotonic() - self.began

    def look(self) -> bool:
        """Whether all is well, both ways."""
        at = self.seconds
        connecting, told = self._connect(), self._provider()
        if not connecting:
            connecting = "answers"
        else:
            self.noticed.setdefault("connecting", round(at, 1))
            self.user = self.user or connecting
        if told:
            self.noticed.setdefault("provider", round(at, 1))
        if (connecting, told) != self._last:
            self._last = (connecting, told)
            self.evidence.append(f"{at:.1f} s: {connecting}; the provider says {told or 'all is well'}")
        return connecting == "answers" and not told

    def during(self, seconds: float) -> None:
        """Look on for so long."""
        end = monotonic() + seconds
        while monotonic() < end:
            self.look()
            waits.pause(self.patience.every)

    def well(self, seconds: float) -> float | None:
        """Seconds since the strike when all was well again; None if it was not in that time.

        Where nothing was ever seen to be wrong: 0, believed after ``patience.calm``.
        """
        end = monotonic() + seconds
        while True:
            at = self.seconds
            if self.look() and (self.noticed or at >= self.patience.calm):
                return round(at, 1) if self.noticed else 0.0
            if monotonic() >= end:
                return None
            waits.pause(self.patience.every)

    def _connect(self) -> str:
        try:
            with self.trial.provider.session(self.trial.name) as session:
                session.execute("SELECT 1")
        except (LabError, *sql.ERRORS) as error:
            return _words(error)
        return ""

    def _provider(self) -> str:
        result = jobs.perform(self.trial.provider, Request(Operation.MONITOR, self.trial.name))
        if result.error:
            return result.error.cause
        seen = result.value
        state, status = str(seen["state"]), str(seen.get("status", ""))
        well = state == State.RUNNING and (not status or status.endswith(WELL))
        return "" if well else f"{state} ({status})".removesuffix(" ()")


Strike = Callable[[Trial, Watch], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """``strike`` does harm on entering and ends the cause on leaving; in between it is watched for ``hold`` s."""

    title: str
    strike: Strike
    hold: float = 0.0

    @property
    def id(self) -> str:
        """For anchors and tables."""
        return self.strike.__name__.replace("_", "-")


def endured(trial: Trial, one: Fault) -> dict[str, Any]:
    """Try one fault on a running instance; what came of it.

    ``noticed`` as in ``Watch``; ``healthy`` in seconds since the strike, None: never; ``by`` what healed it: nothing
    was needed (``itself``), the contract's ``start``, or ``nobody``; ``survived``: whether the row that was written
    before is there, and alone. Raises: what writing before the strike raises.
    """
    patience = PATIENCE[trial.provider.name]
    trial.empty()
    trial.write(1)
    watch = Watch(trial, patience)
    row = {"provider": trial.provider.name, "engine": trial.engine, "fault": one.id, "title": one.title}
    came: dict[str, Any] = {"tried": True, "healthy": None, "by": "nobody", "survived": False, "why": ""}
    try:
        with one.strike(trial, watch):
            watch.began = monotonic()
            watch.during(one.hold)
        came |= {"healthy": watch.well(patience.longest), "by": "itself"}
        if came["healthy"] is None:
            jobs.perform(trial.provider, Request(Operation.START, trial.name))
            came["healthy"] = watch.well(patience.longest)
            came["by"] = "nobody" if came["healthy"] is None else "start"
        trial.reads(1)
        came["survived"] = True
        trial.write(2)
        trial.reads(1, 2)
    except Missing as error:
        came |= {"tried": False, "why": error.why}
    except (LabError, Unmet, *sql.ERRORS) as error:
        came["why"] = _words(error)
    return {**row, **came, "noticed": watch.noticed, "user": watch.user, "evidence": watch.evidence + trial.evidence}


def _words(error: Exception) -> str:
    return (error.cause if isinstance(error, LabError) else sql.said(error))[:200]
