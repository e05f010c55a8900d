"""Guest images in the cache: one file per content, with a record that tells whether it is whole and has booted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab.build.content_key import content
from lab.build.rootfs import digest
from lab.core.home import cache
from lab.core.job import Job
from lab.core.state import write_atomically
from lab.guest import boot_proof, smoke, trove
from lab.guest.agent import Agent

Build = Callable[[Path, Job], None]
"""Writes the image at a path, or boots the one that is there."""


@dataclass(frozen=True)
class Format:
    """How Glance calls it, and the file's suffix."""

    disk: str
    container: str
    suffix: str


QCOW2 = Format("qcow2", "bare", "qcow2")
DOCKER = Format("raw", "docker", "tar")
MACHINE, CONTAINER = {"img_hv_type": "qemu"}, {"img_hv_type": "docker"}
"""By these Nova's scheduler chooses between hypervisors; libvirt says qemu of a host with KVM too."""


@dataclass(frozen=True)
class Image:
    """One guest image. ``key`` is known before anything is built; ``name`` is Glance's.

    ``boot`` boots the file and raises where it does not come up; None where only Nova can (a container's archive).
    """

    name: str
    key: str
    make: Build
    boot: Build | None
    format: Format = QCOW2
    datastores: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file in the cache."""
        return self._folder / f"{self.name}-{self.key}.{self.format.suffix}"

    @property
    def sha256(self) -> str:
        """Of the file as it was built."""
        return str(self._record.get("sha256", ""))

    def whole(self) -> bool:
        """Whether the file is there as it was recorded; hashed again only after its size or time has changed."""
        record = self._record
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        if record.get("size") != now.st_size:
            return False
        if record.get("mtime") == now.st_mtime_ns:
            return True
        return "sha256" in record and digest(self.path) == record["sha256"]

    def build(self, job: Job) -> None:
        """Make the file unless it is whole: beside, then renamed. Raises: what the build raises."""
        with FileLock(self.path.with_suffix(".lock")):
            if self.whole():
                return
            part = self.path.with_suffix(f".part.{self.format.suffix}")
            try:
                self.make(part, job)
                facts = {"sha256": digest(part), "size": part.stat().st_size, "mtime": part.stat().st_mtime_ns}
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)
            self._write(facts)

    def proven(self) -> bool:
        """Whether this very file has booted."""
        return self.whole() and self._record.get("booted") == self.sha256

    def prove(self, job: Job) -> None:
        """Boot it. Raises: GaveUp or TimedOut with what the console said last."""
        assert self.boot is not None
        self.boot(self.path, job)
        self._write({**self._record, "booted": self.sha256})

    @cached_property
    def _folder(self) -> Path:
        folder = cache() / "guests"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def _record(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.path.with_suffix(".json").read_text()))
        except (OSError, ValueError):
            return {}

    def _write(self, facts: dict[str, Any]) -> None:
        write_atomically(self.path.with_suffix(".json"), json.dumps(facts, indent=1))


def guest(suite: str, agent: Agent | None = None, *, backups: bool = False) -> Image:
    """The Trove guest: Debian ``suite``, cloud-init, the guest agent, Docker, the datastores' images.

    ``backups``: also the image of Trove's backup program.
    """
    recipe = trove.Recipe(suite, agent, backups)
    return Image(
        "trove-guest",
        recipe.key,
        recipe.build,
        boot_proof.trove_guest,
        datastores={d.name: d.version for d in recipe.datastores},
        properties={**MACHINE, "hw_disk_bus": "virtio", "hw_rng_model": "virtio"},
    )


def container_guest(suite: str, agent: Agent | None = None, *, backups: bool = False) -> Image:
    """The same guest for Nova's Docker driver: the same root filesystem, without kernel and boot loader."""
    recipe = trove.Recipe(suite, agent, backups)
    return Image(
        "trove-guest",
        content(recipe.key, "container"),
        recipe.build_container,
        None,
        DOCKER,
        datastores={d.name: d.version for d in recipe.datastores},
        properties=CONTAINER,
    )


def container_smoke(suite: str) -> Image:
    """The smoke guest for Nova's Docker driver: busybox with the same script."""
    recipe = smoke.Recipe(suite)
    key = content(recipe.key, "container")
    return Image("smoke", key, recipe.build_container, None, DOCKER, properties=CONTAINER)


def smoke_guest(suite: str) -> Image:
    """The smoke guest: a kernel and busybox."""
    recipe = smoke.Recipe(suite)
    return Image("smoke", recipe.key, recipe.build, boot_proof.smoke_guest, properties=MACHINE)
