"""The machine that OpenStack is put on: one contract, whatever provider runs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from lab.core.ssh import Address
from lab.core.waits import Note

Status = Literal["running", "halted", "absent"]
HOSTNAME = "machine"
"""The same in every lab: services know themselves by it, and a committed image must boot under another lab's name."""


@dataclass(frozen=True)
class Wanted:
    """What a machine should be. Sizes are GiB; ``cpus`` 0 means all of the host's.

    ``image`` is a Docker image; virtual machines start from a box that is made of it. ``ports`` maps a service's
    name to its port in the machine; each is published on a free port of 127.0.0.1. ``kvm`` says that KVM was proven
    to boot a kernel, ``containers`` that the machine runs a Docker of its own, which wants its data outside the
    machine's overlay. ``mounts`` are folders here and where the machine sees them, read-only (provider docker).
    ``system`` is the distribution as the catalogue names it; a machine that is there already must have it.
    """

    image: str
    memory: int
    cpus: int
    disk: int
    kvm: bool = False
    containers: bool = False
    ports: dict[str, int] = field(default_factory=dict)
    mounts: dict[str, str] = field(default_factory=dict)
    system: str = ""


class Machine(Protocol):
    """One machine of one lab."""

    def up(self, wanted: Wanted, note: Note) -> None:
        """Create or start it and wait until SSH answers with the host key that the provider told us."""

    def halt(self, note: Note) -> None:
        """Shut it down in order; nothing happens where it does not run."""

    def destroy(self, note: Note) -> None:
        """Remove it and its disks; nothing happens where it is not."""

    def status(self) -> Status:
        """What the provider says at this moment."""

    def address(self) -> Address:
        """How SSH reaches it."""

    def ports(self) -> dict[str, int]:
        """Per service name its port on 127.0.0.1."""

    def save(self, snapshot: str, note: Note) -> None:
        """Keep its disk under a name."""

    def restore(self, snapshot: str, note: Note) -> None:
        """Go back to a kept disk, and up."""

    def snapshots(self) -> list[str]:
        """Names of the kept disks."""

    def forget(self, snapshot: str) -> None:
        """Drop a kept disk."""
