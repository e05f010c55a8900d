"""Faults: something breaks under an instance; who notices, what its user sees, when it is well, what survived."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from lab.core import waits
from lab.core.errors import CheckFailed, LabError, Missing
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request, State
from lab.dbod.evaluation.trial import Trial, Unmet
from lab.engines import sql

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
    told: str = ""
    """What the provider last said was wrong."""
    _last: str = ""

    @property
    def seconds(self) -> float:
        """Since the strike."""
        return monotonic() - self.began

    def look(self) -> bool:
        """Whether all is well, both ways."""
        connecting = self._connect()
        if connecting:
            self.noticed.setdefault("connecting", round(self.seconds, 1))
            self.user = self.user or connecting
        self.told = self._provider()
        if self.told:
            self.noticed.setdefault("provider", round(self.seconds, 1))
        words = f"{connecting or 'answers'}; the provider says {self.told or 'all is well'}"
        if words != self._last:
            self._last = words
            self.evidence.append(f"{self.seconds:.1f} s: {words}")
        return not connecting and not self.told

    def during(self, seconds: float) -> None:
        """Look on for so long."""
        end = monotonic() + seconds
        while monotonic() < end:
            self.look()
            waits.pause(self.patience.every)

    def well(self) -> float | None:
        """Seconds since the strike at which all became well and stayed so; None if it did not.

        It is watched for ``patience.calm`` at least. Where nothing was ever seen to be wrong: 0.
        """
        began, since = monotonic(), None
        while True:
            at = self.seconds
            since = (at if since is None else since) if self.look() else None
            waited = monotonic() - began
            if since is not None and waited >= self.patience.calm:
                return round(since, 1) if self.noticed else 0.0
            if since is None and waited >= self.patience.longest:
                return None
            waits.pause(self.patience.every)

    def _connect(self) -> str:
        try:
            with self.trial.provider.session(self.trial.name) as session:
                session.execute("SELECT 1")
        except (LabError, *sql.ERRORS) as error:
            return sql.said(error)[:200]
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

    ``tried``: whether harm was done at all; ``noticed`` as in ``Watch``; ``healthy`` in seconds since the strike,
    None: never; ``by`` what healed it: nothing was needed (``itself``), the contract's ``start``, or ``nobody``;
    ``survived``: whether the row that was written before is there, and alone.
    """
    watch = Watch(trial, PATIENCE[trial.provider.name])
    row = {"provider": trial.provider.name, "engine": trial.engine, "fault": one.id, "title": one.title}
    came: dict[str, Any] = {"tried": False, "healthy": None, "by": "nobody", "survived": False, "why": ""}
    try:
        if not watch.look():
            raise CheckFailed("an instance that is well", watch.evidence[-1])
        trial.empty()
        trial.write(1)
        with contextlib.ExitStack() as cause:
            cause.enter_context(one.strike(trial, watch))
            came["tried"] = True
            watch.began = monotonic()
            watch.during(one.hold)
        came["healthy"], by = watch.well(), "itself"
        if came["healthy"] is None:
            # a server that is not stopped is none that a start could heal
            by = "start" if watch.told.startswith(State.STOPPED) else "itself"
            jobs.perform(trial.provider, Request(Operation.START, trial.name))
            came["healthy"] = watch.well()
        came["by"] = "nobody" if came["healthy"] is None else by
        trial.reads(1)
        came["survived"] = True
        trial.write(2)
        trial.reads(1, 2)
    except (LabError, Unmet, *sql.ERRORS) as error:
        came["why"] = error.why if isinstance(error, Missing) else sql.said(error)[:200]
    return {**row, **came, "noticed": watch.noticed, "user": watch.user, "evidence": watch.evidence + trial.evidence}
