"""Which class drives which provider, and what each needs on the host."""

from __future__ import annotations

from lab.core.home import Home
from lab.machine.contract import Machine
from lab.machine.docker import DockerMachine
from lab.machine.virtual import VirtualMachine

_BUILD = ("ssh", "docker", "vagrant", "rootfs", "guest")
NEEDS = {"docker": _BUILD, "libvirt": (*_BUILD, "libvirt"), "virtualbox": (*_BUILD, "virtualbox")}
"""Provider to the parts of lab.host.packages.TOOLS that it takes to make a lab with it."""


def of(home: Home, provider: str, seconds: float) -> Machine:
    """The machine of ``home``; ``seconds`` bounds creation, SSH's answer and halt, each."""
    return DockerMachine(home, seconds) if provider == "docker" else VirtualMachine(home, provider, seconds)
