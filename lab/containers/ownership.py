"""What Docker holds of which lab: by label, and images by the tags with which labs claim them."""

from __future__ import annotations

import contextlib

from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from lab.containers.client import connect
from lab.core.home import LABEL

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


def labelled(name: str | None) -> list[str]:
    """What Docker holds of lab ``name`` (None: of any lab, caches included), as ``kind name`` lines."""
    wanted: dict[str, str | list[str] | bool] = {"label": LABEL if name is None else f"{LABEL}={name}"}
    with connect() as daemon:
        found = [f"container {c.name}" for c in daemon.containers.list(all=True, filters=wanted, ignore_removed=True)]
        found += [f"network {n.name}" for n in daemon.networks.list(filters=wanted)]
        found += [f"volume {v.name}" for v in daemon.volumes.list(filters=wanted)]
        found += [f"image {(image.tags or [image.short_id])[0]}" for image in daemon.images.list(filters=wanted)]
    return sorted(found)


def remove_container(container: Container) -> None:
    """Remove a machine's container with its anonymous volumes; its loop devices are let go first."""
    if container.status == "running":
        container.exec_run(["sh", "-c", LET_GO])
    container.remove(force=True, v=True)


def remove(name: str | None) -> None:
    """Remove what ``labelled`` lists."""
    wanted: dict[str, str | list[str] | bool] = {"label": LABEL if name is None else f"{LABEL}={name}"}
    gone = contextlib.suppress(NotFound)
    with connect(600) as daemon:
        for container in daemon.containers.list(all=True, filters=wanted, ignore_removed=True):
            with gone:
                remove_container(container)
        for network in daemon.networks.list(filters=wanted):
            with gone:
                network.remove()
        for volume in daemon.volumes.list(filters=wanted):
            with gone:
                volume.remove(force=True)
        for image in daemon.images.list(filters=wanted):
            for tag in image.tags or [str(image.id)]:
                try:
                    daemon.images.remove(tag, force=True)
                except APIError as error:
                    if error.status_code not in (404, 409):  # 409: another's layers stand on it; it goes with those
                        raise


def _only(name: str, tags: list[str]) -> bool:
    """Whether lab ``name`` claims the image of these tags, and no other does."""
    return [tag.rsplit(":", 1)[1] for tag in tags if ":lab-" in tag] == [f"lab-{name}"]
