"""QEMU's command line, as far as every machine has the same that is started here without a cloud."""

from __future__ import annotations

from pathlib import Path

from lab.core.process import Argument

PROGRAM = "qemu-system-x86_64"
KVM, TCG = "kvm", "tcg"
"""The accelerators: the processor's own virtualisation, and emulation."""


def machine(
    accelerator: str, *, memory: int, cpus: int = 1, cache: int = 256, without: str = "cx16"
) -> list[Argument]:
    """A machine without a display, which ends where it would reboot. ``memory`` and ``cache`` are in MiB.

    An emulated processor is a plain one, ``without`` a feature besides: cmpxchg16b corrupts the flags under QEMU
    7.2's emulation, and a kernel that finds it uses it. ``cache`` is what is translated for it: QEMU >= 5.0 lets that
    grow to 1 GiB.
    """
    processor = {
        KVM: ["-accel", KVM, "-cpu", "host"],
        TCG: ["-accel", f"{TCG},thread=multi,tb-size={cache}", "-cpu", f"qemu64,-{without}"],
    }
    return [PROGRAM, *processor[accelerator], "-m", str(memory), "-smp", str(cpus), "-display", "none", "-no-reboot"]


def kernel(image: Path, initrd: Path, append: str = "") -> list[Argument]:
    """A kernel started without a loader, on a machine with no devices but those that are added; a panic ends it."""
    words = f"console=ttyS0 panic=-1 {append}".strip()
    return ["-nodefaults", "-no-user-config", "-kernel", image, "-initrd", initrd, "-append", words]
