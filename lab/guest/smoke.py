"""The smoke guest's recipe: Debian's cloud kernel and busybox on a small bootable disk, nothing else."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from lab.build import archive, rootfs
from lab.build.content_key import content
from lab.build.disk import Disk
from lab.core import process
from lab.core.home import KERNELS, cache
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.guest.sources import SOURCES

FOLDER = RESOURCES / "images" / "smoke"
PACKAGES = (
    "linux-image-cloud-amd64",
    "busybox-static",
    "kmod",
    "grub-pc-bin",
    "grub-common",
    "base-files",
    "dash",
    "coreutils",
)
SIZE_MIB = 64
NETWORK_MODULES = ("virtio_net",)
"""Not in the initial RAM disk of ordinary guests, which have udev."""


@dataclass(frozen=True)
class Recipe:
    """The smoke guest with a Debian suite's kernel."""

    suite: str

    @cached_property
    def _rootfs(self) -> rootfs.Recipe:
        return rootfs.Recipe(self.suite, PACKAGES, rootfs.sources(self.suite), variant="extract", hooks=())

    @cached_property
    def key(self) -> str:
        """Hash of all that it is made from."""
        return content(json.dumps(asdict(self._rootfs)), *SOURCES)

    def build(self, target: Path, job: Job) -> None:
        """Write the qcow2. Raises: CommandFailed, DiskFull, TimedOut."""
        with self._trees(target.with_suffix(".work"), job) as (full, small):
            job.note("making the disk image")
            disk = Disk(small, "smoke", SIZE_MIB, "console=ttyS0 quiet", job, tools=full, modules=NETWORK_MODULES)
            disk.build(target)
            _keep_kernel(full)

    def build_container(self, target: Path, job: Job) -> None:
        """Write the archive for ``docker load``. Raises: CommandFailed, DiskFull, TimedOut."""
        with self._trees(target.with_suffix(".work"), job) as (_, small):
            job.note("making the image archive")
            for name in ("sh", "sleep"):  # the driver's wait for the network runs before init installs the others
                process.run(*process.as_root("ln", "-s", "busybox", small / "bin" / name))
            archive.write(small, target, volumes=[], job=job)

    @contextlib.contextmanager
    def _trees(self, work: Path, job: Job) -> Iterator[tuple[Path, Path]]:
        rootfs.clear(work)
        work.mkdir()
        try:
            full, small = work / "full", work / "small"
            job.note("unpacking a kernel and busybox (mmdebstrap)")
            rootfs.make(self._rootfs, full, job)
            job.as_root("sh", FOLDER / "tree.sh", full, small)
            yield full, small
        finally:
            process.run(*process.as_root("rm", "-rf", "--one-file-system", work))


def _keep_kernel(full: Path) -> None:
    """Leave the kernel in the cache, where the doctor looks for one to try KVM with."""
    folder = cache() / KERNELS
    folder.mkdir(exist_ok=True)
    for kernel in (full / "boot").glob("vmlinuz-*"):
        shutil.copyfile(kernel, folder / kernel.name)
