"""Which version of the lab this is: its release, and the commit of a checkout."""

from __future__ import annotations

import lab
from lab.core import process
from lab.core.resources import INSTALLED, RESOURCES


def commit() -> str:
    """The checkout's commit, ``-dirty`` where it was changed; the release of an installed package, or without git."""
    if INSTALLED or not process.have("git"):
        return lab.__version__
    done = process.run("git", "-C", RESOURCES, "describe", "--always", "--dirty", "--abbrev=40", check=False)
    return done.stdout.strip() or lab.__version__
