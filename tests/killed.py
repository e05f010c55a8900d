"""What a run of the tests that was killed left in Docker: to a later run it would be another checkout's lab."""

from __future__ import annotations

import os
import re

import pytest

from lab.containers import client, ownership

NAMES = re.compile(r"(itest|dbod-itest|dbod-crash|dbod-full|dbod-serve-itest|e2e)(-|$)")
"""Names that labs and services have in tests, and in tests only."""


def clear() -> list[str]:
    """Remove what Docker holds of labs with such names; the names, sorted."""
    if client.usable() is not None:
        return []
    found = sorted(name for name in ownership.foreign("") if NAMES.match(name))
    for name in found:
        ownership.remove(name)
    return found


@pytest.fixture(scope="session", autouse=True)
def nothing_of_a_killed_run() -> None:
    """A run that was killed has labs of these names as well, and its folder may be gone. Of a worker among
    others (pytest -n) it is not known which of them live."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        clear()
