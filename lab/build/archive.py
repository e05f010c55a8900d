"""A root filesystem as an image archive that ``docker load`` takes, written without a Docker engine."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from lab.build.rootfs import digest
from lab.core import process
from lab.core.job import Job

DISK_ONLY = ("./boot/*", "./usr/lib/modules/*", "./lib/modules/*", "./initrd.img*", "./vmlinuz*")
"""What only a guest with a kernel of its own needs."""


def write(tree: Path, target: Path, *, volumes: Sequence[str], job: Job) -> None:
    """Write ``tree`` (root's, read with its owners and attributes) as an image whose command is /sbin/init.

    Raises: CommandFailed, TimedOut.
    """
    layer = target.with_suffix(".layer")
    process.run(
        *process.as_root(
            "tar", "--create", "--one-file-system", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name"
        ),
        "--pax-option=delete=atime,delete=ctime",
        *(f"--exclude={pattern}" for pattern in DISK_ONLY),
        f"--directory={tree}",
        f"--file={layer}",
        ".",
    )
    try:
        with tarfile.open(target, "w") as archive:
            config = json.dumps(_config(digest(layer), volumes)).encode()
            _add(archive, "config.json", config)
            _add(archive, "manifest.json", json.dumps([{"Config": "config.json", "Layers": ["layer.tar"]}]).encode())
            archive.add(layer, "layer.tar", filter=_nobodys)
    finally:
        process.run(*process.as_root("rm", "-f", layer))


def _config(sha256: str, volumes: Sequence[str]) -> dict[str, object]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/sbin/init"], "Volumes": {volume: {} for volume in volumes}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256}"]},
    }


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Neither time nor owner of the file that happened to hold the layer."""
    member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
    return member


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
