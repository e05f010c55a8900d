"""The names of the arms, and which of them this host can run."""

from __future__ import annotations

from collections.abc import Sequence

from lab.core.errors import Unsupported
from lab.density.host import ksm

BARE = ("vm", "vm-lean", "vm-clone", "container", "container-ksm", "shared")
TROVE = {"trove-vm": ("qemu", "kvm"), "trove-container": ("docker",)}
"""Arms that are instances of a running lab, each with the hypervisors that it is about."""
NAMES = (*BARE, *TROVE)
MACHINES = frozenset({"vm", "vm-lean", "vm-clone"})
"""Arms whose databases have a kernel of their own, started by this bench."""


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """``names`` if each is an arm that this host can run. Raises: Unsupported."""
    for name in names:
        if name not in NAMES:
            raise Unsupported(f"There is no arm {name!r} in the density bench.", f"Choose from {', '.join(NAMES)}.")
        if name == "container-ksm" and not ksm.present():
            raise Unsupported("This kernel has no KSM for the arm container-ksm.", "Leave that arm out with --arms.")
    return tuple(dict.fromkeys(names))
