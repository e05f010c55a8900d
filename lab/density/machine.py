"""Virtual machines for databases: disks made from the baked archive, started, asked, cloned, ended."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess  # noqa: TID251 - only the type of what lab.process gives
from dataclasses import dataclass
from pathlib import Path

from lab import process, waits
from lab.density import disks, guestfiles, qemu
from lab.density.bake import Baked
from lab.density.cgroup import Budget
from lab.density.guestfiles import READY, Kit
from lab.density.journal import Journal
from lab.errors import GaveUp, TimedOut
from lab.remote import free_port

PROBE_SECONDS = 25.0
SAVE_SECONDS = 60.0

NAIVE = qemu.Kind(
    "vm", "q35", 1024, 1, "memory-backend-ram", ("virtio-balloon-pci",), "root=/dev/vda rw"
)
"""What a cloud makes of its smallest common flavor; Nova gives every guest a balloon and no merging."""
LEAN = qemu.Kind(
    "vm-lean", "q35", 192, 1, "memory-backend-ram,merge=on", ("virtio-balloon-pci,free-page-reporting=on",), "quiet"
)
TEMPLATE = qemu.Kind("vm-clone", "q35", 192, 1, "memory-backend-file,mem-path={path},share=on", (), "quiet")
CLONE = qemu.Kind("vm-clone", "q35", 192, 1, "memory-backend-file,mem-path={path},share=off", (), "quiet")
SHM = Path("/dev/shm")  # noqa: S108 - the template's RAM has to be memory
