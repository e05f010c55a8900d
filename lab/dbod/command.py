"""The contract by hand: one operation, on one provider, from words of a command line."""

from __future__ import annotations

import difflib

from lab.dbod import jobs, providers
from lab.dbod.contract import Operation, Request, Result
from lab.errors import BadValue
from lab.waits import Note


def request(operation: str, settings: str, **given: object) -> Request:
    """A request; ``settings`` is key=value,key=value. Raises: BadValue."""
    try:
        wanted = Operation(operation)
    except ValueError as error:
        near = difflib.get_close_matches(operation, list(Operation), 2) or list(Operation)
        raise BadValue("operation", operation, "one of " + ", ".join(near), "command line") from error
    pairs = {}
    for word in filter(None, settings.split(",")):
        key, equals, value = word.partition("=")
        if not equals:
            raise BadValue("settings", word, "key=value, several with commas between", "flag")
        pairs[key.strip()] = value.strip()
    return Request(wanted, settings=pairs, **given)  # type: ignore[arg-type]


def run(wanted: Request, provider: str, lab: str, note: Note) -> Result:
    """Do it. Raises: BadValue, Refused, PortTaken, NoSuchLab, GaveUp (the provider is not up)."""
    providers.checked(provider)
    return jobs.perform(providers.provider(provider, lab, note), wanted)
