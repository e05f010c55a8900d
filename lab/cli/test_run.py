"""README's test command: pytest with the markers that were asked for, and what the real-machine tests need."""

from __future__ import annotations

import sys

from lab.cli import lock
from lab.core import process
from lab.core.errors import CommandFailed, MissingTools
from lab.core.home import cache
from lab.core.resources import RESOURCES
from lab.core.waits import Note
from lab.host import packages
from lab.machine.providers import NEEDS

USUAL = "not density and not tempest and not beside"
"""What runs without being named."""


def run(*, everything: bool, unit: bool, only: str, note: Note) -> None:
    """Become pytest.

    Raises: Unsupported (an installed package has no tests), MissingTools (what the real-machine tests need cannot be
    installed here), CommandFailed.
    """
    lock.refuse_installed("tests")
    log = cache() / "tests.log"
    lock.install(lock.DEVELOPER, note, log)
    packages.ensure({"lint"}, note, log)
    if not unit:
        packages.ensure((*NEEDS["docker"], "tests"), note, log)
        try:
            packages.ensure({"browser"}, note, log)
        except (MissingTools, CommandFailed) as lacking:  # Ubuntu has its browsers as snaps
            note(f"tests in a browser are skipped: {lacking.cause}")
    # the real lab last: with the last lab goes the Docker engine, if the lab had started it
    folders = [str(RESOURCES / "tests" / name) for name in ("unit", "integration", "e2e")]
    words = [sys.executable, "-m", "pytest", "--rootdir", str(RESOURCES), *folders]
    if only:
        words += ["-k", only]
    elif unit:
        words += ["-m", f"not integration and not e2e and {USUAL}"]
    else:
        words += ["-m", USUAL if everything else f"not e2e and {USUAL}"]
    process.replace(*words)
