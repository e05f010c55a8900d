"""README's test command: pytest with the markers that were asked for, and what the real-machine tests need."""

from __future__ import annotations

import sys

from lab import process
from lab.home import PROJECT


def run(*, everything: bool, unit: bool, only: str) -> None:
    """Become pytest. Raises: MissingTools, if what integration needs cannot be installed here."""
    words = [sys.executable, "-m", "pytest", "--rootdir", str(PROJECT), str(PROJECT / "tests")]
    if unit:
        words += ["-m", "not integration and not e2e"]
    elif not everything:
        words += ["-m", "not e2e"]
    if only:
        words += ["-k", only]
    process.replace(*words)
