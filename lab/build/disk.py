"""Bootable disk images without loop device, NBD or mount: MBR, one ext4 file system, GRUB in the gap before it."""

from __future__ import annotations

import lzma
import struct
from dataclasses import dataclass
from pathlib import Path

from lab.build import initrd
from lab.core import process
from lab.core.errors import BadFile
from lab.core.job import Job
from lab.core.resources import RESOURCES

SECTOR = 512
FIRST_SECTOR = 2048
"""Where the partition begins: 1 MiB, the usual gap, holds GRUB's core image."""
MODULES = ("virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ata_piix", "sr_mod", "isofs")
"""Kernel modules that the initial RAM disk loads: disks of all hypervisors, and the config drive's CD-ROM."""
INIT = RESOURCES / "images" / "initrd-init"
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "normal")


@dataclass(frozen=True)
class Disk:
    """What a disk is made of: a root file system's tree, its label, its size in MiB, the kernel's command line.

    ``tools`` is the tree with kernel modules, GRUB and busybox, normally the same; ``modules`` go into the initial
    RAM disk beside those of disks.
    """

    root: Path
    label: str
    size: int
    command_line: str
    job: Job
    tools: Path
    modules: tuple[str, ...] = ()

    def build(self, target: Path) -> None:
        """Write the zstd-compressed qcow2 ``target``. Raises: CommandFailed, DiskFull, BadFile."""
        kernel = self._kernel()
        self._install(f"boot/initrd.img-{kernel}", self._initrd(kernel))
        self._install("boot/grub/grub.cfg", self._grub_cfg(kernel).encode())
        early = b"set root=(hd0,msdos1)\nset prefix=(hd0,msdos1)/boot/grub\n"
        self._install("boot/grub/early.cfg", early, self.tools)
        self._install("etc/fstab", f"LABEL={self.label} / ext4 rw,noatime 0 0\n".encode())
        self._as_root(
            "chroot",
            self.tools,
            "grub-mkimage",
            "--format=i386-pc",
            "--output=/boot/grub/core.img",
            "--config=/boot/grub/early.cfg",
            "--prefix=(hd0,msdos1)/boot/grub",
            *GRUB_MODULES,
        )
        raw = target.with_suffix(".raw")
        try:
            self._file_system(raw)
            boot, core = (self.tools / p for p in ("usr/lib/grub/i386-pc/boot.img", "boot/grub/core.img"))
            write_boot_sectors(raw, boot.read_bytes(), core.read_bytes())
            self.job.run(
                *("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd"),
                raw,
                target,
            )
        finally:
            raw.unlink(missing_ok=True)

    def _kernel(self) -> str:
        versions = sorted(p.name for p in (self.tools / "lib/modules").iterdir())
        if len(versions) != 1:
            raise BadFile(self.tools, f"it has {len(versions)} kernels", "The recipe's packages must bring just one.")
        return versions[0]

    def _initrd(self, kernel: str) -> bytes:
        members = {name: initrd.directory() for name in ("bin", "dev", "proc", "sys", "root")}
        members["dev/console"] = initrd.console()
        members["init"] = initrd.file(INIT.read_bytes(), 0o755)
        members["bin/busybox"] = initrd.file((self.tools / "usr/bin/busybox").read_bytes(), 0o755)
        loaded = modules(self.tools, kernel, MODULES + self.modules)
        members |= {f"{name}.ko": initrd.file(data) for name, data in loaded.items()}
        members["modules"] = initrd.file("".join(f"{name}\n" for name in loaded).encode())
        return initrd.archive(members)

    def _grub_cfg(self, kernel: str) -> str:
        # the terminal's size is given, since systemd would ask the console for it and wait for an answer
        size = " ".join(
            f"systemd.tty.{what}.{tty}={n}"
            for tty in ("console", "ttyS0")
            for what, n in (("rows", 25), ("columns", 80))
        )
        return (
            f"linux /boot/vmlinuz-{kernel} root=LABEL={self.label} rw {self.command_line} {size}\n"
            f"initrd /boot/initrd.img-{kernel}\nboot\n"
        )

    def _file_system(self, raw: Path) -> None:
        with raw.open("wb") as file:
            file.truncate(self.size << 20)
        self._as_root(
            *("mke2fs", "-q", "-t", "ext4", "-L", self.label, "-m", "1"),
            # features that GRUB and older e2fsprogs do not know
            *("-O", "^metadata_csum_seed,^orphan_file" if _knows_orphan_file() else "^metadata_csum_seed"),
            *("-E", f"offset={FIRST_SECTOR * SECTOR},root_owner=0:0", "-d", self.root),
            *(raw, f"{(self.size << 10) - 1024}k"),
        )

    def _install(self, path: str, data: bytes, tree: Path | None = None) -> None:
        target = (tree or self.root) / path
        staged = self.job.log.with_suffix(".part")
        staged.write_bytes(data)
        self._as_root("install", "-D", "-m", "0644", staged, target)
        staged.unlink()

    def _as_root(self, *argv: process.Argument) -> None:
        self.job.as_root(*argv)


def modules(root: Path, kernel: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Kernel modules and what they depend on, in loading order: name to uncompressed bytes."""
    found: dict[str, bytes] = {}
    for name in names:
        listed = process.run(
            *process.as_root("chroot", root, "modprobe", "-S", kernel, "--show-depends", name)
        ).stdout
        for line in listed.splitlines():
            kind, _, path = line.partition(" ")
            module = root / path.strip().lstrip("/")
            if kind == "insmod" and (stem := module.name.split(".")[0]) not in found:
                data = module.read_bytes()
                found[stem] = lzma.decompress(data) if module.suffix == ".xz" else data
    return found


def write_boot_sectors(raw: Path, boot: bytes, core: bytes) -> None:
    """Put GRUB's boot code, a table with one active Linux partition, and GRUB's core image before the file system."""
    if len(core) > (FIRST_SECTOR - 1) * SECTOR:
        raise BadFile(
            raw, f"GRUB's core image has {len(core)} bytes", "It must fit before the partition; see disk.py."
        )
    sectors = raw.stat().st_size // SECTOR
    far = b"\xfe\xff\xff"  # cylinder, head, sector: "look at the sector numbers instead"
    entry = struct.pack("<B3sB3sII", 0x80, far, 0x83, far, FIRST_SECTOR, sectors - FIRST_SECTOR)
    with raw.open("r+b") as file:
        file.write(boot[:440])
        file.seek(446)
        file.write(entry + bytes(48) + b"\x55\xaa" + core)


def _knows_orphan_file() -> bool:
    """e2fsprogs before 1.47 refuses the name of a feature that it does not have."""
    said = process.run("mke2fs", "-V", check=False).stderr
    version = said.split()[1].split(".")[:2] if said.startswith("mke2fs") else ["1", "46"]
    return (int(version[0]), int(version[1])) >= (1, 47)
