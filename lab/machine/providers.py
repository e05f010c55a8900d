"""Which class drives which provider, and what each needs on the host."""

from __future__ import annotations

from lab.home import Home
from lab.machine import Machine
from lab.machine.docker import DockerMachine

NEEDS = {"docker": ("ssh", "docker", "vagrant", "rootfs", "guest")}
"""Provider to the parts of lab.host.TOOLS that it takes to make a lab with it."""


def of(home: Home, provider: str, seconds: float) -> Machine:
    """The machine of ``home``; ``seconds`` bounds creation, SSH's answer and halt, each."""
    return {"docker": DockerMachine}[provider](home, seconds)
