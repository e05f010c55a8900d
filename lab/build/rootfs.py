"""Root filesystems for machines: mmdebstrap from the host's own mirror, kept by content, imported into Docker."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from lab.containers import client
from lab.core import process, waits
from lab.core.errors import CommandFailed
from lab.core.home import LABEL, cache
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.core.state import write_atomically
from lab.host import apt

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
REPOSITORY = "trove-lab/rootfs"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a root filesystem's content."""

    suite: str
    packages: tuple[str, ...]
    sources: tuple[str, ...]
    variant: str = "minbase"
    hooks: tuple[str, ...] = ('--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',)

    @property
    def key(self) -> str:
        """Hash of the recipe."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def recipe(suite: str) -> Recipe:
    """The recipe of a machine's root filesystem on this host. With no mirror configured, mmdebstrap's own is used."""
    packages = (RESOURCES / "dockerfiles" / "base" / "packages").read_text(encoding="utf-8").split()
    return Recipe(suite, tuple(packages), sources(suite))


def build(recipe: Recipe, job: Job) -> Path:
    """The tar of that recipe, from the cache when it is whole there. Raises: CommandFailed, DiskFull, TimedOut."""
    folder = cache() / "rootfs"
    folder.mkdir(exist_ok=True)
    tar, record = folder / f"{recipe.key}.tar", folder / f"{recipe.key}.json"
    with FileLock(folder / f"{recipe.key}.lock"):
        if whole(tar, record):
            return tar
        job.note(f"making a {recipe.suite} root filesystem (mmdebstrap)")
        part = folder / f"{recipe.key}.part.tar"
        part.unlink(missing_ok=True)
        try:
            make(recipe, part, job)
            facts = {"sha256": digest(part), "size": part.stat().st_size, "recipe": asdict(recipe)}
            part.replace(tar)
            write_atomically(record, json.dumps(facts, indent=1))
        finally:
            part.unlink(missing_ok=True)
    return tar


def make(recipe: Recipe, target: Path, job: Job) -> None:
    """Run mmdebstrap into ``target``: a ``.tar``, or a directory. Raises: CommandFailed, DiskFull, TimedOut."""
    process.run(
        *process.as_root(
            # what mmdebstrap mounts goes with its namespace: its own umount fails when the tree is busy
            "unshare",
            "--mount",
            # on disk, and without the nodev and the smallness that /tmp has on many hosts
            "env",
            "TMPDIR=/var/tmp",
            *(f"{k}={v}" for k, v in apt.proxies(dict(os.environ)).items()),
            "mmdebstrap",
            f"--variant={recipe.variant}",
            f"--keyring={KEYRING}",
            f"--include={','.join(recipe.packages)}",
            '--aptopt=Acquire::Languages "none"',
            '--aptopt=APT::Install-Recommends "0"',
            "--dpkgopt=force-unsafe-io",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            *recipe.hooks,
            recipe.suite,
            target,
            *recipe.sources,
        )
    )


@functools.cache
def sources(suite: str) -> tuple[str, ...]:
    """The host's own mirror of Debian for ``suite``; nothing where it has none: mmdebstrap then takes its own.

    apt is asked once in a process: 20 ms each time.
    """
    found = apt.mirrors()
    return tuple(found.lines(suite)) if found else ()


def tag(recipe: Recipe) -> str:
    """The Docker tag of that recipe's image, whether it is there or not."""
    return f"{REPOSITORY}:{recipe.key}"


def image(recipe: Recipe, job: Job) -> str:
    """The Docker image of that recipe, ``trove-lab/rootfs:KEY``, labelled; made when it is not there."""
    made = tag(recipe)
    if client.find(made) is None:
        tar = build(recipe, job)
        job.note("importing the root filesystem into Docker")
        with client.connect(job.seconds, job.setting) as daemon:
            daemon.api.import_image_from_file(
                str(tar), repository=REPOSITORY, tag=recipe.key, changes=[f"LABEL {LABEL}={client.SHARED}"]
            )
    return made


def whole(tar: Path, record: Path) -> bool:
    """Whether the cached file is the one that was recorded (a full disk or a kill may have cut it)."""
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        return bool(tar.stat().st_size == facts["size"] and digest(tar) == facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear(tree: Path) -> None:
    """Remove what a killed build left; its last programs may still be writing for a moment. Raises: TimedOut."""
    waits.until(
        f"{tree.name} of a killed build to go",
        lambda: process.run(*process.as_root("rm", "-rf", "--one-file-system", tree)).ok,
        seconds=30,
        every=0.5,
        transient=(CommandFailed,),
    )
