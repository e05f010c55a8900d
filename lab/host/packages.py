"""What the host lacks, and its package manager's way to get it; a Docker engine started where no init does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lab.core import process
from lab.core.errors import CommandFailed, MissingTools
from lab.core.waits import Note
from lab.host import dockerd, firewall, kernel

LOCK_SECONDS = 300
"""How long apt waits for another apt (a fresh machine's unattended upgrade) to end."""


@dataclass(frozen=True)
class Tool:
    """A program (or file, with a slash) that ``part`` of the lab needs, and the packages that bring it.

    ``dnf`` names are for the message only: installing is done by apt. A package that ends in ``?`` exists in some
    releases only.
    """

    part: str
    program: str
    apt: str
    dnf: str
    when: str = ""


TOOLS = (
    Tool("ssh", "ssh", "openssh-client", "openssh-clients"),
    Tool("docker", "dockerd", "docker.io", "moby-engine"),
    Tool("docker", "docker", "docker.io docker-cli?", "moby-engine"),
    Tool("docker", "iptables", "iptables", "iptables"),
    # without it dockerd refuses to start any container where the kernel has AppArmor
    Tool("docker", "apparmor_parser", "apparmor", "apparmor-parser", when="apparmor"),
    Tool("docker", "setfacl", "acl", "acl", when="not-root"),
    Tool("vagrant", "vagrant", "vagrant", "vagrant"),
    Tool("libvirt", "libvirtd", "libvirt-daemon-system", "libvirt-daemon"),
    Tool("libvirt", "virsh", "libvirt-clients", "libvirt-client"),
    # libvirt's own network has its DHCP from it
    Tool("libvirt", "dnsmasq", "dnsmasq-base", "dnsmasq"),
    Tool(
        "libvirt",
        "/usr/share/rubygems-integration/all/specifications/vagrant-libvirt-*.gemspec",
        "vagrant-libvirt",
        "vagrant-libvirt",
    ),
    Tool("virtualbox", "VBoxManage", "virtualbox", "VirtualBox"),
    Tool("rootfs", "mmdebstrap", "mmdebstrap", "mmdebstrap"),
    Tool("rootfs", "/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring", "debian-keyring"),
    Tool("guest", "qemu-img", "qemu-utils", "qemu-img"),
    Tool("guest", "qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core"),
    Tool("guest", "mke2fs", "e2fsprogs", "e2fsprogs"),
    # the guest agent of the release, and mirrors
    Tool("devstack", "git", "git", "git"),
    Tool("lint", "shellcheck", "shellcheck", "ShellCheck"),
    Tool("tests", "mariadb", "mariadb-client-core", "mariadb"),
    Tool("browser", "chromium", "chromium", "chromium"),
    Tool("browser", "chromedriver", "chromium-driver", "chromedriver"),
    # a file system with snapshots in a file, for databases on demand
    Tool("dbod", "mkfs.btrfs", "btrfs-progs", "btrfs-progs"),
    # load for the density bench: PostgreSQL's own comes with its server's package
    Tool("load-mariadb", "sysbench", "sysbench", "sysbench"),
    Tool("load-postgresql", "pgbench", "postgresql-contrib", "postgresql-contrib"),
)


def missing(parts: Collection[str]) -> list[Tool]:
    """The tools that ``parts`` need and this host lacks."""
    return [tool for tool in TOOLS if tool.part in parts and _wanted(tool) and not _present(tool)]


def install_command(tools: list[Tool]) -> str:
    """What to type to get ``tools``."""
    if process.have("dnf") and not process.have("apt-get"):
        return "dnf install -y " + " ".join(sorted({tool.dnf for tool in tools}))
    packages = sorted({p.rstrip("?") for tool in tools for p in tool.apt.split() if not p.endswith("?") or _known(p)})
    return "apt-get update && apt-get install -y --no-install-recommends " + " ".join(packages)


def may_install() -> bool:
    """Whether we are root, or sudo asks for no password."""
    return os.geteuid() == 0 or (process.have("sudo") and process.run("sudo", "-n", "true", check=False).ok)


def obtainable(tools: list[Tool]) -> bool:
    """Whether apt here has ``tools``, and we may install them."""
    names = {name for tool in tools for name in tool.apt.split() if not name.endswith("?")}
    return process.have("apt-get") and may_install() and all(_known(name) for name in names)


def ensure(parts: Collection[str], note: Note, log: Path, install: bool = True) -> None:
    """Install what ``parts`` need and this host lacks; for part ``docker`` an engine answers afterwards.

    Raises: MissingTools (``install`` is off, there is no right, no apt, or apt did not bring it), DockerUnusable.
    """
    network = firewall.facts() if dockerd.running() is None and may_install() else None
    lacking = missing(parts)
    if lacking:
        names = sorted({tool.program.rsplit("/", 1)[-1] for tool in lacking})
        command = install_command(lacking)
        sudo = "" if os.geteuid() == 0 else "sudo "
        shown = " && ".join(sudo + part for part in command.split(" && "))
        if not install:
            raise MissingTools(names, "installing is forbidden (--no-install)", shown)
        if not process.have("apt-get"):
            raise MissingTools(names, "the lab does not support its package manager", shown)
        if not may_install():
            raise MissingTools(names, "there is no right to install them (neither root nor passwordless sudo)", shown)
        note(f"this host lacks {', '.join(names)}; installing: {shown}")
        _apt("update", log=log)
        # asked again: only now is it sure which of the optional packages this release has
        _apt("install", *shlex.split(install_command(lacking).split("install ", 1)[1]), log=log)
        if still := missing(parts):
            raise MissingTools([t.program for t in still], f"apt did not install them (log: {log})", shown)
    if "docker" in parts:
        dockerd.start(note, install and may_install(), network)


def _wanted(tool: Tool) -> bool:
    if tool.when == "apparmor":
        return kernel.read(Path("/sys/module/apparmor/parameters/enabled")).strip() == "Y"
    return tool.when != "not-root" or os.geteuid() != 0


def _present(tool: Tool) -> bool:
    if "/" in tool.program:
        return any(Path("/").glob(tool.program.lstrip("/")))
    return process.have(tool.program)


def _known(package: str) -> bool:
    return process.have("apt-cache") and process.run("apt-cache", "show", package.rstrip("?"), check=False).ok


def _apt(verb: str, *packages: str, log: Path) -> None:
    try:
        process.run(
            *process.as_root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"),
            "-o",
            f"DPkg::Lock::Timeout={LOCK_SECONDS}",
            verb,
            *packages,
            log=log,
        )
    except CommandFailed as error:
        # a third party's repository that does not answer must not stop us: install says what is really missing
        if verb != "update":
            raise
        note_text = error.last_lines.splitlines()[-1:] or [""]
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"apt-get update: {note_text[0]}; going on with the lists that are there\n")
