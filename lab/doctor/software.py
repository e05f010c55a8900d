"""Findings about what is installed and running."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lab.containers import client
from lab.core import process
from lab.core.errors import TimedOut
from lab.doctor.finding import Finding, Status
from lab.host import apt, packages

ANSWER_SECONDS = 60
"""libvirt asks each QEMU of the host what it can, before its first answer: 11 s on two busy cores."""
"""How long libvirt may take to say its version."""


def docker() -> Finding:
    """The engine: the ``docker`` on the PATH is only a client and says nothing about it."""
    why = client.usable()
    if why is not None:
        fix = packages.install_command(packages.missing(["docker"])) or "./inv up starts it"
        return Finding("docker", "Docker engine", "warn", why, fix)
    with client.connect(10) as daemon:
        about: dict[str, Any] = daemon.info()
        api = daemon.version()["ApiVersion"]
    detail = (
        f"engine {about['ServerVersion']} (API {api}), storage {about['Driver']}, "
        f"cgroup v{about.get('CgroupVersion', '1')} by {about['CgroupDriver']}"
    )
    if any("rootless" in option for option in about.get("SecurityOptions") or []):
        return Finding("docker", "Docker engine", "fail", f"{detail}, rootless", "Use an engine that runs as root.")
    return Finding("docker", "Docker engine", "ok", detail)


def vagrant() -> Finding:
    """Vagrant and its plugins."""
    if not process.have("vagrant"):
        fix = packages.install_command(packages.missing(["vagrant"]))
        return Finding("vagrant", "Vagrant", "warn", "not installed; ./inv up installs it", fix)
    version = process.run("vagrant", "--version", check=False, timeout=30).stdout.strip()
    plugins = "vagrant-libvirt" if _has_libvirt_plugin() else "no vagrant-libvirt"
    return Finding("vagrant", "Vagrant", "ok", f"{version}, {plugins}")


def libvirt() -> Finding:
    """libvirt's system daemon and Vagrant's plugin for it."""
    if lacking := packages.missing(["libvirt"]):
        detail = f"lacks {', '.join(sorted({tool.apt for tool in lacking}))}"
        return Finding("libvirt", "libvirt", "info", detail, packages.install_command(lacking))
    fix = "sudo systemctl start libvirtd, and join the group libvirt"
    try:
        answer = process.run(
            "virsh", "-c", "qemu:///system", "version", "--daemon", check=False, timeout=ANSWER_SECONDS
        )
    except TimedOut:  # one that hangs is in nobody's way who wants another provider
        return Finding("libvirt", "libvirt", "warn", f"it does not answer within {ANSWER_SECONDS} s", fix)
    if not answer.ok:
        return Finding("libvirt", "libvirt", "warn", (answer.stderr.strip().splitlines() or ["no answer"])[-1], fix)
    running = [line for line in answer.stdout.splitlines() if "daemon" in line]
    return Finding("libvirt", "libvirt", "ok", running[0] if running else "answers")


def virtualbox() -> Finding:
    """VirtualBox and its kernel part."""
    if not process.have("VBoxManage"):
        return Finding(
            "virtualbox", "VirtualBox", "info", "not installed", "Oracle's package, or your distribution's."
        )
    version = process.run("VBoxManage", "--version", check=False, timeout=10).stdout.strip().splitlines()
    if not Path("/dev/vboxdrv").exists():
        return Finding("virtualbox", "VirtualBox", "warn", "its kernel module is not loaded", "sudo modprobe vboxdrv")
    return Finding("virtualbox", "VirtualBox", "ok", version[-1] if version else "there")


def tools() -> Finding:
    """Programs that building images takes."""
    lacking = packages.missing(["ssh", "rootfs", "guest"])
    if not lacking:
        return Finding("tools", "Image building", "ok", "mmdebstrap, QEMU and the rest are there")
    names = ", ".join(sorted({tool.program.rsplit("/", 1)[-1] for tool in lacking}))
    status: Status = "warn" if packages.may_install() and process.have("apt-get") else "fail"
    return Finding("tools", "Image building", status, f"lacks {names}", packages.install_command(lacking))


def authorities() -> Finding:
    """Certificate authorities of this host's own, and proxies."""
    own = ", ".join(apt.authorities()) or "none"
    through = ", ".join(sorted(apt.proxies(dict(os.environ)))) or "none"
    return Finding(
        "authorities", "Own CAs, proxies", "info", f"CAs copied into every machine: {own}; proxies: {through}"
    )


def _has_libvirt_plugin() -> bool:
    return not [tool for tool in packages.missing(["libvirt"]) if tool.apt == "vagrant-libvirt"]
