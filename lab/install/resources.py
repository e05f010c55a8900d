"""What the cloud holds before anyone uses it: accounts, catalogue, networks, flavors, quotas, the key pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openstack.connection import Connection

from lab.cloud import access
from lab.cloud.offer import NETWORK
from lab.core.secrets import Secrets
from lab.install.site import OPTIONAL, Site

SERVICES = {
    "identity": "keystone",
    "image": "glance",
    "placement": "placement",
    "compute": "nova",
    "network": "neutron",
    "database": "trove",
    "object-store": "swift",
}
"""Service type to the service's name and to its own user's."""

FLAVORS = (
    ("smoke", 1, 128, 1, 0),
    ("db.small", 1, 1024, 5, 2),
    ("db.medium", 1, 2048, 5, 5),
)
"""Name, processors, MiB of memory, GiB of root disk, GiB of ephemeral disk (the databases' data, without Cinder)."""


@dataclass(frozen=True)
class Networks:
    """Ids that Trove's configuration and the machine's plumbing name."""

    mgmt_network: str
    mgmt_security_group: str
    public_network: str
    mgmt_port: str


def accounts(admin: str, demo: str, trove: str) -> dict[str, dict[str, str]]:
    """The clouds that every lab has, by name, from their users' passwords."""
    return {
        "admin": {"username": "admin", "password": admin, "project": "admin"},
        "demo": {"username": "demo", "password": demo, "project": "demo"},
        "service": {"username": "trove", "password": trove, "project": "service"},
    }


def write_access(directory: Path, site: Site, secrets: Secrets) -> Path:
    """clouds.yaml and openrc files: ``admin``, ``demo``, and ``service`` (Trove's own user)."""
    users = accounts(secrets["admin"], secrets["demo"], secrets["trove"])
    endpoints: access.Endpoints = {}
    if site.backups:  # its public endpoint is the guests': Site.public_url
        store = f"http://127.0.0.1:{site.public_ports[OPTIONAL]}/v1/AUTH_%(project_id)s"
        endpoints = {name: {OPTIONAL.replace("-", "_"): store} for name in users}
    return access.write_access(directory, site.public_url("identity"), site.region, users, endpoints)


def identity(admin: Connection, site: Site, secrets: Secrets) -> None:
    """Projects, users, roles and the catalogue; public endpoints follow the published ports."""
    service, demo = access.ensure_project(admin, "service"), access.ensure_project(admin, "demo")
    for kind in site.services:
        if (name := SERVICES[kind]) != "keystone":
            access.ensure_user(admin, name, secrets[name], service, ["admin", "service"])
    access.ensure_user(admin, "demo", secrets["demo"], demo, ["member"])
    for kind in site.services:
        entry = access.ensure_service(admin, kind, SERVICES[kind])
        access.ensure_endpoint(admin, entry, "public", site.public_url(kind), site.region)
        for interface in ("internal", "admin"):
            access.ensure_endpoint(admin, entry, interface, site.internal_url(kind), site.region)


def catalogued(admin: Connection, site: Site) -> bool:
    """Whether every service's public endpoint is the published port."""
    identity: Any = admin.identity  # typed as v2 or v3; clouds.yaml says v3
    found = {e.url for e in identity.endpoints(interface="public")}
    return {site.public_url(kind) for kind in site.services} <= found


def networks(admin: Connection, service: Connection, site: Site, public_key: str) -> Networks:
    """Networks, router, groups, flavors, quotas; ``public_key`` is what Trove's guests accept."""
    project = access.ensure_project(admin, "service")
    public = access.ensure_network(
        admin, "public", is_router_external=True, provider_network_type="flat", provider_physical_network="public"
    )
    access.ensure_subnet(
        admin,
        "public",
        public,
        site.public.cidr,
        enable_dhcp=False,
        gateway_ip=site.public.machine,
        allocation_pools=[{"start": site.router_ip, "end": site.public.last_but(5)}],
    )
    private = access.ensure_network(admin, NETWORK, is_shared=True)
    subnet = access.ensure_subnet(admin, NETWORK, private, site.private.cidr, gateway_ip=site.private.machine)
    access.ensure_router(admin, "router", public, site.router_ip, [subnet])
    mgmt = access.ensure_network(admin, "trove-mgmt", project_id=project)
    mgmt_subnet = access.ensure_subnet(
        admin,
        "trove-mgmt",
        mgmt,
        site.mgmt.cidr,
        project_id=project,
        gateway_ip=None,
        allocation_pools=[{"start": site.mgmt.first_but(9), "end": site.mgmt.last_but(5)}],
    )
    port = access.ensure_port(
        admin,
        "trove-mgmt-machine",
        mgmt,
        project_id=project,
        fixed_ips=[{"subnet_id": mgmt_subnet, "ip_address": site.mgmt.machine}],
        mac_address=site.mgmt_mac,
        binding_host_id=site.host_name,
        device_owner="trove:machine",
        is_port_security_enabled=False,
        security_group_ids=[],
    )
    group = access.ensure_security_group(
        admin, "trove-mgmt", project, [{"protocol": "icmp"}, {"protocol": "tcp", "port": 22}]
    )
    allowances(admin, service, site.keypair, public_key)
    return Networks(mgmt, group, public, port)


def allowances(admin: Connection, service: Connection, keypair: str, public_key: str) -> None:
    """Flavors, quotas, what the default groups let in, and the key pair of Trove's guests."""
    for owner in (str(admin.current_project_id), access.ensure_project(admin, "demo")):
        access.ensure_security_group(admin, "default", owner, [{"protocol": "icmp"}, {"protocol": "tcp"}])
    for flavor in FLAVORS:
        access.ensure_flavor(admin, *flavor)
    for owner in ("service", "demo"):
        admin.set_compute_quotas(owner, cores=-1, instances=-1, ram=-1)
    access.ensure_keypair(service, keypair, public_key)
