"""Boxes for virtual machines, built here: the machine's image with a kernel, on a bootable disk."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from pathlib import Path

from filelock import FileLock

from lab.build import rootfs
from lab.build.disk import Disk
from lab.containers import client
from lab.core import process
from lab.core.home import cache
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.core.state import write_atomically
from lab.host import apt

DIRECTORY = RESOURCES / "dockerfiles" / "box"
REPOSITORY = "trove-lab/box"
COMMAND_LINE = "console=tty0 console=ttyS0 loglevel=4 systemd.show_status=true panic=10"
"""It starts anew after a panic: without KVM, QEMU 7.2 meets one now and then while a kernel boots."""
SPARE_MIB = 1024
"""Room on the disk beyond its content; the first boot grows the file system to what the provider gives."""


def build(image: str, job: Job) -> Path:
    """The bootable qcow2 made of ``image`` (a machine or base image), from the cache when it is whole there.

    Raises: CommandFailed, DiskFull, TimedOut, DockerUnusable.
    """
    tag = client.build(
        REPOSITORY,
        DIRECTORY,
        arguments={"FROM": image},
        proxies=apt.proxies(dict(os.environ)),
        job=job,
    )
    folder = cache() / "boxes"
    folder.mkdir(exist_ok=True)
    disk = folder / f"{tag.rpartition(':')[2]}.qcow2"
    record = disk.with_suffix(".json")
    with FileLock(disk.with_suffix(".lock")):
        if not rootfs.whole(disk, record):
            part = disk.with_suffix(".part.qcow2")
            try:
                _disk(tag, part, job)
                facts = {"sha256": rootfs.digest(part), "size": part.stat().st_size, "image": image}
                part.replace(disk)
            finally:
                part.unlink(missing_ok=True)
            write_atomically(record, json.dumps(facts, indent=1))
    return disk


def package(disk: Path, provider: str) -> Path:
    """A ``.box`` file of that disk for ``provider`` (only ``libvirt``), beside it."""
    gib = int(json.loads(process.run("qemu-img", "info", "--output=json", disk).stdout)["virtual-size"]) >> 30
    metadata = {"provider": provider, "format": "qcow2", "virtual_size": gib}
    box = disk.with_suffix(f".{provider}.box")
    if not box.exists():
        part = box.with_suffix(".part")
        with tempfile.TemporaryDirectory(dir=disk.parent) as name, tarfile.open(part, "w") as tar:
            (Path(name) / "metadata.json").write_text(json.dumps(metadata))
            (Path(name) / "Vagrantfile").write_text("Vagrant.configure('2') { |config| }\n")
            for member in ("metadata.json", "Vagrantfile"):
                tar.add(Path(name) / member, member)
            tar.add(disk, "box.img")
        part.replace(box)
    return box


def _disk(tag: str, target: Path, job: Job) -> None:
    """Put the image's files on a disk of whole GiB."""
    work = Path(tempfile.mkdtemp(prefix="box-", dir=cache()))
    root, archive = work / "root", work / "root.tar"
    root.mkdir()
    try:
        job.note("taking the box's files out of Docker")
        client.export(tag, archive)
        as_root = process.as_root
        xattrs = ("--xattrs", "--xattrs-include=*", "--numeric-owner")
        job.as_root("tar", "-C", root, *xattrs, "-xf", archive)
        archive.unlink()
        job.as_root("sh", DIRECTORY / "finish.sh", root)
        used = int(process.run(*as_root("du", "--summarize", "--block-size=1M", root)).stdout.split()[0])
        job.note("making the box's disk")
        size = -(-(used * 6 // 5 + SPARE_MIB) // 1024) * 1024
        Disk(root, "machine", size, COMMAND_LINE, job, tools=root).build(target)
    finally:
        process.run(*process.as_root("rm", "-rf", work))
