"""The arms by name; each is made for one trial and closed after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.density.arm_names import MACHINES, TROVE
from lab.density.arms.base import Arm, Ground
from lab.density.arms.containers import Containers
from lab.density.arms.machines import KINDS, VirtualMachines
from lab.density.arms.shared import Shared
from lab.density.bake import Baked
from lab.density.host.cgroup import Budget
from lab.density.vm.machine import Machines


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
