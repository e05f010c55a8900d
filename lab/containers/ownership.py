"""What Docker holds of which lab: by label, and images by the tags with which labs claim them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image

from lab.containers.client import connect
from lab.core.errors import OtherOwner
from lab.core.home import LABEL, OWNER

LET_GO = "test ! -x /etc/trove-lab/detach-loops.sh || /etc/trove-lab/detach-loops.sh"
"""Loop devices are the kernel's: those that a machine's container attached would stay on this host."""


def claim(tag: str, name: str) -> None:
    """Say that lab ``name`` uses the image: it gets the tag ``repository:lab-NAME`` as well."""
    with connect() as daemon:
        daemon.images.get(tag).tag(tag.rsplit(":", 1)[0], f"lab-{name}")


def release(name: str, keep: bool) -> None:
    """Take lab ``name``'s claims back; unless ``keep``, images that no lab claims any more are removed."""
    with connect(600) as daemon:
        for image in daemon.images.list(filters={"label": LABEL}):
            ours = [tag for tag in image.tags if tag.endswith(f":lab-{name}")]
            for tag in image.tags if not keep and _only(name, image.tags) else ours:
                with contextlib.suppress(ImageNotFound):
                    daemon.images.remove(tag, force=True)


def claimed(name: str) -> list[str]:
    """The images that go with lab ``name``: a tag of each that no other lab claims."""
    with connect() as daemon:
        images = daemon.images.list(filters={"label": LABEL})
        return sorted(image.tags[0] for image in images if _only(name, image.tags))


def strangers() -> list[str]:
    """Containers that are no lab's."""
    with connect() as daemon:
        return [str(c.name) for c in daemon.containers.list(all=True, ignore_removed=True) if LABEL not in c.labels]


def users() -> set[str]:
    """Names of the labs (of any checkout) and runs that have containers here."""
    with connect() as daemon:
        found = daemon.containers.list(all=True, ignore_removed=True)
        return {str(c.labels[LABEL]) for c in found if LABEL in c.labels}


def foreign(owner: str) -> dict[str, str]:
    """Names of labs and services that are another owner's, each with what of it is here, as ``kind name``."""
    with connect() as daemon:
        objects: list[tuple[str, Any, dict[str, str]]] = [
            ("container", c.name, c.labels) for c in daemon.containers.list(all=True, ignore_removed=True)
        ]
        objects += [("network", n.name, n.attrs.get("Labels") or {}) for n in daemon.networks.list()]
    return {
        labels[LABEL]: f"{kind} {name}"
        for kind, name, labels in objects
        if LABEL in labels and labels.get(OWNER, owner) != owner
    }


def check(name: str, owner: str) -> None:
    """Refuse a name that is another owner's here. Raises: OtherOwner."""
    if what := foreign(owner).get(name):
        raise OtherOwner(name, what)


def labelled(name: str | None, owner: str = "") -> list[str]:
    """What Docker holds of lab ``name``, as ``kind name`` lines (None: of any lab but other owners', with caches)."""
    with connect() as daemon:
        found = [f"{kind} {title}" for kind, title, _ in _objects(daemon, name, owner)]
    return sorted(found)


def remove_container(container: Container) -> None:
    """Remove a machine's container with its anonymous volumes; its loop devices are let go first."""
    if container.status == "running":
        container.exec_run(["sh", "-c", LET_GO])
    container.remove(force=True, v=True)


def remove(name: str | None, owner: str = "") -> None:
    """Remove what ``labelled`` lists."""
    with connect(600) as daemon:
        for kind, _, item in _objects(daemon, name, owner):
            with contextlib.suppress(NotFound):
                if kind == "container":
                    remove_container(item)
                elif kind == "image":
                    _remove_image(daemon, item)
                elif kind == "volume":
                    item.remove(force=True)
                else:
                    item.remove()


def _objects(daemon: DockerClient, name: str | None, owner: str) -> Iterator[tuple[str, str, Any]]:
    """Kind, name and object: containers before the networks, volumes and images that they use."""
    wanted: dict[str, str | list[str] | bool] = {"label": LABEL if name is None else f"{LABEL}={name}"}
    others = foreign(owner) if name is None else {}
    for container in daemon.containers.list(all=True, filters=wanted, ignore_removed=True):
        if container.labels.get(LABEL) not in others:
            yield "container", str(container.name), container
    for network in daemon.networks.list(filters=wanted):
        if (network.attrs.get("Labels") or {}).get(LABEL) not in others:
            yield "network", str(network.name), network
    for volume in daemon.volumes.list(filters=wanted):
        if (volume.attrs.get("Labels") or {}).get(LABEL) not in others:
            yield "volume", str(volume.name), volume
    for image in daemon.images.list(filters=wanted):
        # an image may be used by another's lab: its tags say so
        if not any(f":lab-{other}" in tag for tag in image.tags for other in others):
            yield "image", (image.tags or [str(image.short_id)])[0], image


def _remove_image(daemon: DockerClient, image: Image) -> None:
    for tag in image.tags or [str(image.id)]:
        try:
            daemon.images.remove(tag, force=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # 409: another's layers stand on it; it goes with those
                raise


def _only(name: str, tags: list[str]) -> bool:
    """Whether lab ``name`` claims the image of these tags, and no other does."""
    return [tag.rsplit(":", 1)[1] for tag in tags if ":lab-" in tag] == [f"lab-{name}"]
