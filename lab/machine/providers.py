"""Which class drives which provider, and what each needs on the host."""

from __future__ import annotations

from lab.config.settings import LabSpec
from lab.core.home import Home
from lab.machine.contract import Machine
from lab.machine.docker import DockerMachine
from lab.machine.ssh import SshMachine
from lab.machine.virtual import VirtualMachine

_GUESTS = ("ssh", "docker", "rootfs", "guest")
_BUILD = (*_GUESTS, "vagrant")
NEEDS = {
    "docker": _BUILD,
    "libvirt": (*_BUILD, "libvirt"),
    "virtualbox": (*_BUILD, "virtualbox"),
    "ssh": _GUESTS,
}
"""Provider to the parts of lab.host.packages.TOOLS that it takes to make a lab with it."""


def of(home: Home, spec: LabSpec) -> Machine:
    """The machine of ``home``; ``machine_timeout`` bounds creation, SSH's answer and halt, each."""
    if spec.provider == "docker":
        return DockerMachine(home, spec.machine_timeout)
    if spec.provider == "ssh":
        return SshMachine(home, spec.host, spec.machine_timeout)
    return VirtualMachine(home, spec.provider, spec.machine_timeout)
