"""The datastores' container images, from Debian's packages, as Trove's guest agent expects of the official ones."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.build import rootfs
from lab.containers import client
from lab.core.errors import CheckFailed
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.host import apt

FILE = RESOURCES / "images" / "trove-guest" / "datastores.toml"
DOCKERFILES = RESOURCES / "dockerfiles"
COMMON = ("base-files", "libc-bin", "dash", "coreutils", "sed", "hostname")
CLUTTER = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/lib/x86_64-linux-gnu/gconv",
    "var/lib/dpkg/info",
)


@dataclass(frozen=True)
class Datastore:
    """One engine in one Debian suite; ``version`` is Trove's datastore version and the image's tag."""

    name: str
    version: str
    base: rootfs.Recipe

    @property
    def repository(self) -> str:
        """The image's name, as trove.conf has it."""
        return f"trove-lab/{self.name}"

    @property
    def directory(self) -> Path:
        """Its Dockerfile's folder."""
        return DOCKERFILES / self.name

    @property
    def key(self) -> str:
        """Hash of all that the image is made from."""
        return key(self.directory, self.base, self.version)

    def build(self, job: Job) -> str:
        """Build the image, tag it with the version, and give that tag. Raises: CommandFailed, CheckFailed …"""
        made = build(self.repository, self.directory, self.base, self.version, job)
        self._check(made)
        return client.tag(made, self.repository, self.version)

    def _check(self, image: str) -> None:
        """The version is asked from the server itself: a changed suite must not pass under the old name."""
        program = {"mariadb": "mariadbd", "postgresql": "postgres"}[self.name]
        said = client.output(image, [program, "--version"])
        if f" {self.version}." not in said:
            raise CheckFailed(f"{self.name} {self.version}", f"the package is another version: {said.strip()}")


def key(directory: Path, base: rootfs.Recipe, version: str) -> str:
    """Hash of all that an image which the guest carries is made from."""
    return hashlib.sha256(client.context(directory, {}) + base.key.encode() + version.encode()).hexdigest()[:16]


def build(
    repository: str, directory: Path, base: rootfs.Recipe, version: str, job: Job,
    extra: Mapping[str, bytes] | None = None,
) -> str:  # fmt: skip
    """Build an image on ``base``; its tag by content. Raises: CommandFailed, CheckFailed …"""
    job.note(f"building {repository}")
    return client.build(
        repository,
        directory,
        arguments={"BASE": rootfs.image(base, job), "VERSION": version},
        extra=extra,
        proxies=apt.proxies(dict(os.environ)),
        job=job,
    )


def load(suite: str) -> tuple[Datastore, ...]:
    """The datastores of a suite, from images/trove-guest/datastores.toml."""
    rows: dict[str, dict[str, Any]] = tomllib.loads(FILE.read_text())
    return tuple(
        Datastore(name, row["versions"][suite], base(suite, row["packages"], row["remove"], row.get("locale", "")))
        for name, row in rows.items()
    )


def base(suite: str, packages: Sequence[str], remove: Sequence[str], locale: str = "") -> rootfs.Recipe:
    """The root filesystem that a container image stands on: ``packages`` without the paths to ``remove``."""
    hooks = []
    if locale:
        hooks.append(f'--extract-hook=chroot "$1" localedef -i {locale} -f UTF-8 {locale}.UTF-8')
    hooks.append('--extract-hook=cd "$1" && rm -rf ' + " ".join([*CLUTTER, *remove]))
    return rootfs.Recipe(suite, (*COMMON, *packages), rootfs.sources(suite), variant="extract", hooks=tuple(hooks))
