"""Findings about this machine and its kernel."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from pathlib import Path

import psutil

from lab.config.settings import FIELDS
from lab.containers import client
from lab.core.home import cache
from lab.core.units import GIB
from lab.doctor import features, kvm
from lab.doctor.finding import Finding, Status
from lab.host import kernel

LEAST_MEMORY = FIELDS["memory"].metadata["low"]
"""GiB."""
NEEDED = ("SYS_ADMIN", "NET_ADMIN", "MKNOD", "SYS_CHROOT")
"""Capabilities without which systemd or Open vSwitch cannot run in a container."""

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
WATCHES = 1024


def system() -> Finding:
    """Distribution, kernel, processor kind and what runs as process 1."""
    release = platform.freedesktop_os_release()
    init = kernel.read(Path("/proc/1/comm")).strip() or "unknown"
    detail = f"{release.get('PRETTY_NAME', 'Linux')}, kernel {platform.release()}, {platform.machine()}, init: {init}"
    if platform.machine() != "x86_64":
        return Finding("system", "System", "fail", detail, "The lab builds images for x86_64 only.")
    return Finding("system", "System", "ok", detail)


def memory(want: int) -> Finding:
    """Memory that programs can still have, in GiB; ``want`` is a limit, of which an idle lab uses less."""
    free = psutil.virtual_memory().available / GIB
    detail = f"{free:.1f} GiB free of {psutil.virtual_memory().total / GIB:.1f}; the machine may use {want}"
    if free >= want:
        return Finding("memory", "Memory", "ok", detail)
    fix = f"Close what uses memory, or give --memory (at least {LEAST_MEMORY})."
    return Finding("memory", "Memory", "fail" if free < LEAST_MEMORY else "warn", detail, fix)


def disk(want: int, why: str) -> list[Finding]:
    """Room at Docker's root and at the lab's cache, in GiB; ``why`` says what takes ``want``."""
    places = {"disk-docker": ("Disk for Docker", _docker_root()), "disk-cache": ("Disk for the cache", cache())}
    found = []
    for name, (title, place) in places.items():
        there = next(p for p in (place, *place.parents) if p.exists())
        free = shutil.disk_usage(there).free / GIB
        detail = f"{free:.0f} GiB free at {place}; a lab needs {want}: {why}"
        fix = "Free some space: docker system df shows what Docker uses; ./inv list shows the labs."
        found.append(Finding(name, title, "ok" if free >= want else "fail", detail, "" if free >= want else fix))
    return found


def processors() -> Finding:
    """Number of processors and whether they can virtualise."""
    flags = set(_flags(kernel.read(Path("/proc/cpuinfo"))))
    kind = "vmx" if "vmx" in flags else "svm" if "svm" in flags else ""
    inside = ", itself a virtual machine" if "hypervisor" in flags else ""
    detail = f"{os.cpu_count()} processors{inside}, " + (f"virtualisation: {kind}" if kind else "no vmx or svm flag")
    if kind:
        return Finding("processors", "Processors", "ok", detail)
    fix = "Turn on nested virtualisation in the hypervisor below." if inside else "Turn it on in the firmware."
    return Finding("processors", "Processors", "warn", detail, f"{fix} Without it guests are emulated, and slower.")


def hardware_virtualisation() -> list[Finding]:
    """KVM, proven by booting a kernel, and whether it nests."""
    proof = kvm.prove()
    status: Status = "ok" if proof.works else "warn"
    fix = "" if proof.works else "Not needed: guests are containers (--hypervisor=docker), or emulated (qemu)."
    if proof.works is None:
        fix = "./inv up tries it once QEMU and a kernel are there; until then guests are containers."
    found = [Finding("kvm", "KVM boots a kernel", status, proof.why, fix)]
    nested = [
        f"{module}: {value}"
        for module in ("kvm_intel", "kvm_amd")
        if (value := kernel.read(Path(f"/sys/module/{module}/parameters/nested")).strip())
    ]
    if nested:
        on = nested[0].endswith((": Y", ": 1"))
        fix = "" if on else f"options {nested[0].split(':')[0]} nested=1 in /etc/modprobe.d (for libvirt, VirtualBox)"
        found.append(Finding("nested", "KVM in a virtual machine", "ok" if on else "warn", nested[0], fix))
    return found


def capabilities() -> Finding:
    """Capabilities that containers cannot get here, whatever Docker is told."""
    lacking = kernel.probe().lacking
    if not lacking:
        return Finding("capabilities", "Capabilities", "ok", "all")
    detail = f"outside the bounding set: {', '.join(lacking)}"
    if set(NEEDED) & set(lacking):
        fix = "Run this in a machine whose containers may have them, or use --provider=libvirt."
        return Finding("capabilities", "Capabilities", "fail", detail, fix)
    return Finding("capabilities", "Capabilities", "warn", detail, "Not needed: the machine is started without them.")


def watches() -> Finding:
    """The kernel's limit on inotify instances a user, of which each guest that is a system takes three.

    With the usual 128, when a guest took four, the thirtieth's systemd found none left and ended.
    """
    have = int(kernel.read(INOTIFY).strip() or 0)
    fix = f"For more than thirty container guests: sysctl -w fs.inotify.max_user_instances={WATCHES}"
    few = have < WATCHES
    detail = f"{have} inotify instances a user" + ("; enough for some thirty container guests" if few else "")
    return Finding("watches", "File watches", "info" if few else "ok", detail, fix if few else "")


def cgroups() -> Finding:
    """The cgroup version, and that version 2 is there for systemd."""
    version = kernel.probe().cgroup
    if version == 2:
        return Finding("cgroups", "Control groups", "ok", "version 2")
    if "cgroup2" not in kernel.read(Path("/proc/filesystems")):
        fix = "systemd in the machine needs version 2: a kernel newer than 4.15, or --provider=libvirt."
        return Finding("cgroups", "Control groups", "fail", "version 1, and the kernel has no version 2", fix)
    return Finding("cgroups", "Control groups", "ok", "version 1; the machine makes its own version 2 tree")


def network_features(found: dict[str, str]) -> list[Finding]:
    """Open vSwitch's and Geneve's kernel parts: without them OVN runs on the userspace datapath."""
    names = {"openvswitch": "Open vSwitch in the kernel", "geneve": "Geneve in the kernel"}
    return [
        Finding(name, title, "ok", found[name])
        if found[name] != features.ABSENT
        else Finding(name, title, "info", "absent: OVN's userspace datapath is used")
        for name, title in names.items()
    ]


def ports() -> Finding:
    """Ports of 127.0.0.1 that can be published."""
    wanted = 16
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        low, high = kernel.read(Path("/proc/sys/net/ipv4/ip_local_port_range")).split() or ("32768", "60999")
        listening = {c.laddr.port for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr}
    free = int(high) - int(low) + 1 - sum(int(low) <= port <= int(high) for port in listening)
    detail = f"{free} free in {low}-{high} of 127.0.0.1; the lab publishes on free ones only"
    if free < wanted:
        return Finding("ports", "Ports", "fail", detail, "Widen net.ipv4.ip_local_port_range.")
    return Finding("ports", "Ports", "ok", detail)


def _docker_root() -> Path:
    if client.usable() is None:
        with client.connect(10) as daemon:
            return Path(str(daemon.info()["DockerRootDir"]))
    return Path("/var/lib/docker")


def _flags(cpuinfo: str) -> list[str]:
    return next((line.split(":", 1)[1].split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
