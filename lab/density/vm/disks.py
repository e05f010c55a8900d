"""Disks for the machines: the baked archive (lean), or a Debian cloud root with the archive in it (ordinary)."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from lab.build import rootfs
from lab.build.rootfs import Recipe
from lab.core import process
from lab.core.job import Job
from lab.core.units import MIB
from lab.density.bake import Baked
from lab.density.folder import folder
from lab.density.vm import guestfiles
from lab.density.vm.guestfiles import ENGINE_ROOT, Kit

SUITE = "trixie"
PACKAGES = (
    "systemd", "systemd-sysv", "systemd-resolved", "udev", "dbus", "libpam-systemd", "linux-image-cloud-amd64",
    "cloud-init", "cloud-guest-utils", "openssh-server", "sudo", "iproute2", "iputils-ping", "netbase",
    "ca-certificates", "e2fsprogs", "busybox-static", "procps", "kmod", "logrotate", "cron", "unattended-upgrades",
    "chrony", "rsyslog",
)  # fmt: skip
"""What Debian's own generic cloud image runs; no Docker and no guest agent in it, which Trove's guests add."""
SECONDS = 900.0
ROOM = 400 * MIB
"""Free space on each disk, in bytes."""
VERSION = 5
LATE = 4102444800
"""Files' time (2100-01-01): later than whatever systemd compares ``.updated`` with."""


def guest_root(note: Callable[[str], None]) -> Path:
    """The cloud root as a tar (kernel, modules and busybox come from it as well).

    Raises: CommandFailed, DiskFull, TimedOut.
    """
    return rootfs.build(Recipe(SUITE, PACKAGES, rootfs.sources(SUITE)), Job(note, folder() / "root.log", SECONDS, ""))


def kit(note: Callable[[str], None]) -> Kit:
    """Kernel, busybox and modules of the cloud root, unpacked beside it."""
    tar = guest_root(note)
    place = folder() / f"kit-{tar.stem}"
    if not (place / "whole").exists():
        place.mkdir(exist_ok=True)
        names = ["--wildcards", "./boot/vmlinuz-*", "./usr/bin/busybox", *(f"*/{m}.ko*" for m in guestfiles.MODULES)]
        process.run("tar", "-xf", str(tar), "-C", str(place), *names, timeout=SECONDS)
        (place / "whole").touch()
    return guestfiles.kit(place)


def lean(baked: Baked, parts: Kit, note: Callable[[str], None]) -> Path:
    """The lean machine's disk: the archive and four small files."""
    return _disk("lean", baked, [("", baked.archive)], guestfiles.lean_files(baked, parts), {}, note)


def naive(baked: Baked, note: Callable[[str], None]) -> Path:
    """The ordinary machine's disk: the cloud root, with the archive under ENGINE_ROOT."""
    wants = "/etc/systemd/system/multi-user.target.wants"
    links = {
        f"{wants}/{unit}": f"/etc/systemd/system/{unit}" for unit in ("database.service", "density-probe.service")
    }
    links[f"{wants}/systemd-networkd.service"] = "/usr/lib/systemd/system/systemd-networkd.service"
    return _disk(
        "naive",
        baked,
        [("", guest_root(note)), (ENGINE_ROOT, baked.archive)],
        guestfiles.naive_files(baked),
        links,
        note,
    )


def overlay(base: Path, target: Path) -> None:
    """A copy-on-write disk over ``base`` (raw or qcow2)."""
    form = "qcow2" if base.suffix == ".qcow2" else "raw"
    process.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", form, str(target), timeout=60)


def _disk(
    name: str,
    baked: Baked,
    layers: list[tuple[str, Path]],
    files: dict[str, bytes],
    links: dict[str, str],
    note: Callable[[str], None],
) -> Path:
    recipe = [VERSION, [(at, tar.name) for at, tar in layers], links]
    content = hashlib.sha256(json.dumps(recipe).encode())
    for path, data in sorted(files.items()):
        content.update(path.encode() + b"\0" + data)
    disk = folder() / f"{name}-{baked.engine.name}-{content.hexdigest()[:16]}.raw"
    if disk.exists():
        return disk
    note(f"making the {name} disk of {baked.engine.name}")
    tree = disk.with_suffix(".tree")
    extra = disk.with_suffix(".extra.tar")
    partial = disk.with_suffix(".partial")
    try:
        _extra(extra, files, links)
        process.run(*process.as_root("rm", "-rf", tree))
        for at, tar in [*layers, ("", extra)]:
            target = tree / at.lstrip("/")
            process.run(*process.as_root("mkdir", "-p", target))
            process.run(*process.as_root("tar", "-xf", tar, "-C", target, "--numeric-owner"), timeout=SECONDS)
        used = int(process.run(*process.as_root("du", "-sxB1", tree)).stdout.split()[0])
        size = f"{(used + ROOM) * 11 // 10 // 1024}K"
        partial.unlink(missing_ok=True)
        process.run(
            *process.as_root("mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", tree, partial, size), timeout=SECONDS
        )
        partial.replace(disk)
    finally:
        process.run(*process.as_root("rm", "-rf", tree, extra, partial))
    return disk


def _extra(path: Path, files: dict[str, bytes], links: dict[str, str]) -> None:
    with tarfile.open(path, "w") as tar:
        for name in ("proc", "sys", "dev", "tmp", "run"):
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(f".{name}")
            member.size, member.mode, member.mtime = len(data), 0o755, LATE
            tar.addfile(member, io.BytesIO(data))
        for name, target in links.items():
            member = tarfile.TarInfo(f".{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
