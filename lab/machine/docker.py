"""A machine that is a systemd container: Vagrant's docker provider, a network of its own, snapshots by commit."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, cast

from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container

from lab.containers import client, ownership, volumes
from lab.core import process, waits
from lab.core.errors import BadValue, CommandFailed, GaveUp, PortTaken, Unsupported
from lab.core.home import LABEL, Home
from lab.core.ssh import Address, Remote
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.host import kernel
from lab.machine import container, keys, network, stray
from lab.machine.contract import Status, Wanted
from lab.machine.vagrant import Vagrant

HALT_SECONDS = 90
COMMIT_SECONDS = 1800
SETTLE_SECONDS = 3.0
"""How long dockerd may need to end what a killed ``docker run`` had asked for; its container can be removed then."""
VAGRANT_LINES = 25
"""Vagrant's advice on a port is longer than a command's usual last words."""
SNAPSHOT_NAME = r"[a-z0-9][a-z0-9.-]{0,39}"


class DockerMachine:
    """The lab's machine under Docker. ``seconds`` bounds each of: creation, answer over SSH, halt."""

    def __init__(self, home: Home, seconds: float) -> None:
        self._home = home
        self._seconds = seconds
        self._name = f"trove-lab-{home.name}"
        self._vagrant = Vagrant(home, "docker", seconds)

    def up(self, wanted: Wanted, note: Note) -> None:
        """See Machine.up. A container that is there keeps the image and the ports that it was made with."""
        try:
            self._up(wanted, note)
        except PortTaken:
            if self.status() != "absent":
                raise
            # a container whose client was killed came up late and has our ports, or someone was quicker
            note("a port is taken: choosing others")
            self._home.state.forget("machine.ports")
            self._up(wanted, note)

    def halt(self, note: Note) -> None:
        """See Machine.halt."""
        if self.status() == "running":
            note("shutting down in order")
            self._vagrant.halt()

    def destroy(self, note: Note) -> None:
        """See Machine.destroy: container, network and snapshots."""
        note("removing the container and its network")
        ownership.check(self._home.name, self._home.owner)
        ownership.remove(self._home.name)  # at once; Vagrant would first shut it down in order
        if self._vagrant.machine_id:
            self._vagrant.destroy()
        remove_cgroups(self._name)
        self._home.state.forget("machine.ports", "machine.image")

    def status(self) -> Status:
        """See Machine.status; asks the engine."""
        found = self._container()
        if found is None or found.id != self._vagrant.machine_id:
            return "absent"
        return "running" if found.status == "running" else "halted"

    def address(self) -> Address:
        """See Machine.address."""
        home = self._home.path
        return Address("127.0.0.1", self._ports()["ssh"], "root", home / "id_ed25519", home / "known_hosts")

    def ports(self) -> dict[str, int]:
        """See Machine.ports."""
        return {name: port for name, port in self._ports().items() if name != "ssh"}

    def save(self, snapshot: str, note: Note) -> None:
        """See Machine.save: commit of the container and copy of its volume, paused meanwhile. Raises: BadValue."""
        if not re.fullmatch(SNAPSHOT_NAME, snapshot):
            raise BadValue(
                "snapshot", snapshot, "lower-case letters, digits, dots and dashes (at most 40)", "argument"
            )
        self.commit(f"trove-lab/snapshot-{self._home.name}:{snapshot}", self._home.name, note)

    def commit(self, tag: str, label: str, note: Note) -> str:
        """Commit the container under ``tag``, labelled ``trove-lab=label``; give the image's id (``sha256:…``)."""
        found = self._container()
        if found is None:
            raise Unsupported("There is no machine to keep a snapshot of.", "./inv up makes it.")
        note(f"committing the container as {tag}")
        repository, _, version = tag.rpartition(":")
        with client.connect(COMMIT_SECONDS) as daemon:
            running = found.status == "running"
            if running:
                found.exec_run(["sync"])
                found.pause()
            try:
                made = daemon.api.commit(self._name, repository, version, changes=[f"LABEL {LABEL}={label}"])
                if volumes.there(volumes.of(self._name)):
                    note("copying the volume of its Docker engine")
                    volumes.copy(volumes.of(self._name), volumes.beside(tag), tag, label)
            finally:
                if running:
                    found.unpause()
        return str(made["Id"])

    def restore(self, snapshot: str, note: Note) -> None:
        """See Machine.restore: a new container from the committed image; ports and keys stay."""
        tag = f"trove-lab/snapshot-{self._home.name}:{snapshot}"
        if client.find(tag) is None:
            raise Unsupported(
                f"There is no snapshot {snapshot!r}.", f"Kept are: {', '.join(self.snapshots()) or 'none'}."
            )
        self._home.state["machine.image"] = tag
        description = {**self._description(), "image": tag}
        note("replacing the container")
        self._remove_container()
        self._vagrant.destroy()
        write_atomically(self._file, json.dumps(description, indent=1))
        self._bring_volume(note)
        self._start(note)

    def snapshots(self) -> list[str]:
        """See Machine.snapshots."""
        repository = f"trove-lab/snapshot-{self._home.name}"
        with client.connect() as daemon:
            tags = [tag for image in daemon.images.list(name=repository) for tag in image.tags]
        return sorted(tag.removeprefix(f"{repository}:") for tag in tags if tag.startswith(f"{repository}:"))

    def forget(self, snapshot: str) -> None:
        """See Machine.forget."""
        with client.connect() as daemon, contextlib.suppress(ImageNotFound):
            daemon.images.remove(f"trove-lab/snapshot-{self._home.name}:{snapshot}", force=True)
        volumes.remove(re.escape(volumes.beside(f"trove-lab/snapshot-{self._home.name}:{snapshot}")))

    @property
    def _file(self) -> Path:
        return self._home.path / "machine.json"

    def _description(self) -> dict[str, Any]:
        return dict(json.loads(self._file.read_text(encoding="utf-8")))

    def _ports(self) -> dict[str, int]:
        return dict(self._home.state.get("machine.ports", {}))

    def _container(self) -> Container | None:
        with client.connect() as daemon:
            try:
                return daemon.containers.get(self._name)
            except NotFound:
                return None

    def _remove_container(self) -> None:
        with client.connect() as daemon, contextlib.suppress(NotFound):
            ownership.remove_container(daemon.containers.get(self._name))

    def _bring_volume(self, note: Note) -> None:
        """A machine that is made anew has the volume that was kept beside its image, or an empty one."""
        image = str(self._description()["image"])
        volumes.remove(re.escape(volumes.of(self._name)))
        if volumes.there(volumes.beside(image)):
            note("copying the volume of its Docker engine")
            volumes.copy(volumes.beside(image), volumes.of(self._name), image, self._home.name)

    def _up(self, wanted: Wanted, note: Note) -> None:
        if self.status() == "absent":
            ownership.check(self._home.name, self._home.owner)
            if stray.end(self._home, note):
                waits.pause(SETTLE_SECONDS)
            self._remove_container()  # one that Vagrant does not know: its client died between the two
            network.ensure(self._name, self._home.name, self._home.owner)
            self._describe(wanted)
            self._bring_volume(note)
        self._start(note)

    def _start(self, note: Note) -> None:
        if self.status() != "running":
            note("starting the container")
            try:
                self._vagrant.up()
            except CommandFailed as error:
                raise self._why(error) from error
        self._learn_host_key()
        remote = Remote(self.address())
        waits.until(
            "SSH on the machine",
            remote.answers,
            seconds=self._seconds,
            setting="--machine-timeout",
            fatal=self._died,
            note=note,
        )
        remote.close()

    def _describe(self, wanted: Wanted) -> None:
        """Write what the Vagrantfile reads; ports that the lab had before are kept where they are still free."""
        ports = network.free_ports({"ssh": 22, **wanted.ports}, self._ports())
        self._home.state["machine.ports"] = ports
        token = self._home.state.get("machine.token") or keys.generate("").public.split()[1][-24:].replace("/", "x")
        self._home.state["machine.token"] = token
        pair = keys.pair(self._home)
        description = {
            "name": self._name,
            "provider": "docker",
            "image": self._home.state.get("machine.image", wanted.image),
            "boot_timeout": int(self._seconds),
            "halt_timeout": HALT_SECONDS,
            "private_key": str(self._home.path / "id_ed25519"),
            "ports": {n: {"guest": {"ssh": 22, **wanted.ports}[n], "host": port} for n, port in ports.items()},
            "environment": {
                "LAB_AUTHORIZED_KEY": pair.public,
                "LAB_MACHINE": token,
                "LAB_CGROUP": self._name,
            },
            "create_args": container.create_args(self._name, f"{LABEL}={self._home.name}", wanted, kernel.probe()),
        }
        write_atomically(self._file, json.dumps(description, indent=1))

    def _learn_host_key(self) -> None:
        """Read the host key through Docker, never over the network."""
        found = self._container()
        command = ["sh", "-c", "test -e /run/lab-init.done && cat /etc/ssh/ssh_host_ed25519_key.pub"]

        def read() -> str | None:
            with client.connect() as daemon:
                code, output = daemon.containers.get(self._name).exec_run(command)
            return cast("bytes", output).decode() if code == 0 else None

        if found is None:
            raise GaveUp("the machine", "its container is gone")
        public = waits.until(
            "the machine's host key",
            read,
            seconds=self._seconds,
            setting="--machine-timeout",
            every=0.2,
            fatal=self._died,
            transient=(CommandFailed,),  # Docker's 409, if the container ends between two looks at it
        )
        keys.know(self._home, "127.0.0.1", self._ports()["ssh"], public)

    def _died(self) -> str | None:
        """Why the container can no longer answer, from its own last words."""
        found = self._container()
        if found is not None and found.status in ("running", "created", "restarting"):
            return None
        if found is None:
            return "its container is gone"
        with client.connect() as daemon:
            words = bytes(daemon.containers.get(self._name).logs(tail=5)).decode(errors="replace").strip()
        return f"its container ended with code {found.attrs['State']['ExitCode']}: {words}"

    def _why(self, error: CommandFailed) -> Exception:
        """What Vagrant's failure means, where we know better."""
        said = process.tail(error.log, VAGRANT_LINES) if error.log else error.last_lines
        for name, port in self._ports().items():
            dockers = f":{port}" in said and "address already in use" in said
            if dockers or f"forwarded port to {port} is already in use" in said:
                return PortTaken(port, name)
        if self._container() is not None and (reason := self._died()):
            return GaveUp("the machine", reason, log=error.log)
        return error


def cgroups(name: str) -> Path | None:
    """The container's group in the host's cgroup v2 tree (made by lab-init on v1 hosts; outlives the container)."""
    mount = kernel.unified_mount(kernel.read(Path("/proc/mounts")))
    return mount / name if mount and (mount / name).is_dir() else None


def remove_cgroups(name: str) -> None:
    """Remove that group, now empty."""
    left = cgroups(name)
    if left is not None:
        process.run(*process.as_root("find", left, "-depth", "-type", "d", "-delete"))
