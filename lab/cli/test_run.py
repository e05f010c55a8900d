"""README's test command: pytest with what was asked for, and what the tests need."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from lab.cli import lock
from lab.core import process
from lab.core.errors import BadValue, CommandFailed, MissingTools
from lab.core.home import cache
from lab.core.resources import RESOURCES
from lab.core.waits import Note
from lab.host import packages
from lab.machine.providers import NEEDS

USUAL = "not density and not tempest and not beside and not wheels"
"""What runs without being named."""
TIERS: Mapping[str, str] = {
    "lint": "lint",
    "unit": "not lint and not integration and not e2e",
    "integration": "integration",
    "e2e": "e2e",
}
"""Tier to pytest's expression; the first two need neither network nor Docker, and run on all processors."""
OFFLINE = ("lint", "unit")


def run(*, everything: bool, unit: bool, tier: str, only: str, coverage: bool, note: Note) -> None:
    """Become pytest.

    Raises: BadValue (no such tier), Unsupported (an installed package has no tests), MissingTools (what the
    real-machine tests need cannot be installed here), CommandFailed.
    """
    if tier and tier not in TIERS:
        raise BadValue("tier", tier, "one of " + ", ".join(TIERS), "flag")
    lock.refuse_installed("tests")
    log = cache() / "tests.log"
    lock.install(lock.DEVELOPER, note, log)
    packages.ensure({"lint"}, note, log)
    offline = (unit or tier in OFFLINE) and not only
    if not offline:
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
    elif tier:
        words += ["-m", f"({TIERS[tier]}) and {USUAL}"]
    elif unit:
        words += ["-m", f"not integration and not e2e and {USUAL}"]
    else:
        words += ["-m", USUAL if everything else f"not e2e and {USUAL}"]
    if offline:
        words += ["--numprocesses=auto", "--dist=worksteal"]
    if coverage:
        words += ["--cov", "--cov-report=term"]
    process.replace(*words)
