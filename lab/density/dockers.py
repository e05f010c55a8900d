"""The Docker engine as the bench uses it, through the one door: a run's label on all, networks without a way out."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from typing import Any

import docker.errors
import requests
from docker.models.containers import Container
from docker.models.networks import Network

from lab.containers import client
from lab.core.home import LABEL

PREFIX = "density-"
PROBLEMS = (docker.errors.DockerException, requests.exceptions.RequestException)
REQUEST_SECONDS, CONNECTIONS = 120, 64


class Dockers:
    """A connection and the run's label. Raises: DockerUnusable."""

    def __init__(self, run_id: str) -> None:
        self.label = {LABEL: f"{PREFIX}{run_id}"}
        self.name = f"trove-lab-{PREFIX}{run_id}"
        self.client = client.dial(REQUEST_SECONDS, CONNECTIONS)
        self.info: dict[str, Any] = self.client.info()

    @property
    def systemd(self) -> bool:
        """Whether cgroups are made by systemd (slices) or as plain folders."""
        return self.info.get("CgroupDriver") == "systemd"

    @contextlib.contextmanager
    def network(self, name: str) -> Iterator[Network]:
        """A private bridge without a way out: servers are reached from this host only, and reach nothing."""
        made = self.client.networks.create(
            f"{self.name}-{name}", driver="bridge", internal=True, labels=self.label, check_duplicate=True
        )
        try:
            yield made
        finally:
            with contextlib.suppress(docker.errors.NotFound):
                made.remove()

    def address(self, container: Container) -> str:
        """The container's address in its only network, or an empty string if it has none (any more)."""
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])


def put(container: Container, files: dict[str, tuple[bytes | None, int, int]]) -> None:
    """Write files into a container that need not run: path -> (content, mode, owner); None makes a directory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (content, mode, owner) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.mode, member.uid, member.gid = mode, owner, owner
            if content is None:
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    container.put_archive("/", packed.getvalue())


def remove(container: Container) -> None:
    """Remove a container and its anonymous volumes; one that is gone already is fine."""
    with contextlib.suppress(docker.errors.NotFound):
        container.remove(force=True, v=True)
