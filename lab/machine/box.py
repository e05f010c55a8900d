"""Boxes for virtual machines, built here: the machine's image with a kernel, on a bootable disk."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jinja2
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
OVF = Path(__file__).with_name("box.ovf.j2")
VMDK = "box-disk001.vmdk"
MAC = "080027B0C5ED"
"""Of the first network card, in VirtualBox's own range; a machine has its NAT to itself, so all may share it."""
CONVERT_SECONDS = 1800
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


def package(disk: Path, provider: str, gib: int = 0) -> Path:
    """A ``.box`` file of that disk for ``provider``, beside it.

    libvirt makes a disk larger when it makes a machine; for VirtualBox the box's own has the size that is wanted,
    ``gib``, and takes no more room for it. Raises: CommandFailed, DiskFull.
    """
    box = disk.with_suffix(f".{gib}.virtualbox.box" if provider == "virtualbox" else ".libvirt.box")
    if not box.exists():
        part = box.with_suffix(".part")
        with tempfile.TemporaryDirectory(dir=disk.parent) as name:
            folder = Path(name)
            files = _virtualbox(disk, gib, folder) if provider == "virtualbox" else _libvirt(disk, folder)
            with tarfile.open(part, "w") as tar:
                for member, path in files.items():
                    tar.add(path, member)
        part.replace(box)
    return box


def _libvirt(disk: Path, folder: Path) -> dict[str, Path]:
    """The box's files by name; those that are made, made in ``folder``."""
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": _bytes(disk) >> 30}
    texts = {"metadata.json": json.dumps(metadata), "Vagrantfile": "Vagrant.configure('2') { |config| }\n"}
    return {**_written(texts, folder), "box.img": disk}


def _virtualbox(disk: Path, gib: int, folder: Path) -> dict[str, Path]:
    """See _libvirt."""
    larger, image = folder / "larger.qcow2", folder / VMDK
    process.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", larger)
    if gib << 30 > _bytes(disk):
        process.run("qemu-img", "resize", "-q", larger, f"{gib}G")
    options = ("-O", "vmdk", "-o", "subformat=streamOptimized")
    process.run("qemu-img", "convert", "-f", "qcow2", *options, larger, image, timeout=CONVERT_SECONDS)
    description = jinja2.Template(OVF.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined).render(
        disk=VMDK, disk_bytes=_bytes(larger), file_bytes=image.stat().st_size
    )
    texts = {
        "metadata.json": json.dumps({"provider": "virtualbox"}),
        "Vagrantfile": f"Vagrant.configure('2') {{ |config| config.vm.base_mac = '{MAC}' }}\n",
        "box.ovf": description,
    }
    return {**_written(texts, folder), VMDK: image}


def _bytes(disk: Path) -> int:
    """What a machine sees of it."""
    return int(json.loads(process.run("qemu-img", "info", "--output=json", disk).stdout)["virtual-size"])


def _written(texts: Mapping[str, str], folder: Path) -> dict[str, Path]:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {name: folder / name for name in texts}


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
