"""The cloud as this host sees it: connections from clouds.yaml, and objects that are made only if they are missing.

Every ``ensure_*`` function may be called again at any time and returns the object's id.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openstack
import yaml
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from lab.core.state import write_atomically

DOMAIN = "default"
Endpoints = Mapping[str, Mapping[str, str]]
"""Per cloud, service type (with _ for -) to URL, where this host cannot reach the catalogue's own."""


def clouds_yaml(
    auth_url: str, region: str, accounts: Mapping[str, Mapping[str, str]], endpoints: Endpoints | None = None
) -> str:
    """The text of a clouds.yaml: ``accounts`` is cloud name to ``username``, ``password``, ``project``."""
    clouds = {
        name: {
            "auth": {
                "auth_url": auth_url,
                "username": account["username"],
                "password": account["password"],
                "project_name": account["project"],
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": region,
            "interface": "public",
            "identity_api_version": 3,
            **{f"{kind}_endpoint_override": url for kind, url in (endpoints or {}).get(name, {}).items()},
            # the catalogue of a machine that starts from a committed image names the ports of the one before
            "identity_endpoint_override": auth_url,
        }
        for name, account in accounts.items()
    }
    return yaml.safe_dump({"clouds": clouds}, sort_keys=True)


def openrc(auth_url: str, region: str, account: Mapping[str, str], endpoints: Mapping[str, str]) -> str:
    """The text of an openrc file for a shell."""
    values = {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": account["username"],
        "OS_PASSWORD": account["password"],
        "OS_PROJECT_NAME": account["project"],
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": region,
        "OS_INTERFACE": "public",
        "OS_IDENTITY_API_VERSION": "3",
        **{f"OS_{kind.upper()}_ENDPOINT_OVERRIDE": url for kind, url in endpoints.items()},
    }
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())


def write_access(
    directory: Path,
    auth_url: str,
    region: str,
    accounts: Mapping[str, Mapping[str, str]],
    endpoints: Endpoints | None = None,
) -> Path:
    """Write ``clouds.yaml`` and ``openrc-NAME`` files, mode 0600; returns the path of clouds.yaml."""
    for name, account in accounts.items():
        own = (endpoints or {}).get(name, {})
        write_atomically(directory / f"openrc-{name}", openrc(auth_url, region, account, own), 0o600)
    path = directory / "clouds.yaml"
    write_atomically(path, clouds_yaml(auth_url, region, accounts, endpoints), 0o600)
    return path


def connect(path: Path, cloud: str) -> Connection:
    """A connection to ``cloud`` of that clouds.yaml; nothing of the caller's own OpenStack settings is read."""
    config = OpenStackConfig(config_files=[str(path)], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one(cloud=cloud))


def ensure_project(cloud: Connection, name: str) -> str:
    """A project in the default domain."""
    found = cloud.identity.find_project(name, ignore_missing=True)
    return str((found or cloud.identity.create_project(name=name, domain_id=DOMAIN)).id)


def ensure_user(cloud: Connection, name: str, password: str, project: str, roles: Sequence[str]) -> str:
    """A user with ``roles`` in ``project`` (an id)."""
    user = cloud.identity.find_user(name, ignore_missing=True)
    if user is None:
        user = cloud.identity.create_user(name=name, password=password, domain_id=DOMAIN, default_project_id=project)
    for role in roles:
        found = cloud.identity.find_role(role, ignore_missing=False)
        cloud.identity.assign_project_role_to_user(project, user, found)
    return str(user.id)


def ensure_service(cloud: Connection, kind: str, name: str) -> str:
    """A catalogue entry of service type ``kind``."""
    found = next(iter(cloud.identity.services(type=kind)), None)
    return str((found or cloud.identity.create_service(type=kind, name=name)).id)


def ensure_endpoint(cloud: Connection, service: str, interface: str, url: str, region: str) -> str:
    """The one endpoint of ``service`` (an id) on ``interface``, changed where its URL differs."""
    found = next(iter(cloud.identity.endpoints(service_id=service, interface=interface)), None)
    if found is None:
        found = cloud.identity.create_endpoint(service_id=service, interface=interface, url=url, region_id=region)
    elif found.url != url:
        cloud.identity.update_endpoint(found, url=url)
    return str(found.id)


def ensure_flavor(cloud: Connection, name: str, vcpus: int, ram: int, disk: int, ephemeral: int = 0) -> str:
    """A public flavor; ``ram`` in MiB, ``disk`` and ``ephemeral`` in GiB."""
    found = cloud.compute.find_flavor(name, ignore_missing=True)
    if found is None:
        found = cloud.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk, ephemeral=ephemeral)
    return str(found.id)


def ensure_network(cloud: Connection, name: str, **attributes: Any) -> str:
    """A network by name; ``attributes`` as Neutron names them."""
    found = cloud.network.find_network(name, ignore_missing=True)
    return str((found or cloud.network.create_network(name=name, **attributes)).id)


def ensure_subnet(cloud: Connection, name: str, network: str, cidr: str, **attributes: Any) -> str:
    """An IPv4 subnet of ``network`` (an id)."""
    found = cloud.network.find_subnet(name, ignore_missing=True)
    if found is None:
        found = cloud.network.create_subnet(name=name, network_id=network, ip_version=4, cidr=cidr, **attributes)
    return str(found.id)


def ensure_router(cloud: Connection, name: str, public_network: str, address: str, subnets: Sequence[str]) -> str:
    """A router whose outer address is ``address``, with a leg in each of ``subnets`` (ids)."""
    router = cloud.network.find_router(name, ignore_missing=True)
    if router is None:
        router = cloud.network.create_router(
            name=name,
            external_gateway_info={
                "network_id": public_network,
                "external_fixed_ips": [{"ip_address": address}],
            },
        )
    ports = cloud.network.ports(device_id=router.id)
    there = {fixed["subnet_id"] for port in ports for fixed in port.fixed_ips}
    for subnet in subnets:
        if subnet not in there:
            cloud.network.add_interface_to_router(router, subnet_id=subnet)
    return str(router.id)


def ensure_port(cloud: Connection, name: str, network: str, **attributes: Any) -> str:
    """A port by name."""
    found = cloud.network.find_port(name, ignore_missing=True)
    return str((found or cloud.network.create_port(name=name, network_id=network, **attributes)).id)


def ensure_security_group(cloud: Connection, name: str, project: str, rules: Sequence[Mapping[str, Any]]) -> str:
    """A security group of ``project`` (an id) with at least these ingress ``rules``.

    A rule holds ``protocol``, and where wanted ``port`` and ``cidr``.
    """
    group = next(iter(cloud.network.security_groups(name=name, project_id=project)), None)
    if group is None:
        group = cloud.network.create_security_group(name=name, project_id=project)
    there = {
        (r.protocol, r.port_range_min, r.remote_ip_prefix)
        for r in cloud.network.security_group_rules(security_group_id=group.id, direction="ingress")
    }
    for rule in rules:
        protocol, port, cidr = rule["protocol"], rule.get("port"), rule.get("cidr", "0.0.0.0/0")
        if (protocol, port, cidr) not in there:
            cloud.network.create_security_group_rule(
                security_group_id=group.id,
                project_id=project,
                direction="ingress",
                ether_type="IPv4",
                protocol=protocol,
                port_range_min=port,
                port_range_max=port,
                remote_ip_prefix=cidr,
            )
    return str(group.id)


def ensure_keypair(cloud: Connection, name: str, public_key: str) -> str:
    """The calling user's key pair; replaced if it holds another key."""
    found = cloud.compute.find_keypair(name, ignore_missing=True)
    if found is not None and found.public_key.split()[:2] != public_key.split()[:2]:
        cloud.compute.delete_keypair(found)
        found = None
    return str((found or cloud.compute.create_keypair(name=name, public_key=public_key)).name)
