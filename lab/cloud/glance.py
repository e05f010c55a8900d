"""Images into Glance, once per content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openstack.connection import Connection

CONTENT = "trove_lab_sha256"
"""Image property that holds the SHA-256 of the file that was uploaded."""

AGGREGATE = "lab"
"""Nova caches images for a host aggregate only."""


def find(admin: Connection, name: str, sha256: str) -> Any | None:
    """The usable image ``name`` of that content, or None."""
    for image in admin.image.images(name=name):
        if image.status == "active" and (image.properties or {}).get(CONTENT) == sha256:
            return image
    return None


def cache(admin: Connection, image_id: str, host: str) -> None:
    """Ask Nova to fetch the image to compute host ``host`` before a server wants it; it does so in the background."""
    compute = admin.compute
    aggregate = next((a for a in compute.aggregates() if a.name == AGGREGATE), None)
    aggregate = aggregate or compute.create_aggregate(name=AGGREGATE)
    if host not in (aggregate.hosts or []):
        compute.add_host_to_aggregate(aggregate, host)
    compute.aggregate_precache_images(aggregate, [image_id])


def upload(
    admin: Connection,
    name: str,
    file: Path,
    sha256: str,
    *,
    disk_format: str = "qcow2",
    container_format: str = "bare",
    tags: Sequence[str] = (),
    properties: Mapping[str, str] | None = None,
) -> None:
    """Upload ``file`` for everyone's use; images of that name which broke off or hold other content are removed."""
    if find(admin, name, sha256) is not None:
        return
    old = list(admin.image.images(name=name))
    with file.open("rb") as data:
        image = admin.image.create_image(
            name,
            data=data,
            disk_format=disk_format,
            container_format=container_format,
            visibility="public",
            allow_duplicates=True,
            validate_checksum=False,
            tags=list(tags),
            **{CONTENT: sha256, **(properties or {})},
        )
    admin.image.get_image(image)  # raises where the upload did not end as an image
    for stale in old:
        admin.image.delete_image(stale)
