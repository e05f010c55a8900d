"""What one installation looks like: addresses, networks, names, and what the machine was seen to be able to do."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

PORTS: Mapping[str, int] = {
    "identity": 5000,
    "image": 9292,
    "placement": 8778,
    "compute": 8774,
    "network": 9696,
    "database": 8779,
    "object-store": 8080,
}
"""Service type to the port on which its API listens in the machine."""

DASHBOARD_PORT = 9080
PUBLISHED: Mapping[str, int] = {**PORTS, "dashboard": DASHBOARD_PORT}
"""What leads to the machine from its first start on, used or not: a machine that runs cannot be given a port."""

OPTIONAL = "object-store"
"""There with the setting ``with=backups`` only."""

DATABASES = (
    ("keystone", "keystone"),
    ("glance", "glance"),
    ("placement", "placement"),
    ("nova_api", "nova"),
    ("nova", "nova"),
    ("nova_cell0", "nova"),
    ("neutron", "neutron"),
    ("trove", "trove"),
)
"""Database and the user that owns it."""

METADATA_PORT = 8775
"""Nova's, which Neutron's agents ask for the guests."""

CLOSED_TCP = (4369, 5672, 11211, 25672, 6080, 6640, 6641, 6642, METADATA_PORT, 16509, *PUBLISHED.values())
"""What listens on a machine with the cloud on it, beside SSH: the message queue with its port mapper, memcached, the
console, Open vSwitch and OVN, Nova's metadata, libvirt, the APIs and the dashboard."""
CLOSED_UDP = (6081,)
"""Geneve."""

DATASTORE_IMAGES: Mapping[str, str] = {
    "mariadb": "trove-lab/mariadb",
    "postgresql": "trove-lab/postgresql",
}
"""Datastore manager to the container image that the guest runs; the tag is the datastore version."""

HOST_IP = "10.99.99.1"
"""On the loopback interface, so that nothing depends on an address that changes when a machine moves."""


@dataclass(frozen=True)
class Network:
    """An IPv4 network and the machine's own address in it."""

    cidr: str
    machine: str

    @property
    def prefix(self) -> int:
        """Prefix length."""
        return ipaddress.ip_network(self.cidr).prefixlen

    def first_but(self, skipped: int) -> str:
        """The address after the first ``skipped`` ones."""
        return str(ipaddress.ip_network(self.cidr)[skipped + 1])

    def last_but(self, skipped: int) -> str:
        """The address before the last ``skipped`` ones."""
        return str(ipaddress.ip_network(self.cidr)[-2 - skipped])


@dataclass(frozen=True)
class Site:
    """Facts that every rendered file and every plumbing step share. Times are seconds, sizes MiB.

    ``datapath``: ``system`` where the kernel has openvswitch, ``netdev`` (userspace) otherwise; ``virt_type``:
    ``kvm`` where a guest was seen to boot on it, else ``qemu``; ``docker`` for containers; probed, never assumed.
    ``beside``: the ``virt_type`` of a second compute service, of machines, where the first runs containers; or empty.
    ``backups``: Swift is there, and the guests carry what Trove backs up with.
    ``walls``: the machine has neighbours, whom the cloud's ports do not answer.
    ``python``: the interpreter that has OpenStack's modules.
    ``public_ports``: service type to the port published on the host's loopback.
    """

    public_ports: Mapping[str, int]
    datapath: str = "netdev"
    virt_type: str = "qemu"
    default_datastore: str = "mariadb"
    database_timeout: int = 1800
    beside: str = ""
    backups: bool = False
    walls: bool = False
    python: str = "/usr/bin/python3"
    host_ip: str = HOST_IP
    host_name: str = "machine"
    region: str = "RegionOne"
    tb_cache_mib: int = 256
    tenant_mtu: int = 1442
    keypair: str = "trove-mgmt"
    public: Network = field(default=Network("172.24.4.0/24", "172.24.4.1"))
    private: Network = field(default=Network("10.10.0.0/24", "10.10.0.1"))
    mgmt: Network = field(default=Network("192.168.254.0/24", "192.168.254.1"))
    router_ip: str = "172.24.4.10"
    mgmt_interface: str = "trove-mgmt"
    mgmt_mac: str = "fa:16:3e:fe:00:01"
    instances: str = "/var/lib/nova/instances"
    machines: str = "/var/lib/nova/machines"

    @property
    def compute_host(self) -> str:
        """The first compute service's name. Beside another it has one of its own: machines keep the chassis's name,
        since libvirt's driver binds ports to its own name only, and the one for containers can be told another."""
        return f"{self.host_name}-containers" if self.beside else self.host_name

    @property
    def computes(self) -> int:
        """How many compute services share the machine."""
        return 2 if self.beside else 1

    @property
    def services(self) -> Mapping[str, int]:
        """Service type to port, of what this cloud has."""
        return {kind: port for kind, port in PORTS.items() if self.backups or kind != OPTIONAL}

    def public_url(self, service: str) -> str:
        """A service's public endpoint in the catalogue: where this host reaches its API.

        But the object store's is where guests reach it: Trove's backup program takes that one.
        """
        if service == OPTIONAL:
            return f"http://{self.mgmt.machine}:{PORTS[service]}{PATHS[service]}"
        return f"http://127.0.0.1:{self.public_ports[service]}{PATHS.get(service, '')}"

    def internal_url(self, service: str) -> str:
        """Where the machine itself reaches a service's API."""
        return f"http://{self.host_ip}:{PORTS[service]}{PATHS.get(service, '')}"


PATHS: Mapping[str, str] = {
    "identity": "/v3",
    "compute": "/v2.1",
    "database": "/v1.0/%(tenant_id)s",
    "object-store": "/v1/AUTH_%(tenant_id)s",
}
"""What a catalogue entry's URL carries after the port."""
