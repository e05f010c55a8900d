"""The installers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.config.settings import LabSpec
from lab.install.contract import Ground, Installer
from lab.install.devstack import limits
from lab.install.devstack.installer import DevStack
from lab.install.packages import Packages
from lab.install.wheels import installer as wheels


@dataclass(frozen=True)
class Kind:
    """How one is made, the parts of lab.host.packages.TOOLS that it takes here, and what it refuses beforehand."""

    make: Callable[[Ground], Installer]
    tools: tuple[str, ...] = ()
    check: Callable[[LabSpec], None] = lambda _: None


KINDS: Mapping[str, Kind] = {
    "packages": Kind(Packages),
    "wheels": Kind(wheels.make),
    "devstack": Kind(DevStack, ("devstack",), limits.check),
}
