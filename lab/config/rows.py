"""The rows of lab/config/catalog.toml: one frozen dataclass for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Proof = Literal["run", "parsed", "unproven"]
HYPERVISORS = ("kvm", "qemu", "docker", "lxc")
FACTS = ("volumes", "no-volumes", "no-openvswitch", "no-nofile", "no-ksm", "driven", "by-hand")
"""Words that a row may ask for besides hypervisor, distribution, family and ``python3.9``.

``driven``: the lab itself runs stack.sh, and its guests are the lab's; ``by-hand``: it does not."""


def listed(names: Iterable[str]) -> str:
    """``a, b or c``, for a remedy's text."""
    words = list(names)
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "nothing"


@dataclass(frozen=True)
class Source:
    """DevStack's git ref, the commit that it was read at, and its URL where it is not below GIT_BASE."""

    ref: str
    commit: str
    url: str = ""


@dataclass(frozen=True)
class Trove:
    """How DevStack gets Trove: from its own tree, or as a plugin at ``ref``."""

    how: Literal["in-tree", "plugin"]
    ref: str
    commit: str


@dataclass(frozen=True)
class NovaDocker:
    """How DevStack gets a Nova driver for Docker: nova-docker as hook files copied into its tree, or as a plugin as
    well; the lab's own driver (novadriver/); or none.
    """

    how: Literal["hooks", "plugin", "lab", "none"] = "none"
    ref: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Release:
    """One OpenStack release, and how DevStack installs it; ``distros`` is empty where it does not.

    ``projects`` is the ref that the projects share, ``variables`` the prefixes of DevStack's ``X_BRANCH`` settings,
    ``refs`` the exceptions by prefix. ``distros`` are those that stack.sh accepts, the preferred one first.
    ``git_base`` and ``network`` are DevStack's own defaults.
    """

    name: str
    state: Literal["end of life", "unmaintained", "maintained", "development"]
    python: str
    network: Literal["nova-network", "ml2-ovs", "ovn"]
    distros: tuple[str, ...] = ()
    git_base: str = ""
    projects: str = ""
    variables: tuple[str, ...] = ()
    devstack: Source = field(default_factory=lambda: Source("", ""))
    trove: Trove = field(default_factory=lambda: Trove("plugin", "", ""))
    refs: Mapping[str, str] = field(default_factory=dict)
    nova_docker: NovaDocker = field(default_factory=NovaDocker)

    @property
    def branches(self) -> dict[str, str]:
        """``X_BRANCH`` to ref, for every project; so nothing is left at a branch that is gone.

        Not through TARGET_BRANCH: stack.sh also makes the name of RDO's repository of it, which an end-of-life tag
        would spoil on EL.
        """
        return {f"{v}_BRANCH": self.refs.get(v, self.projects) for v in self.variables}


@dataclass(frozen=True)
class Box:
    """A Vagrant box, from the public registry or from ``url``."""

    name: str
    providers: tuple[Literal["libvirt", "virtualbox"], ...]
    version: str = ""
    url: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Distro:
    """A distribution for machines.

    ``token`` is DevStack's name for it; ``packages`` the OpenStack release that its archive has and the packages
    installer serves; ``container``: provider docker can make its root filesystem; ``repositories``: a script (path
    below the checkout, run as root) that moves package sources to where they live today.
    """

    name: str
    title: str
    family: Literal["debian", "ubuntu", "el"]
    version: str
    codename: str
    token: str
    python: str
    packages: str = ""
    container: bool = False
    repositories: str = ""
    note: str = ""
    boxes: tuple[Box, ...] = ()

    @property
    def providers(self) -> tuple[str, ...]:
        """Providers that have a machine of this distribution."""
        with_box = {provider for box in self.boxes for provider in box.providers}
        return (("docker",) if self.container else ()) + (*sorted(with_box), *(("ssh",) if self.packages else ()))


@dataclass(frozen=True)
class Lock:
    """How a release's wheels are locked: packages that are ``newest`` at that date (empty: today), and the upstream
    faults that it still has, as names in dockerfiles/machine/patches.
    """

    patches: tuple[str, ...]
    newest: str = ""


@dataclass(frozen=True)
class Installer:
    """What an installer takes unless something else is asked for: its distribution, and sizes in GiB, with reasons.

    ``memory`` is the machine's (a container's limit), ``disk`` a virtual machine's, ``room`` what must be free on the
    host before one begins. ``locks`` are of the releases that it has by itself, oldest first.
    """

    distro: str
    memory: int
    memory_why: str
    disk: int
    room: int
    room_why: str
    locks: Mapping[str, Lock] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Range:
    """A row that holds from release ``since`` to ``until`` (both included; empty: open), with its reason.

    It holds only where every word of ``when`` is true of the machine: the hypervisor, the distribution or its
    family, ``python3.9``, or one of FACTS.
    """

    why: str
    since: str = ""
    until: str = ""
    when: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Services(Range):
    """DevStack services to enable."""

    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Setting(Range):
    """DevStack settings; with ``file``, options of that configuration file as ``section.option``.

    ``export``: programs that DevStack starts read them from their environment.
    """

    set: Mapping[str, str]
    file: str = ""
    export: bool = False


@dataclass(frozen=True, kw_only=True)
class Preparation(Range):
    """Commands for the stack user in DevStack's directory, before stack.sh."""

    run: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plugin(Range):
    """A DevStack plugin beside Trove's."""

    name: str
    url: str
    ref: str


@dataclass(frozen=True)
class Trap:
    """A failure of stack.sh that is known: ``match`` is a regular expression on the last lines of its log."""

    match: str
    cause: str
    remedy: str


@dataclass(frozen=True)
class Proven:
    """How a combination was proven, where it is more than DevStack's parser (or less).

    An empty field stands for all; ``note`` says what was seen and what was not.
    """

    installer: str
    release: str
    distro: str
    how: Proof
    note: str
    provider: str = ""
    hypervisor: str = ""
