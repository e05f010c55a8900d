"""Root filesystems for machines: mmdebstrap from the host's own mirror, kept by content, imported into Docker."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from lab import apt, engine, process
from lab.home import LABEL, PROJECT, cache
from lab.state import write_atomically
from lab.waits import Note

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
REPOSITORY = "trove-lab/rootfs"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a root filesystem's content."""

    suite: str
    packages: tuple[str, ...]
    sources: tuple[str, ...]
    version: int = 1

    @property
    def key(self) -> str:
        """Hash of the recipe."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def recipe(suite: str) -> Recipe:
    """The recipe of a machine's root filesystem on this host. With no mirror configured, mmdebstrap's own is used."""
    packages = (PROJECT / "dockerfiles" / "base" / "packages").read_text(encoding="utf-8").split()
    found = apt.mirrors()
    return Recipe(suite, tuple(packages), tuple(found.lines(suite)) if found else ())


def build(wanted: Recipe, note: Note, log: Path, seconds: float) -> Path:
    """The tar of that recipe, from the cache when it is whole there. Raises: CommandFailed, DiskFull, TimedOut."""
    folder = cache() / "rootfs"
    folder.mkdir(exist_ok=True)
    tar, record = folder / f"{wanted.key}.tar", folder / f"{wanted.key}.json"
    with FileLock(folder / f"{wanted.key}.lock"):
        if whole(tar, record):
            return tar
        note(f"making a {wanted.suite} root filesystem (mmdebstrap)")
        part = folder / f"{wanted.key}.part.tar"
        part.unlink(missing_ok=True)
        try:
            process.run(
                *process.as_root(
                    # on disk, and without the nodev and the smallness that /tmp has on many hosts
                    "env",
                    "TMPDIR=/var/tmp",
                    *(f"{k}={v}" for k, v in apt.proxies(dict(os.environ)).items()),
                    "mmdebstrap",
                    "--variant=minbase",
                    f"--keyring={KEYRING}",
                    f"--include={','.join(wanted.packages)}",
                    '--aptopt=Acquire::Languages "none"',
                    "--dpkgopt=force-unsafe-io",
                    "--dpkgopt=path-exclude=/usr/share/doc/*",
                    "--dpkgopt=path-exclude=/usr/share/man/*",
                    '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
                    wanted.suite,
                    part,
                    *wanted.sources,
                ),
                log=log,
                timeout=seconds,
                timeout_setting="--build-timeout",
            )
            facts = {"sha256": digest(part), "size": part.stat().st_size, "recipe": asdict(wanted)}
            part.replace(tar)
            write_atomically(record, json.dumps(facts, indent=1))
        finally:
            part.unlink(missing_ok=True)
    return tar


def image(wanted: Recipe, note: Note, log: Path, seconds: float) -> str:
    """The Docker image of that recipe, ``trove-lab/rootfs:KEY``, labelled; made when it is not there."""
    tag = f"{REPOSITORY}:{wanted.key}"
    if engine.find(tag) is None:
        tar = build(wanted, note, log, seconds)
        note("importing the root filesystem into Docker")
        with engine.client(seconds) as client:
            client.api.import_image_from_file(
                str(tar), repository=REPOSITORY, tag=wanted.key, changes=[f"LABEL {LABEL}={engine.SHARED}"]
            )
    return tag


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
