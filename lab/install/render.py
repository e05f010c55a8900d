"""Configuration files from templates: the tree under ``templates/`` is the tree in the machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from lab.core.resources import RESOURCES
from lab.guest import backup
from lab.install.site import CLOSED_TCP, CLOSED_UDP, DASHBOARD_PORT, DATABASES, DATASTORE_IMAGES, Site

TEMPLATES = Path(__file__).with_name("templates")
MACROS = "macros.j2"
AFTER_NETWORKS = ("etc/trove/trove.conf.d/networks.conf",)
"""Files that name networks and so can only be rendered once these exist."""
USERSPACE_ONLY = ("etc/libvirt/hooks/qemu", "usr/local/bin/qemu-system-x86_64")
SWIFT = ("etc/swift/", "etc/systemd/system/trove-lab-swift@.service")
"""Files (and beginnings of them) of the object store, which is not in every cloud."""
DASHBOARD = (
    "etc/openstack-dashboard/",
    "etc/systemd/system/trove-lab-dashboard.service",
    "usr/local/share/trove-lab/dashboard/",
)
"""Those of the dashboard, which a cloud can have at any time."""
CONTAINERS_ONLY = (
    "etc/docker/daemon.json",
    "etc/systemd/system/docker.service.d/trove-lab.conf",
    "etc/trove-lab/detach-loops.sh",
)
WALLS = ("etc/trove-lab/walls.sh",)
"""Files of a machine that has neighbours."""
BESIDE = ("etc/nova/nova-machines.conf", "etc/systemd/system/nova-compute-machines.service")
"""Files of a second compute service, of machines beside containers."""
DRIVER = RESOURCES / "novadriver" / "nova" / "virt" / "docker"
DRIVER_TARGET = "nova/virt/docker"
"""In the folder with OpenStack's code: Nova loads drivers from nova.virt only, and that is no namespace package."""

_GROUPS = {
    "etc/keystone": "keystone",
    "etc/glance": "glance",
    "etc/placement": "placement",
    "etc/nova": "nova",
    "etc/neutron": "neutron",
    "etc/trove": "trove",
    "etc/rabbitmq": "rabbitmq",
    "etc/swift": "swift",
    "etc/openstack-dashboard": "www-data",
}


@dataclass(frozen=True)
class File:
    """One file in the machine: absolute path, content, owning group and mode."""

    path: str
    text: str
    group: str
    mode: int


def names() -> list[str]:
    """Every template, as the path in the machine without its leading slash."""
    found = (p.relative_to(TEMPLATES).as_posix() for p in TEMPLATES.rglob("*") if p.is_file())
    return sorted(name for name in found if name != MACROS)


def first(site: Site) -> list[str]:
    """The files that are wanted before any service starts."""
    skip = set(AFTER_NETWORKS)
    if site.datapath != "netdev" or (site.virt_type == "docker" and not site.beside):
        skip |= set(USERSPACE_ONLY)
    if not site.beside:
        skip |= set(BESIDE)
    if site.virt_type != "docker":
        skip |= set(CONTAINERS_ONLY)
    if not site.walls:
        skip |= set(WALLS)
    absent = DASHBOARD if site.backups else (*DASHBOARD, *SWIFT)
    return [name for name in names() if name not in skip and not name.startswith(absent)]


def dashboard() -> list[str]:
    """The files of the dashboard."""
    return [name for name in names() if name.startswith(DASHBOARD)]


def driver(library: str) -> list[File]:
    """The Nova driver for containers, as files of Nova, which lies below ``library`` in the machine."""
    return [
        File(f"{library}/{DRIVER_TARGET}/{path.name}", path.read_text(), "root", 0o644)
        for path in sorted(DRIVER.glob("*.py"))
    ]


def render(site: Site, secrets: Any, wanted: Iterable[str], ids: Mapping[str, str] | None = None) -> list[File]:
    """Render ``wanted``; a value that a template names and nobody gives is an error (StrictUndefined).

    ``secrets`` answers ``secrets[name]`` with an alphanumeric text; ``ids`` holds the networks' ids.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    context = {
        **vars(site),
        "secrets": secrets,
        "ids": ids or {},
        "databases": DATABASES,
        "datastore_images": DATASTORE_IMAGES,
        "backup_image": backup.image(),
        "public_cidr": site.public.cidr,
        "public_gateway": site.public.machine,
        "public_prefix": site.public.prefix,
        "private_cidr": site.private.cidr,
        "mgmt_ip": site.mgmt.machine,
        "mgmt_prefix": site.mgmt.prefix,
        "compute_host": site.compute_host,
        "computes": site.computes,
        "closed_tcp": CLOSED_TCP,
        "closed_udp": CLOSED_UDP,
        "dashboard_port": DASHBOARD_PORT,
    }
    return [_file(name, environment.get_template(name).render(context)) for name in wanted]


def archive(files: Iterable[File]) -> bytes:
    """An uncompressed tar of ``files``, owners by name, to be unpacked at ``/``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            data = file.text.encode()
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(data), file.mode
            entry.uname, entry.gname = "root", file.group
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _file(name: str, text: str) -> File:
    if name in USERSPACE_ONLY or name.endswith(".sh"):
        return File(f"/{name}", text, "root", 0o755)
    for folder, group in _GROUPS.items():
        if name.startswith(f"{folder}/"):
            return File(f"/{name}", text, group, 0o640)
    return File(f"/{name}", text, "root", 0o600 if name.endswith(".sql") else 0o644)
