"""How a systemd machine is started under Docker, computed from what the kernel and the engine offer."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path

import psutil

from lab import kernel
from lab.errors import Unsupported
from lab.kernel import Kernel
from lab.machine import HOSTNAME, Wanted

POOL = ipaddress.ip_network("10.213.0.0/16")
"""Where lab networks are looked for: private, and in the defaults of neither Docker, libvirt nor OpenStack."""


def create_args(name: str, label: str, wanted: Wanted, facts: Kernel) -> list[str]:
    """Arguments of ``docker run`` beyond image, environment and ports.

    All capabilities minus those that the engine itself lacks: ``--privileged`` fails where one is missing, and
    would hand over every device where none is.
    """
    args = ["--hostname", HOSTNAME, "--network", name, "--label", label, "--stop-signal", "SIGRTMIN+3"]
    args.append("--cap-add=ALL")
    args += [f"--cap-drop={capability}" for capability in facts.lacking]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        args += ["--security-opt", option]
    # v1: lab-init makes a cgroup v2 group in the host's tree, then a namespace with that as its root
    args.append("--cgroupns=private" if facts.cgroup == 2 else "--cgroupns=host")
    for device in facts.devices:
        if device in ("/dev/kvm", "/dev/vhost-net") and not wanted.kvm:
            continue
        args += ["--device", device]
    for rule in ("b 7:* rmw", "c 10:237 rmw"):  # loop devices and their control
        args += ["--device-cgroup-rule", rule]
    for mount in ("/run:exec,mode=755", "/run/lock", "/tmp:exec,mode=1777"):
        args += ["--tmpfs", mount]
    args += ["--sysctl", "net.ipv4.ip_forward=1"]
    if facts.ipv6:
        # Docker turns IPv6 off in networks without it; memcached and others bind ::1
        for where in ("all", "default", "lo"):
            args += ["--sysctl", f"net.ipv6.conf.{where}.disable_ipv6=0"]
    args += ["--memory", f"{wanted.memory}g"]
    if wanted.cpus:
        args += ["--cpus", str(wanted.cpus)]
    return args


def free_subnets(taken: Iterable[ipaddress.IPv4Network]) -> list[ipaddress.IPv4Network]:
    """The /24 networks of the pool that touch none of ``taken``, lowest first. Raises: Unsupported."""
    taken = list(taken)
    free = [n for n in POOL.subnets(new_prefix=24) if not any(n.overlaps(t) for t in taken)]
    if not free:
        raise Unsupported(f"No free /24 network is left in {POOL} on this host.", "./inv destroy --all frees those of labs.")
    return free


def host_networks() -> list[ipaddress.IPv4Network]:
    """Networks that this host's interfaces and routes use (the default route aside)."""
    found = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family.name == "AF_INET" and address.netmask:
                found.append(ipaddress.ip_network(f"{address.address}/{address.netmask}", strict=False))
    found += routes(kernel.read(Path("/proc/net/route")))
    return [n for n in found if isinstance(n, ipaddress.IPv4Network)]


def routes(table: str) -> list[ipaddress.IPv4Network]:
    """Destinations in a /proc/net/route text (little-endian hexadecimal), the default route aside."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(words[i]), "little") for i in (1, 7))
        if mask:
            found.append(ipaddress.ip_network((destination, mask.bit_count()), strict=False))
    return [n for n in found if isinstance(n, ipaddress.IPv4Network)]


def default_mtu(table: str) -> int:
    """The MTU of the interface that holds the default route in a /proc/net/route text; 1500 where there is none."""
    stats = psutil.net_if_stats()
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[1] == words[7] == "00000000" and words[0] in stats:
            return int(stats[words[0]].mtu)
    return 1500
