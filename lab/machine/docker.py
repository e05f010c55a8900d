"""A machine that is a systemd container: Vagrant's docker provider, a network of the lab's own, snapshots by commit."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool

from lab import engine, kernel, waits
from lab.errors import CommandFailed, GaveUp, PortTaken, Unsupported
from lab.home import LABEL, Home
from lab.machine import Status, Wanted, container, keys
from lab.machine.vagrant import Vagrant
from lab.remote import Address, Remote
from lab.state import write_atomically
from lab.waits import Note

HALT_SECONDS = 90
SNAPSHOT = "trove-lab.snapshot"
"""Label on a committed image; its value is the snapshot's name."""


class DockerMachine:
    """The lab's machine under Docker. ``seconds`` bounds each of: creation, answer over SSH, halt."""

    def __init__(self, home: Home, seconds: float) -> None:
        self._home = home
        self._seconds = seconds
        self._name = f"trove-lab-{home.name}"
        self._vagrant = Vagrant(home, "docker", seconds)

    def up(self, wanted: Wanted, note: Note) -> None:
        """See Machine.up. A container that is there keeps the image and the ports that it was made with."""
        state = self.status()
        if state == "absent":
            self._remove_stray()
            self._network()
            self._describe(wanted)
        if state != "running":
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

    def halt(self, note: Note) -> None:
        """See Machine.halt."""
        if self.status() == "running":
            note("shutting down in order")
            self._vagrant.halt()

    def destroy(self, note: Note) -> None:
        """See Machine.destroy: container, network and snapshots."""
        if self._vagrant.machine_id:
            note("removing the container")
            with contextlib.suppress(CommandFailed):  # what Vagrant cannot, the labels below can
                self._vagrant.destroy()
        remove_labelled(self._home.name)
        self._home.state.forget("machine.ports")

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
        """See Machine.save: ``docker commit`` of the container, paused meanwhile when it runs."""
        self.commit(f"trove-lab/snapshot-{self._home.name}:{snapshot}", self._home.name, note, snapshot)

    def commit(self, tag: str, label: str, note: Note, snapshot: str = "") -> str:
        """Commit the container under ``tag``, labelled ``trove-lab=label``; give the image's id (``sha256:…``)."""
        found = self._container()
        if found is None:
            raise Unsupported("There is no machine to keep a snapshot of.", "./inv up makes it.")
        note(f"committing the container as {tag}")
        repository, _, version = tag.rpartition(":")
        changes = [f"LABEL {LABEL}={label}", f'LABEL {SNAPSHOT}="{snapshot}"']
        with engine.client(3600) as client:
            if found.status == "running":
                found.exec_run(["sync"])
            made = client.api.commit(found.id, repository, version, changes=changes)
        return str(made["Id"])

    def restore(self, snapshot: str, note: Note) -> None:
        """See Machine.restore: a new container from the committed image; ports and keys stay."""
        tag = f"trove-lab/snapshot-{self._home.name}:{snapshot}"
        if engine.find(tag) is None:
            raise Unsupported(f"There is no snapshot {snapshot!r}.", f"Kept are: {', '.join(self.snapshots()) or 'none'}.")
        description = self._description()
        note("replacing the container")
        self._vagrant.destroy()
        write_atomically(self._file, json.dumps({**description, "image": tag}, indent=1))
        self._vagrant.up()
        self._learn_host_key()
        waits.until(
            "SSH on the machine",
            Remote(self.address()).answers,
            seconds=self._seconds,
            setting="--machine-timeout",
            fatal=self._died,
            note=note,
        )

    def snapshots(self) -> list[str]:
        """See Machine.snapshots."""
        with engine.client() as client:
            found = client.images.list(filters={"label": [f"{LABEL}={self._home.name}", SNAPSHOT]})
            return sorted(name for image in found if (name := image.labels.get(SNAPSHOT)))

    def forget(self, snapshot: str) -> None:
        """See Machine.forget."""
        with engine.client() as client, contextlib.suppress(ImageNotFound):
            client.images.remove(f"trove-lab/snapshot-{self._home.name}:{snapshot}")

    @property
    def _file(self) -> Path:
        return self._home.path / "machine.json"

    def _description(self) -> dict[str, Any]:
        return dict(json.loads(self._file.read_text(encoding="utf-8")))

    def _ports(self) -> dict[str, int]:
        return dict(self._home.state.get("machine.ports", {}))

    def _container(self) -> Container | None:
        with engine.client() as client:
            try:
                return client.containers.get(self._name)
            except NotFound:
                return None

    def _remove_stray(self) -> None:
        """A container of our name that Vagrant does not know: its client died between the two; nothing is on it."""
        found = self._container()
        if found is not None:
            with engine.client() as client:
                client.containers.get(found.id).remove(force=True, v=True)

    def _network(self) -> None:
        """The lab's own bridge, so that nothing done to docker0 reaches the lab, with the uplink's MTU."""
        with engine.client() as client:
            existing = client.networks.list()
            if any(n.name == self._name for n in existing):
                return
            taken = container.host_networks() + [
                container.ipaddress.IPv4Network(pool["Subnet"])
                for n in existing
                for pool in (n.attrs.get("IPAM") or {}).get("Config") or []
                if ":" not in pool.get("Subnet", ":")
            ]
            mtu = container.default_mtu(kernel.read(Path("/proc/net/route")))
            for subnet in container.free_subnets(taken):
                try:
                    client.networks.create(
                        self._name,
                        driver="bridge",
                        labels={LABEL: self._home.name},
                        options={"com.docker.network.driver.mtu": str(mtu)},
                        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                    )
                except APIError as error:
                    if "overlap" not in str(error.explanation):  # another lab was faster
                        raise
                else:
                    return

    def _describe(self, wanted: Wanted) -> None:
        """Write what the Vagrantfile reads; ports that the lab had before are kept where they are still free."""
        ports = free_ports({"ssh": 22, **wanted.ports}, self._ports())
        self._home.state["machine.ports"] = ports
        token = self._home.state.get("machine.token") or keys.generate("").public.split()[1][-24:].replace("/", "x")
        self._home.state["machine.token"] = token
        pair = keys.pair(self._home)
        description = {
            "name": self._name,
            "provider": "docker",
            "image": wanted.image,
            "boot_timeout": int(self._seconds),
            "halt_timeout": HALT_SECONDS,
            "private_key": str(self._home.path / "id_ed25519"),
            "ports": {n: {"guest": {"ssh": 22, **wanted.ports}[n], "host": port} for n, port in ports.items()},
            "environment": {
                "LAB_AUTHORIZED_KEY": pair.public,
                "LAB_MACHINE": token,
                "LAB_CGROUP": self._name,
            },
            "create_args": container.create_args(
                self._name, f"{LABEL}={self._home.name}", wanted, kernel.probe()
            ),
        }
        write_atomically(self._file, json.dumps(description, indent=1))

    def _learn_host_key(self) -> None:
        """Read the host key through Docker, never over the network."""
        found = self._container()
        command = ["sh", "-c", "test -e /run/lab-init.done && cat /etc/ssh/ssh_host_ed25519_key.pub"]

        def read() -> str | None:
            with engine.client() as client:
                code, output = client.containers.get(self._name).exec_run(command)
            return output.decode() if code == 0 else None

        if found is None:
            raise GaveUp("the machine", "its container is gone")
        public = waits.until(
            "the machine's host key", read, seconds=self._seconds, setting="--machine-timeout", every=0.2,
            fatal=self._died,
        )
        keys.know(self._home, "127.0.0.1", self._ports()["ssh"], public)

    def _died(self) -> str | None:
        """Why the container can no longer answer, from its own last words."""
        found = self._container()
        if found is not None and found.status in ("running", "created", "restarting"):
            return None
        if found is None:
            return "its container is gone"
        with engine.client() as client:
            words = client.containers.get(found.id).logs(tail=5).decode(errors="replace").strip()
        return f"its container ended with code {found.attrs['State']['ExitCode']}: {words}"

    def _why(self, error: CommandFailed) -> Exception:
        """A port taken by someone else in the meantime has its own error."""
        for name, port in self._ports().items():
            if f":{port}" in error.last_lines and "address already in use" in error.last_lines:
                return PortTaken(port, name)
        return error


def free_ports(wanted: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """For each service a port of 127.0.0.1 that nobody listens on: the one it had before where that is still free."""
    chosen: dict[str, int] = {}
    with contextlib.ExitStack() as held:
        for name in wanted:
            for port in (before.get(name, 0), 0):
                listener = held.enter_context(socket.socket())
                try:
                    listener.bind(("127.0.0.1", port))
                except OSError:
                    continue
                chosen[name] = listener.getsockname()[1]
                break
    return chosen


def remove_labelled(name: str) -> None:
    """Remove containers, networks, volumes and snapshot images that carry ``trove-lab=NAME``."""
    wanted = {"label": f"{LABEL}={name}"}
    with engine.client(600) as client:
        for found in client.containers.list(all=True, filters=wanted):
            with contextlib.suppress(NotFound):
                found.remove(force=True, v=True)
        for network in client.networks.list(filters=wanted):
            with contextlib.suppress(NotFound):
                network.remove()
        for volume in client.volumes.list(filters=wanted):
            with contextlib.suppress(NotFound):
                volume.remove(force=True)
        for image in client.images.list(filters=wanted):
            with contextlib.suppress(NotFound):
                client.images.remove(image.id, force=True)
