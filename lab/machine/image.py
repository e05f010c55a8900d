"""The machine's Docker image: root filesystem, base layer, machine layer; each built once per content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.build import rootfs
from lab.config import catalog
from lab.containers import client
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.host import apt, pypi


@dataclass(frozen=True)
class Layer:
    """An image of ours: its repository, the directory that it is built from, and the build's arguments.

    ``files`` are further ones of the build, name to path; ``pip``: it takes packages from where this host's pip does.
    """

    repository: str
    directory: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    pip: bool = False

    @property
    def extra(self) -> dict[str, bytes]:
        """The further files' content."""
        return {name: path.read_bytes() for name, path in self.files.items()}


BASE = Layer("trove-lab/base", RESOURCES / "dockerfiles" / "base")


PACKAGES = Layer("trove-lab/machine", RESOURCES / "dockerfiles" / "machine")
"""OpenStack's packages."""


def devstack(hypervisor: str) -> Layer:
    """What stack.sh would install with apt for a hypervisor."""
    return Layer("trove-lab/devstack", RESOURCES / "dockerfiles" / "devstack", {"HYPERVISOR": hypervisor})


def wheels(release: str) -> Layer:
    """OpenStack's wheels, as the release's lock has them."""
    patches = [f"patches/{name}.patch" for name in catalog.load().installers["wheels"].locks[release].patches]
    files = {name: PACKAGES.directory / name for name in ("install.sh", *patches)}
    files["requirements.lock"] = RESOURCES / "locks" / f"{release}.lock"
    return Layer("trove-lab/wheels", RESOURCES / "dockerfiles" / "wheels", files=files, pip=True)


def base_tag(suite: str) -> str:
    """The tag that ``base`` gives, known before anything is built."""
    tar = client.context(BASE.directory, _certificates())
    return client.content_tag(BASE.repository, tar, {"ROOTFS": rootfs.tag(rootfs.recipe(suite))})


def machine_tag(suite: str, wanted: Layer) -> str:
    """The tag that ``machine`` gives, known before anything is built."""
    tar = client.context(wanted.directory, wanted.extra)
    return client.content_tag(wanted.repository, tar, {"BASE": base_tag(suite), **wanted.arguments})


def base(suite: str, job: Job) -> str:
    """``trove-lab/base:SHA``: a systemd container of that Debian suite which answers SSH and no more."""
    return client.build(
        BASE.repository,
        BASE.directory,
        arguments={"ROOTFS": rootfs.image(rootfs.recipe(suite), job)},
        extra=_certificates(),
        proxies=apt.proxies(dict(os.environ)),
        job=job,
    )


def machine(suite: str, wanted: Layer, job: Job) -> str:
    """The base with what a layer adds, as ``REPOSITORY:SHA``."""
    return client.build(
        wanted.repository,
        wanted.directory,
        arguments={"BASE": base(suite, job), **wanted.arguments},
        extra=wanted.extra,
        proxies={**apt.proxies(dict(os.environ)), **(pypi.environment() if wanted.pip else {})},
        job=job,
    )


def _certificates() -> dict[str, bytes]:
    """The host's own authorities, as files of the build context."""
    return {"ca-certificates/.keep": b"", **{f"ca-certificates/{n}": text for n, text in apt.authorities().items()}}
