"""Virtual machines for databases: started, asked, saved as a template, cloned, ended."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen  # noqa: TID251 - the type of what lab.core.process gives

from lab.build.qemu import KVM, TCG
from lab.core import process, waits
from lab.core.errors import CheckFailed
from lab.core.ssh import free_port
from lab.density.bake import Baked
from lab.density.host import procfs
from lab.density.host.cgroup import Budget
from lab.density.host.journal import Journal
from lab.density.vm import disks, guestfiles, qemu
from lab.density.vm.guestfiles import TOOLS
from lab.density.vm.qemu import Files, Kind, Monitor
from lab.doctor import kvm

SAVE_SECONDS = 60.0
SHM = Path("/dev/shm")
RAM, STATE = "ram", "state"
"""A template's two files."""

_LEAN = f"quiet density.next={TOOLS}/init"
NAIVE = Kind("vm", "q35", 1024, 1, "memory-backend-ram", ("virtio-balloon-pci",), "density.next=/sbin/init", 128)
"""The smallest flavor that clouds commonly offer, with Nova's defaults: a balloon, no merging, no reporting.

It runs so much code while it boots that a cache of 32 MiB makes that half as long again.
"""
LEAN = Kind(
    "vm-lean", "q35", 192, 1, "memory-backend-ram,merge=on", ("virtio-balloon-pci,free-page-reporting=on",), _LEAN
)
TEMPLATE = Kind("vm-clone", "q35", 192, 1, "memory-backend-file,mem-path={path},share=on", (), _LEAN)
CLONE = Kind("vm-clone", "q35", 192, 1, "memory-backend-file,mem-path={path},share=off", (), _LEAN)


@dataclass
class Machine:
    """A running virtual machine; ``port`` is its database's on 127.0.0.1."""

    child: Popen[str]
    files: Files
    kind: Kind
    port: int
    probe: socket.socket

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self.child.pid

    def dead(self) -> str | None:
        """Why it is gone: QEMU's last words; None while it runs."""
        if self.child.poll() is None:
            return None
        words = process.tail(self.files.folder / "qemu.log", 2) or process.tail(self.files.console, 2)
        return f"QEMU ended with {self.child.returncode}: {words}"

    def end(self) -> None:
        """End it, and remove its disk."""
        self.probe.close()
        process.stop(self.child)
        shutil.rmtree(self.files.folder, ignore_errors=True)


class Machines:
    """Makes machines in a run's folder. ``accelerator`` is what booted here, not what a device file promises."""

    def __init__(self, journal: Journal, note: Callable[[str], None]) -> None:
        """Raises: CommandFailed, DiskFull, TimedOut."""
        self._journal = journal
        self._note = note
        self._count = 0
        self.kit = disks.kit(note)
        self.initrd = journal.folder / "initramfs"
        self.initrd.write_bytes(guestfiles.initramfs(self.kit))
        proof = kvm.usable(self.kit.kernel)
        self.accelerator = KVM if proof.works else TCG
        # the same with each start of a run, which is held to what it began with
        self.why = "a kernel booted with it" if proof.works else proof.why

    @property
    def emulated(self) -> bool:
        """Whether processor figures of machines are an emulator's."""
        return self.accelerator == TCG

    def disk(self, kind: Kind, baked: Baked) -> Path:
        """The base disk of that kind."""
        return disks.naive(baked, self._note) if kind is NAIVE else disks.lean(baked, self.kit, self._note)

    def start(
        self, kind: Kind, base: Path, guest_port: int, budget: Budget | None, *extra: str, ram: Path | None = None
    ) -> Machine:
        """Order a machine on a new overlay of ``base``. Its memory is charged to ``budget`` from the first page."""
        self._count += 1
        folder = self._journal.folder / f"{kind.name}-{self._count}"
        folder.mkdir()
        files = Files(self.kit.kernel, self.initrd, folder / "disk.qcow2", folder, ram)
        disks.overlay(base, files.disk)
        port = free_port()
        words = qemu.argv(kind, files, self.accelerator, port, guest_port, *extra)
        if budget:
            words = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(budget.procs), *words]
        child = process.spawn(*words, log=folder / "qemu.log", outlives_us=True)
        self._journal.process(child.pid)
        try:
            probe = qemu.connect(files.probe, fatal=lambda: _words(child, folder))
        except BaseException:
            process.stop(child)
            raise
        return Machine(child, files, kind, port, probe)

    def save(self, template: Machine, state: Path) -> Path:
        """Stop a running template and keep its device state; its RAM stays where it is. Gives its disk."""
        monitor = Monitor(template.files.monitor)
        monitor.do("stop")
        monitor.do("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
        monitor.do("migrate", uri=f"exec:cat > {state}")
        waits.until(
            "the template to be saved",
            lambda: _migrated(monitor),
            seconds=SAVE_SECONDS,
            every=0.1,
        )
        monitor.do("quit")
        monitor.close()
        template.child.wait(SAVE_SECONDS)
        template.probe.close()
        return template.files.disk

    def clone(self, base: Path, template: Path, guest_port: int, budget: Budget | None) -> Machine:
        """A machine that goes on where the template stopped; its RAM is the template's until it writes."""
        machine = self.start(CLONE, base, guest_port, budget, "-incoming", "defer", ram=template / RAM)
        try:
            monitor = Monitor(machine.files.monitor)
            monitor.do("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
            monitor.do("migrate-incoming", uri=f"exec:cat {template / STATE}")
            waits.until(
                "the clone to be loaded",
                lambda: monitor.do("query-status")["status"] != "inmigrate",
                seconds=SAVE_SECONDS,
                every=0.02,
                fatal=machine.dead,
            )
            # it was saved stopped, and would stay so
            monitor.do("cont")
            monitor.close()
        except BaseException:
            machine.end()
            raise
        return machine


def guest(machine: Machine) -> tuple[dict[str, int], procfs.Share] | None:
    """The guest's /proc/meminfo and its database's share, in bytes; None if the guest does not answer."""
    told = qemu.ask(machine.probe)
    if told is None:
        return None
    head, *rollups = told.split("[rollup]")
    total = procfs.Share()
    for text in rollups:
        total += procfs.parse_rollup(text)
    return procfs.parse_meminfo(head), total


def _migrated(monitor: Monitor) -> bool:
    answer = monitor.do("query-migrate")
    if answer.get("status") in ("failed", "cancelled"):
        raise CheckFailed("the template's saved state", str(answer.get("error-desc", answer["status"])))
    return bool(answer.get("status") == "completed")


def _words(child: Popen[str], folder: Path) -> str | None:
    return None if child.poll() is None else process.tail(folder / "qemu.log", 2) or f"exit code {child.returncode}"
