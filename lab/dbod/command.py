"""The contract by hand: one operation, on one provider, from words of a command line."""

from __future__ import annotations

import difflib
import shlex
from time import monotonic

from lab.core import waits
from lab.core.errors import BadValue, LabBusy, LabError
from lab.core.home import Home
from lab.core.waits import Note
from lab.dbod import database, jobs
from lab.dbod.contract import READS, Operation, Outcome, Provider, Request, Result
from lab.dbod.dockerhost.records import now
from lab.dbod.providers import table
from lab.dbod.serve.queue import JobState, Queue
from lab.dbod.serve.service import SERVER

JOB_SECONDS = 3600.0
ASKER = "command"
"""Who asked for what was typed here."""


def request(operation: str, settings: str, **given: object) -> Request:
    """A request; ``settings`` is key=value,key=value, a value with commas in quotes. Raises: BadValue."""
    try:
        wanted = Operation(operation)
    except ValueError as error:
        near = difflib.get_close_matches(operation, list(Operation), 2) or list(Operation)
        raise BadValue("operation", operation, "one of " + ", ".join(near), "command line") from error
    pairs = {}
    for word in _words(settings):
        key, equals, value = word.partition("=")
        if not equals:
            raise BadValue("settings", word, "key=value, several with commas between", "flag")
        pairs[key.strip()] = value.strip()
    return Request(wanted, settings=pairs, **given)  # type: ignore[arg-type]


def _words(settings: str) -> list[str]:
    lexer = shlex.shlex(settings, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters, lexer.escape = ",", True, "", ""
    try:
        return list(lexer)
    except ValueError as error:
        raise BadValue("settings", settings, "key=value with its quotes closed", "flag") from error


def run(request: Request, provider: str, lab: str, note: Note) -> Result:
    """Do it, or have the dbod-serve do it that holds the home. Raises: BadValue, Refused, NoSuchLab, GaveUp …"""
    table.checked(provider)
    return perform(table.provider(provider, lab, note), table.home_of(provider, lab), request, note)


def perform(provider: Provider, home: Home, request: Request, note: Note) -> Result:
    """Do it with a provider whose records lie in ``home``. Raises: BadValue, Refused, PortTaken, TimedOut."""
    began, result = now(), jobs.perform(provider, request)
    asked = request.operation is not Operation.REPAIR  # a queue in a file that is repaired
    if asked and isinstance(result.error, LabBusy) and result.error.holder.startswith(SERVER):
        return _asked(provider.name, home, request, note)
    if asked and request.operation not in READS and (home.path / database.FILE).exists():
        _record(home, request, result, began, note)
    return result


def _record(home: Home, request: Request, result: Result, began: str, note: Note) -> None:
    """What was done by hand is in the service's history and figures as well; it is done, whatever becomes of that."""
    state = JobState.FINISHED_FAIL if result.error else JobState.FINISHED_OK
    try:
        Queue(database.of(home)).record(request, ASKER, began, state, result.as_dict(), list(result.log))
    except LabError as error:
        note(f"warning: it is not in the history of dbod-serve: {error.cause}")


def _asked(provider: str, home: Home, request: Request, note: Note) -> Result:
    """The operation as a job of the server's queue; it is done even if nobody waits for it any more."""
    queue, began = Queue(database.of(home)), monotonic()
    number = queue.accept(request, ASKER).id
    note(f"dbod-serve has {home.name}: job {number} is accepted")
    waits.until(f"job {number}", lambda: queue.get(number).done, seconds=JOB_SECONDS, every=0.2)
    job = queue.get(number)
    error = LabError.from_dict(job.error) if job.error else None
    if isinstance(error, jobs.REFUSALS):
        raise error
    return Result(
        provider, job.operation, job.instance, Outcome(str(job.outcome)), monotonic() - began, job.why or "",
        tuple(queue.log(number)), job.value, error,
    )  # fmt: skip
