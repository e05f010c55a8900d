"""A machine that is a virtual one: Vagrant over libvirt or VirtualBox, our own box, keys by a seed disc."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lab.core import process, waits
from lab.core.home import LABEL, Home
from lab.core.job import Job
from lab.core.ssh import Address, Remote
from lab.core.state import write_atomically
from lab.core.waits import Note
from lab.machine import box, domains, keys, network, seed
from lab.machine.contract import Status, Wanted
from lab.machine.vagrant import Vagrant

HALT_SECONDS = 120
BUILD_SECONDS = 3600
USER = "root"
IMAGES = Path("/var/lib/libvirt/images")
BOXES = f"{LABEL}/"
"""How the names of our boxes begin."""


def seed_of(home: Home) -> Path:
    """Where the seed disc of a machine under libvirt lies."""
    return IMAGES / f"{LABEL}-{home.name}-seed.iso"


def remove_seed(home: Home) -> None:
    """Take it away, where it is there."""
    if seed_of(home).exists():
        process.run(*process.as_root("rm", "-f", seed_of(home)))


class VirtualMachine:
    """The lab's machine under ``provider``, ``libvirt`` or ``virtualbox``. ``seconds`` bounds each long wait."""

    def __init__(self, home: Home, provider: str, seconds: float) -> None:
        self._home = home
        self._provider = provider
        self._seconds = seconds
        self._file = home.path / "machine.json"
        self._vagrant = Vagrant(home, provider, seconds)

    def up(self, wanted: Wanted, note: Note) -> None:
        """See Machine.up; the box is made of the Docker image ``wanted.image``, once per content."""
        if self.status() == "absent":
            disk = box.build(wanted.image, Job(note, self._home.log("box"), BUILD_SECONDS, ""))
            packed = box.package(disk, self._provider, wanted.disk)
            name = f"{BOXES}{packed.name.removesuffix(f'.{self._provider}.box')}"
            note("giving Vagrant the box")
            self._vagrant.add_box(name, packed)
            self._describe(wanted, name)
        if self.status() != "running":
            note("starting the virtual machine")
            self._vagrant.up()
        self._wait(note)

    def halt(self, note: Note) -> None:
        """See Machine.halt."""
        if self.status() == "running":
            note("shutting down in order")
            self._vagrant.halt()

    def destroy(self, note: Note) -> None:
        """See Machine.destroy."""
        if self._vagrant.machine_id:
            note("removing the virtual machine")
            self._vagrant.destroy()
        remove_seed(self._home)
        self._home.state.forget("machine.ports", "machine.address")

    def status(self) -> Status:
        """See Machine.status; asks the provider through Vagrant."""
        return self._vagrant.status() if self._vagrant.machine_id else "absent"

    def address(self) -> Address:
        """See Machine.address."""
        host, port = self._home.state["machine.address"]
        return Address(host, port, USER, self._home.path / "id_ed25519", self._home.path / "known_hosts")

    def ports(self) -> dict[str, int]:
        """See Machine.ports."""
        return {name: port for name, port in self._home.state.get("machine.ports", {}).items() if name != "ssh"}

    def save(self, snapshot: str, note: Note) -> None:
        """See Machine.save."""
        note("keeping the disk")
        self._vagrant.snapshot("save", snapshot)

    def restore(self, snapshot: str, note: Note) -> None:
        """See Machine.restore."""
        note("going back to the kept disk")
        self._vagrant.snapshot("restore", snapshot)
        self._wait(note)

    def snapshots(self) -> list[str]:
        """See Machine.snapshots."""
        return self._vagrant.snapshots()

    def forget(self, snapshot: str) -> None:
        """See Machine.forget."""
        self._vagrant.snapshot("delete", snapshot)

    def _describe(self, wanted: Wanted, name: str) -> None:
        """Write what the Vagrantfile reads, and the seed disc. Raises: OtherOwner (another checkout's)."""
        domains.check(self._home)
        guests = {"ssh": 22, **wanted.ports}
        ports = network.free_ports(guests, self._home.state.get("machine.ports", {}))
        self._home.state["machine.ports"] = ports
        disc = self._home.path / "seed.iso"
        seed.write(disc, keys.pair(self._home).public, keys.pair(self._home, "host_ed25519"))
        if self._provider == "libvirt":  # whose QEMU runs as a user of its own, who cannot enter the home
            process.run(*process.as_root("install", "-m", "0600", disc, seed_of(self._home)))
            disc.unlink()
            disc = seed_of(self._home)
        description: dict[str, Any] = {
            "name": f"{LABEL}-{self._home.name}",
            "label": domains.title(self._home),
            "provider": self._provider,
            "box": name,
            "boot_timeout": int(self._seconds),
            "halt_timeout": HALT_SECONDS,
            "private_key": str(self._home.path / "id_ed25519"),
            "ports": {name: {"guest": guests[name], "host": port} for name, port in ports.items()},
            "memory_mib": wanted.memory * 1024,
            "cpus": wanted.cpus or os.cpu_count(),
            "disk_gib": wanted.disk,
            "kvm": wanted.kvm,
            "seed": str(disc),
        }
        write_atomically(self._file, json.dumps(description, indent=1))

    def _wait(self, note: Note) -> None:
        """Wait for SSH with the host key that went in by the seed disc."""
        host, port = self._vagrant.ssh_address()
        self._home.state["machine.address"] = [host, port]
        keys.know(self._home, host, port, keys.pair(self._home, "host_ed25519").public)
        remote = Remote(self.address())
        waits.until(
            "SSH on the machine", remote.answers, seconds=self._seconds, setting="--machine-timeout", note=note
        )
        remote.close()
