"""Whether KVM boots a kernel: by booting one. Processor flags and /dev/kvm were seen where no kernel booted."""

from __future__ import annotations

import functools
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.build import elf, initrd, qemu
from lab.core import process
from lab.core.errors import LabError, TimedOut
from lab.core.home import KERNELS, cache

DEVICE = Path("/dev/kvm")
WORDS = "lab-kernel-boots"
BOOT_SECONDS = 10.0
"""A proof takes about a second where KVM works; under plain emulation the same boot was seen to take 3 s."""


@dataclass(frozen=True)
class Proof:
    """``works``: a kernel reached its first program (True), did not (False), or there was no way to try (None)."""

    works: bool | None
    why: str


def prove(seconds: float = BOOT_SECONDS, kernel: Path | None = None) -> Proof:
    """Boot ``kernel``, or one of this host's, under KVM, with a program of 150 bytes as all its user space."""
    if not DEVICE.exists():
        return Proof(False, "there is no /dev/kvm")
    if not process.have(qemu.PROGRAM):
        return Proof(None, "/dev/kvm is there, but not yet QEMU to try it")
    with tempfile.TemporaryDirectory(prefix="trove-lab-kvm-") as name:
        kernel = kernel or _readable_kernel(Path(name))
        if kernel is None:
            return Proof(None, "/dev/kvm is there, but not yet a kernel to boot with it")
        initrd = Path(name) / "initrd"
        initrd.write_bytes(initramfs())
        return boot(kernel, initrd, qemu.KVM, seconds)


@functools.cache
def usable(kernel: Path | None = None) -> Proof:
    """The same for programs of this user's, which start QEMU themselves; tried once in a process."""
    if DEVICE.exists() and not os.access(DEVICE, os.R_OK | os.W_OK):
        return Proof(False, f"this user may not open {DEVICE}")
    return prove(kernel=kernel)


def boot(kernel: Path, initrd: Path, accelerator: str, seconds: float) -> Proof:
    """Boot ``kernel`` with ``initrd`` and look for its words on the serial console."""
    words = [*qemu.machine(accelerator, memory=256), *qemu.kernel(kernel, initrd, "quiet"), "-serial", "stdio"]
    if accelerator == qemu.KVM and not os.access(DEVICE, os.R_OK | os.W_OK):
        words = process.as_root(*words)  # Docker and libvirt will use it as root, too
    try:
        ended = process.run(*words, check=False, timeout=seconds)
    except TimedOut:
        return Proof(False, f"a kernel does not boot with it ({kernel.name}: nothing in {seconds:.0f} s)")
    except LabError as error:
        return Proof(None, error.cause)
    if WORDS in ended.stdout:
        return Proof(True, f"{kernel.name} booted in {ended.seconds:.1f} s")
    said = (ended.stderr or ended.stdout).strip().splitlines()
    return Proof(False, f"a kernel does not boot with it: {said[0][:160] if said else f'exit code {ended.code}'}")


def kernels() -> list[Path]:
    """Kernel files that this host has: its own, and those that the lab unpacked for guests; newest first."""
    found = [p for p in Path("/boot").glob("vmlinuz*") if p.is_file()]
    found += [p for p in (cache() / KERNELS).glob("vmlinuz*") if p.is_file()]
    return sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)


def initramfs() -> bytes:
    """A cpio archive (newc) with a console and an /init that says its words and powers off."""
    members = {
        "dev": initrd.directory(),
        "dev/console": initrd.console(),
        "init": initrd.file(_program(), 0o755),
    }
    return initrd.archive(members)


def _program() -> bytes:
    """A static x86-64 ELF file: write(1, WORDS), reboot(RB_AUTOBOOT), which ends a QEMU with -no-reboot."""
    text = f"{WORDS}\n".encode()

    def mov(opcode: int, value: int) -> bytes:
        return bytes([opcode]) + struct.pack("<I", value)

    eax, edx, esi, edi, syscall = 0xB8, 0xBA, 0xBE, 0xBF, b"\x0f\x05"
    code = mov(eax, 1) + mov(edi, 1) + mov(esi, elf.DATA) + mov(edx, len(text)) + syscall
    # the two magic numbers and the command of reboot(2)
    code += mov(eax, 169) + mov(edi, 0xFEE1DEAD) + mov(esi, 0x28121969) + mov(edx, 0x01234567) + syscall
    return elf.executable(code, text)


def _readable_kernel(scratch: Path) -> Path | None:
    """The newest kernel; a copy where only root may read it (Ubuntu) and sudo asks nothing."""
    for kernel in kernels():
        if os.access(kernel, os.R_OK):
            return kernel
        copy = scratch / kernel.name
        if process.run(*process.as_root("install", "-m", "644", kernel, copy), check=False).ok:
            return copy
    return None
