"""A container host for tests, operations on it that must end well, and an instance to begin with."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.core import process, waits
from lab.core.home import Home
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request, Result
from lab.dbod.dockerhost.provider import DockerHost


def named(name: str) -> str:
    """A host's name that no other worker (pytest -n) has."""
    return name + os.environ.get("PYTEST_XDIST_WORKER", "")


def root(*words: str | Path) -> None:
    """A command as root, which must succeed."""
    process.run(*process.as_root(*words))


def say(_: str) -> None:
    """Nothing."""


def opened(name: str, root: Path, store: str = "") -> DockerHost:
    """The host ``name`` under ``root``, as a new process sees it; ``store`` is the kind of a new host's store."""
    home = Home(name, root)
    home.make()
    if store:
        home.state["store"] = store
    return DockerHost(home, say)


def do(host: Any, operation: Operation, name: str, **given: Any) -> Result:
    """Its result, which is no failure."""
    result = jobs.perform(host, Request(operation, name, **given))
    assert result.error is None, result.error
    return result


def tabled(host: DockerHost, name: str, engine: str) -> str:
    """A new instance with an empty table ``app.t``; its name."""
    do(host, Operation.CREATE, name, engine=engine)
    with host.session(name) as session:
        session.execute("CREATE SCHEMA app")
        session.execute("CREATE TABLE app.t (id INTEGER PRIMARY KEY)")
    return name


def now() -> str:
    """A moment with a second around it in which nothing is written."""
    waits.pause(1.1)
    moment = datetime.now(UTC).isoformat()
    waits.pause(1.1)
    return moment
