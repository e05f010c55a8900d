"""Configuration files from templates: the tree under ``templates/`` is the tree in the machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from lab.install.site import DATABASES, DATASTORE_IMAGES, Site

TEMPLATES = Path(__file__).with_name("templates")
MACROS = "macros.j2"
AFTER_NETWORKS = ("etc/trove/trove.conf.d/networks.conf",)
"""Files that name networks and so can only be rendered once these exist."""
USERSPACE_ONLY = ("usr/local/bin/qemu-system-x86_64",)

_GROUPS = {
    "etc/keystone": "keystone",
    "etc/glance": "glance",
    "etc/placement": "placement",
    "etc/nova": "nova",
    "etc/neutron": "neutron",
    "etc/trove": "trove",
    "etc/rabbitmq": "rabbitmq",
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
    skip = AFTER_NETWORKS if site.datapath == "netdev" else AFTER_NETWORKS + USERSPACE_ONLY
    return [name for name in names() if name not in skip]


def render(
    site: Site, secrets: Any, wanted: Iterable[str], ids: Mapping[str, str] | None = None
) -> list[File]:
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
        "public_cidr": site.public.cidr,
        "public_gateway": site.public.machine,
        "public_prefix": site.public.prefix,
        "private_cidr": site.private.cidr,
        "mgmt_ip": site.mgmt.machine,
        "mgmt_prefix": site.mgmt.prefix,
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
    if name.startswith("usr/local/bin/") or name.endswith(".sh"):
        return File(f"/{name}", text, "root", 0o755)
    for folder, group in _GROUPS.items():
        if name.startswith(f"{folder}/"):
            return File(f"/{name}", text, group, 0o640)
    return File(f"/{name}", text, "root", 0o600 if name.endswith(".sql") else 0o644)
