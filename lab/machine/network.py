"""The lab's own Docker network: a free subnet, the uplink's MTU, a label; the host's networks stay untouched."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import psutil
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from lab.containers import client
from lab.core.errors import Unsupported
from lab.core.home import LABEL, OWNER
from lab.host import kernel

POOL = IPv4Network("10.213.0.0/16")
"""Where lab networks are looked for: private, and in the defaults of neither Docker, libvirt nor OpenStack."""


def ensure(name: str, lab: str, owner: str, prefix: int = 24) -> None:
    """A bridge network ``name`` of ``owner``, so that nothing done to docker0 reaches it. Raises: Unsupported."""
    with client.connect() as daemon:
        existing = daemon.networks.list()
        if any(n.name == name for n in existing):
            return
        pools = [p["Subnet"] for n in existing for p in (n.attrs.get("IPAM") or {}).get("Config") or []]
        taken = host_networks() + [IPv4Network(p) for p in pools if ":" not in p]
        mtu = default_mtu(kernel.read(Path("/proc/net/route")))
        for subnet in free_subnets(taken, prefix):
            try:
                daemon.networks.create(
                    name,
                    driver="bridge",
                    labels={LABEL: lab, OWNER: owner},
                    options={"com.docker.network.driver.mtu": str(mtu)},
                    ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                )
            except APIError as error:
                if "overlap" not in str(error.explanation):  # another lab took it in the meantime
                    raise
            else:
                return


def free_subnets(taken: Iterable[IPv4Network], prefix: int = 24) -> Iterator[IPv4Network]:
    """The networks of the pool that touch none of ``taken``, lowest first. Raises: Unsupported, after the last."""
    taken = [network for network in taken if network.overlaps(POOL)]
    yield from (n for n in POOL.subnets(new_prefix=prefix) if not any(n.overlaps(t) for t in taken))
    why = f"No free /{prefix} network is left in {POOL} here."
    raise Unsupported(
        why,
        "docker network ls names those there are, ./inv list the labs that hold some: free one that nobody needs.",
    )


def host_networks() -> list[IPv4Network]:
    """Networks that this host's interfaces and routes use (the default route aside)."""
    addresses = [a for several in psutil.net_if_addrs().values() for a in several if a.family == socket.AF_INET]
    return [
        *(IPv4Network(f"{a.address}/{a.netmask}", strict=False) for a in addresses if a.netmask),
        *routes(kernel.read(Path("/proc/net/route"))),
    ]


def routes(table: str) -> list[IPv4Network]:
    """Destinations in a /proc/net/route text (little-endian hexadecimal), the default route aside."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(words[i]), "little") for i in (1, 7))
        if mask:
            found.append(IPv4Network((destination, mask.bit_count()), strict=False))
    return found


def default_mtu(table: str) -> int:
    """The MTU of the interface that holds the default route in a /proc/net/route text; 1500 where there is none."""
    stats = psutil.net_if_stats()
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[1] == words[7] == "00000000" and words[0] in stats:
            return int(stats[words[0]].mtu)
    return 1500


def free_ports(wanted: Iterable[str], before: dict[str, int]) -> dict[str, int]:
    """For each service a port of 127.0.0.1 that nobody listens on: the one it had before where that is still free."""
    chosen: dict[str, int] = {}
    with contextlib.ExitStack() as held:
        for name in wanted:
            for port in (before.get(name, 0), 0):
                listener = held.enter_context(socket.socket())
                try:
                    listener.bind(("127.0.0.1", port))
                except OSError:
                    continue
                chosen[name] = listener.getsockname()[1]
                break
    return chosen
