"""The guest image by itself, with no OpenStack at hand: built, and booted."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lab.config import catalog
from lab.config.settings import DEFAULTS
from lab.core.errors import Unsupported
from lab.core.home import cache
from lab.core.job import Job
from lab.core.waits import Note
from lab.guest import images
from lab.guest.images import Image
from lab.host import packages

PARTS = ("docker", "rootfs", "guest")


def build(distro: str, note: Note) -> Path:
    """Build the guest image of ``distro`` unless it is cached; its path. Raises: any LabError of the build."""
    image = _image(distro)
    packages.ensure(PARTS, note, cache() / "image-build.log")
    image.build(Job(note, cache() / "image-build.log", DEFAULTS.build_timeout, ""))
    return image.path


def boot(distro: str, note: Note) -> str:
    """Build it if need be and boot it; what was seen. Raises: GaveUp, TimedOut with the console's last words."""
    image = _image(distro)
    build(distro, note)
    with tempfile.TemporaryDirectory() as folder:
        image.prove(Job(note, Path(folder) / "boot.log", DEFAULTS.guest_timeout, ""))
    return f"{image.path} boots; its guest agent dialled the message queue"


def _image(distro: str) -> Image:
    wanted = catalog.load().distro(distro)
    if not wanted.packages or wanted.family != "debian":
        raise Unsupported(f"There is no guest recipe of {distro}.", "./inv image-build --distro=debian13 builds one.")
    return images.guest(wanted.codename)
