"""One operation run as a job: timed, logged, and ended as native, with work, missing or failed."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from time import monotonic

from lab.core.errors import BadValue, DatabaseFailed, DiskFull, Interrupted, LabError, Missing, PortTaken, Refused
from lab.core.waits import Note, silent
from lab.dbod.contract import Operation, Outcome, Provider, Request, Result
from lab.engines import sql

REFUSALS = (BadValue, Refused, PortTaken)
"""The asker's mistakes: nothing was changed, and they are no fault of the provider."""


@dataclass
class Log:
    """Lines with the seconds since the job began; ``sink`` gets each as it comes."""

    sink: Note = silent
    began: float = field(default_factory=monotonic)
    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a line."""
        self.lines.append(f"{monotonic() - self.began:8.3f} {text}")
        self.sink(self.lines[-1])


def perform(provider: Provider, request: Request, sink: Note = silent) -> Result:
    """Run one operation to its end. Raises: BadValue, Refused, PortTaken (nothing was changed), Interrupted."""
    log, operation = Log(sink), request.operation
    outcome, why, value = Outcome.NATIVE, "", None
    error: LabError | None = None
    if operation in provider.work:
        outcome, why = Outcome.WITH_WORK, provider.work[operation]
    try:
        if operation not in provider.does:
            raise Missing(provider.name, operation, provider.lacks[operation])
        value = provider.does[operation](request, log.note)
    except Missing as lacking:
        outcome, why, error = Outcome.MISSING, lacking.why, lacking
    except (*REFUSALS, Interrupted):
        raise
    except (LabError, *sql.ERRORS) as met:
        error = met if isinstance(met, LabError) else _told(request.instance, met)
        outcome, why = Outcome.FAILED, error.cause
    seconds = monotonic() - log.began
    log.note(f"{operation}: {outcome}" + (f" ({why})" if why else ""))
    return Result(provider.name, operation, request.instance, outcome, seconds, why, tuple(log.lines), value, error)


def _told(name: str, met: BaseException) -> LabError:
    """What a driver raised, or a disk that is full. Raises: ``met`` itself, where it is neither."""
    if isinstance(met, OSError) and met.errno == errno.ENOSPC:
        return DiskFull(str(met.filename or name))
    if isinstance(met, OSError) and not isinstance(met, (ConnectionError, TimeoutError)):
        raise met
    return DatabaseFailed(name or "the server", sql.said(met))


def value(provider: Provider, operation: Operation, instance: str = "", **given: object) -> Result:
    """``perform`` for callers that need the operation done. Raises: what made it fail or missing."""
    result = perform(provider, Request(operation, instance, **given))  # type: ignore[arg-type]
    if result.error:
        raise result.error
    return result
