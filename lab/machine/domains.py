"""libvirt's machines that are labs': by name, and whose they are by the title with which Vagrant made them."""

from __future__ import annotations

from pathlib import Path

from lab.core import process
from lab.core.errors import OtherOwner
from lab.core.home import LABEL, OWNER, Home

SECONDS = 60
LISTED_SECONDS = 20
RUNTIME = Path("/run/libvirt")
"""There while libvirt runs; virsh would wait for it."""


def title(home: Home) -> str:
    """What the machine of a lab says of itself."""
    return f"{LABEL}={home.name} {OWNER}={home.owner}"


def users() -> set[str]:
    """Names of the labs, of any checkout, that have a machine here."""
    return {name.removeprefix(f"{LABEL}-") for name in _names()}


def check(home: Home) -> None:
    """Refuse a name that is another owner's here. Raises: OtherOwner."""
    name = f"{LABEL}-{home.name}"
    if name not in _names():
        return
    told = " ".join(listed("desc", "--title", name))
    if f"{OWNER}=" in told and told != title(home):  # one of an earlier version has no owner
        raise OtherOwner(home.name, f"machine {name}")


def of(home: Home) -> list[str]:
    """The lab's machine, if it has one. Raises: OtherOwner."""
    check(home)
    return [name for name in _names() if name == f"{LABEL}-{home.name}"]


def listed(*words: str) -> list[str]:
    """The lines that virsh prints; none where libvirt does not run."""
    if not process.have("virsh") or not RUNTIME.exists():
        return []
    told = process.run("virsh", "-c", "qemu:///system", *words, check=False, timeout=LISTED_SECONDS)
    return [line.strip() for line in told.stdout.splitlines()]


def virsh(*words: str) -> None:
    """Have libvirt do it. Raises: CommandFailed, MissingTools, TimedOut."""
    process.run("virsh", "-c", "qemu:///system", *words, timeout=SECONDS)


def _names() -> list[str]:
    """vagrant-libvirt names machines after their definition."""
    return [line for line in listed("list", "--all", "--name") if line.startswith(f"{LABEL}-")]
