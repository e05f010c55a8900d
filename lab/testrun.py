"""README's test command: pytest with the markers that were asked for, and what the real-machine tests need."""

from __future__ import annotations

import sys

from lab import host, process
from lab.home import PROJECT, cache
from lab.machine.providers import NEEDS
from lab.waits import Note


def run(*, everything: bool, unit: bool, only: str, note: Note) -> None:
    """Become pytest. Raises: MissingTools, if what the real-machine tests need cannot be installed here."""
    if not unit:
        host.ensure((*NEEDS["docker"], "tests"), note, cache() / "tests.log")
    words = [sys.executable, "-m", "pytest", "--rootdir", str(PROJECT), str(PROJECT / "tests")]
    if unit:
        words += ["-m", "not integration and not e2e"]
    elif not everything:
        words += ["-m", "not e2e"]
    if only:
        words += ["-k", only]
    process.replace(*words)
