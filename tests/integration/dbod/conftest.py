"""What tests of a container host share: one host a module, of which nothing stays."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.containers import ownership
from lab.dbod.dockerhost.provider import DockerHost

from .hosts import named, opened


@pytest.fixture(scope="module")
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, databases: None
) -> Iterator[DockerHost]:
    name = named(f"dbod-itest-{request.module.__name__.rpartition('test_')[2]}")
    root = tmp_path_factory.mktemp("labs")
    try:
        yield opened(name, root)
    finally:
        opened(name, root).remove_all()  # the module's own may not know what another object of it made
    assert ownership.labelled(name) == []
    assert not os.path.ismount(root / name / "store")
