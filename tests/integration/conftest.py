"""What tests with real servers share."""

from __future__ import annotations

import pytest

from lab.core.job import Job
from lab.core.waits import silent
from lab.guest import datastores
from tests.killed import nothing_of_a_killed_run  # noqa: F401 - a fixture of every test here

SUITE = "trixie"
BUILD_SECONDS = 900


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The engines' images; where they are missing they are built, which takes a minute."""
    log = tmp_path_factory.mktemp("databases") / "log"
    for one in datastores.load(SUITE):
        one.build(Job(silent, log, BUILD_SECONDS))
