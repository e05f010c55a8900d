"""The arms by name; each is made for one trial and closed after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.core.errors import Unsupported
from lab.density.arms.base import Arm, Ground
from lab.density.arms.containers import Containers
from lab.density.arms.machines import KINDS, VirtualMachines
from lab.density.arms.shared import Shared
from lab.density.bake import Baked
from lab.density.measure import ksm
from lab.density.measure.cgroup import Budget
from lab.density.vm.machine import Machines

BARE = ("vm", "vm-lean", "vm-clone", "container", "container-ksm", "shared")
TROVE = {"trove-vm": ("qemu", "kvm"), "trove-container": ("docker",)}
"""Arms that are instances of a running lab, each with the hypervisors that it is about."""
NAMES = (*BARE, *TROVE)
MACHINES = frozenset(KINDS)


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """``names`` if each is an arm that this host can run. Raises: Unsupported."""
    for name in names:
        if name not in NAMES:
            raise Unsupported(f"There is no arm {name!r} in the density bench.", f"Choose from {', '.join(NAMES)}.")
        if name == "container-ksm" and not ksm.present():
            raise Unsupported("This kernel has no KSM for the arm container-ksm.", "Leave that arm out with --arms.")
    return tuple(dict.fromkeys(names))


def prepare(machines: Machines, names: Sequence[str], baked: Iterable[Baked]) -> None:
    """Make the disks that these arms need, before anything is measured. Raises: CommandFailed, DiskFull."""
    for one in baked:
        for name in names:
            if name in MACHINES:
                machines.disk(KINDS[name], one)


def make(name: str, ground: Ground, baked: Baked, budget: Budget) -> Arm:
    """A fresh arm."""
    if name in TROVE:
        from lab.density.arms.instances import Instances  # the other arms need no OpenStack

        return Instances(name, ground, baked)
    if name in MACHINES:
        return VirtualMachines(name, ground, baked, budget)
    if name == "shared":
        return Shared(ground, baked, budget)
    return Containers(ground, baked, budget, name)
