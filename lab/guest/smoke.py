"""The smoke guest's recipe: Debian's cloud kernel and busybox on a small bootable disk, nothing else."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from lab import process
from lab.guest.disk import Disk
from lab.guest.key import content
from lab.home import KERNELS, PROJECT, cache
from lab.machine import rootfs
from lab.waits import Note

FOLDER = PROJECT / "images" / "smoke"
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
CODE = (Path(__file__), Path(__file__).with_name("disk.py"), PROJECT / "images" / "initrd-init")


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
        return content(FOLDER, json.dumps(asdict(self._rootfs)), *CODE)

    def build(self, target: Path, note: Note, log: Path, seconds: float) -> None:
        """Write the qcow2. Raises: CommandFailed, DiskFull, TimedOut."""
        work = Path(tempfile.mkdtemp(prefix="smoke-", dir=cache()))
        try:
            full, small = work / "full", work / "small"
            note("unpacking a kernel and busybox (mmdebstrap)")
            rootfs.make(self._rootfs, full, log, seconds)
            note("making the disk image")
            process.run(*process.as_root("sh", FOLDER / "tree.sh", full, small), log=log)
            disk = Disk(small, "smoke", SIZE_MIB, "console=ttyS0 quiet", log, tools=full, modules=NETWORK_MODULES)
            disk.build(target)
            _keep_kernel(full)
        finally:
            process.run(*process.as_root("rm", "-rf", work))


def _keep_kernel(full: Path) -> None:
    """Leave the kernel in the cache, where the doctor looks for one to try KVM with."""
    folder = cache() / KERNELS
    folder.mkdir(exist_ok=True)
    for kernel in (full / "boot").glob("vmlinuz-*"):
        shutil.copyfile(kernel, folder / kernel.name)
