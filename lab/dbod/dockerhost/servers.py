"""Database servers as containers of one host: made, started, stopped, asked; found again by the lab's label."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container
from packaging.version import Version

from lab.containers import client, ownership
from lab.core.errors import CommandFailed, DockerUnusable, PortTaken, Refused
from lab.core.home import LABEL, OWNER
from lab.core.units import MIB
from lab.machine import network

STOP_SECONDS = 60
ANSWER_SECONDS = 120.0
HOME = "/srv"
"""Where an instance's folder is in its container."""
NETWORK = 29
"""The length of the prefix of an instance's network: no other is in it."""
TMP = 16 * MIB
"""Of a container's own /tmp: for sockets; what a server writes there itself lies in its folder."""


@dataclass(frozen=True)
class Server:
    """What a container is made of; ``memory`` in MiB, ``port`` on 127.0.0.1 (0: none).

    ``volume`` is where its image keeps data unless told: nothing is to be there.
    """

    image: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    volume: str
    inner_port: int
    port: int
    memory: int


def numbered(tags: Iterable[str]) -> list[str]:
    """Those tags that are versions, the newest last: 10.11 comes after 10.6."""
    return sorted({tag for tag in tags if tag.replace(".", "").isdigit() and len(tag) < 16}, key=Version)


class Servers:
    """The containers of the host ``name``. Raises: DockerUnusable, CommandFailed, TimedOut."""

    def __init__(self, name: str, owner: str) -> None:
        self._label = {LABEL: name, OWNER: owner}
        self._prefix = f"{LABEL}-{name}"

    def create(self, name: str, server: Server) -> None:
        """Make the container, not started; one of that name is replaced. Raises: DockerUnusable (no image)."""
        ownership.check(self._label[LABEL], self._label[OWNER])
        self.remove(name)
        network.ensure(self._container(name), self._label[LABEL], self._label[OWNER], NETWORK)
        with client.connect(ANSWER_SECONDS) as daemon:
            try:
                daemon.containers.create(
                    server.image,
                    list(server.argv),
                    name=self._container(name),
                    environment=server.environment,
                    labels=self._label,
                    network=self._container(name),
                    ports={f"{server.inner_port}/tcp": ("127.0.0.1", server.port)} if server.port else {},
                    volumes={str(server.folder): {"bind": HOME, "mode": "rw"}},
                    **_walls(server),
                    mem_limit=server.memory * MIB,
                    memswap_limit=server.memory * MIB,
                    pids_limit=512,
                )
            except ImageNotFound as error:
                raise DockerUnusable(
                    f"the image {server.image} is missing", "./inv image-build builds it."
                ) from error

    def start(self, name: str, port: int) -> None:
        """Start; a server that runs is left alone. Raises: PortTaken."""
        try:
            with self._found(name) as container:
                container.start()
        except CommandFailed as error:
            if "port is already allocated" in error.cause or "address already in use" in error.cause:
                raise PortTaken(port, name) from error
            raise

    def stop(self, name: str) -> None:
        """Stop as the engine wants it (SIGTERM, SIGINT), and kill after a minute."""
        with self._found(name) as container:
            container.stop(timeout=STOP_SECONDS)

    def kill(self, name: str) -> None:
        """End the server with SIGKILL: what a crash does."""
        with self._found(name) as container:
            container.kill()

    def remove(self, name: str) -> None:
        """Remove the container; one that is gone already is fine."""
        # suppressed inside: the connection turns what leaves it into errors of ours
        with client.connect(ANSWER_SECONDS) as daemon, contextlib.suppress(NotFound):
            daemon.containers.get(self._container(name)).remove(force=True, v=True)

    def destroy(self, name: str) -> None:
        """Remove the container and its network; those that are gone already are fine."""
        self.remove(name)
        with client.connect(ANSWER_SECONDS) as daemon:
            labels = [f"{key}={value}" for key, value in self._label.items()]
            for one in daemon.networks.list(names=[self._container(name)], filters={"label": labels}):
                if one.name == self._container(name):  # the engine finds by parts of a name
                    one.remove()

    @contextlib.contextmanager
    def paused(self, name: str) -> Any:
        """Freeze the server's processes meanwhile."""
        with self._found(name) as container:
            container.pause()
            try:
                yield
            finally:
                container.unpause()

    def thaw(self, name: str) -> None:
        """Let processes go on that a killed run had left frozen."""
        with client.connect() as daemon, contextlib.suppress(NotFound):
            container = daemon.containers.get(self._container(name))
            if container.status == "paused":
                container.unpause()

    def limit(self, name: str, memory: int) -> None:
        """Another memory limit, in MiB, for a server that may be running."""
        with self._found(name) as container:
            container.update(mem_limit=memory * MIB, memswap_limit=memory * MIB)

    def running(self, name: str) -> bool:
        """Whether its server is there, be it frozen."""
        with client.connect() as daemon, contextlib.suppress(NotFound):
            return daemon.containers.get(self._container(name)).status in {"running", "paused"}
        return False

    def usage(self, name: str) -> dict[str, int]:
        """The running container's working set and its limit, in bytes.

        That is what it uses without the pages of files that the kernel may drop, as ``docker stats`` has it: of the
        cgroup's version 2 ``inactive_file``, of version 1 ``total_inactive_file``.
        """
        with self._found(name) as container:
            memory: Any = container.stats(stream=False, one_shot=True)["memory_stats"]
        parts: Mapping[str, int] = memory.get("stats", {})
        idle = parts.get("total_inactive_file", parts.get("inactive_file", 0))
        return {"memory_used": int(memory.get("usage", 0) - idle), "memory_limit": int(memory.get("limit", 0))}

    def logs(self, name: str, lines: int) -> str:
        """The server's last lines."""
        with self._found(name) as container:
            return bytes(container.logs(tail=lines)).decode(errors="replace")

    def address(self, name: str) -> str:
        """The running container's own address, on its network."""
        with self._found(name) as container:
            networks = container.attrs["NetworkSettings"]["Networks"]
            return str(next(iter(networks.values()))["IPAddress"])

    def try_out(self, server: Server, argv: list[str], *, write: bool = False) -> tuple[int, str, str]:
        """Run ``argv`` in a throw-away container over the same folder; exit code, errors, output.

        It can write there only with ``write``.
        """
        with client.connect(ANSWER_SECONDS) as daemon:
            container = daemon.containers.create(
                server.image,
                argv,
                environment=server.environment,
                labels=self._label,
                network_mode="none",
                volumes={str(server.folder): {"bind": HOME, "mode": "rw" if write else "ro"}},
                **_walls(server),
            )
            try:
                container.start()
                code = int(container.wait()["StatusCode"])
                said, printed = (bytes(container.logs(stdout=out, stderr=not out)) for out in (False, True))
                return code, said.decode(errors="replace"), printed.decode(errors="replace")
            finally:
                container.remove(force=True, v=True)

    def versions(self, repository: str) -> list[str]:
        """The versions of an engine for which there is an image here, oldest first; tags by content are left out."""
        with client.connect() as daemon:
            tags = [tag.rsplit(":", 1)[1] for image in daemon.images.list(repository) for tag in image.tags]
        return numbered(tags)

    def version(self, repository: str, wanted: str = "") -> str:
        """``wanted``, or the newest version that there is. Raises: DockerUnusable (no image), Refused."""
        here = self.versions(repository)
        if not here:
            raise DockerUnusable(f"there is no image {repository}", "./inv image-build builds it.")
        if wanted and wanted not in here:
            raise Refused(f"{repository} {wanted} is not offered here.", f"Offered: {', '.join(here)}.")
        return wanted or here[-1]

    def _container(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    @contextlib.contextmanager
    def _found(self, name: str) -> Any:
        with client.connect(ANSWER_SECONDS) as daemon:
            container: Container = daemon.containers.get(self._container(name))
            yield container


def _walls(server: Server) -> dict[str, Any]:
    """What holds for every container: no rights of root's, and nothing to write in but the folder and /tmp."""
    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {"/tmp": f"mode=1777,size={TMP}", server.volume: "mode=0700,size=64k"},
    }
