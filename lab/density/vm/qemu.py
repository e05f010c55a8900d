"""QEMU's machines: one command line a kind, the monitor (QMP), and where a machine's memory is."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.build import qemu
from lab.core import waits
from lab.core.errors import CheckFailed
from lab.core.process import Argument
from lab.core.units import MIB
from lab.density.host import procfs
from lab.density.vm.guestfiles import END, PORT

WITHOUT = "svm"
"""What an emulated processor lacks: for each feature more a guest loads drivers, slower than doing without."""
EMULATED = "mitigations=off"
"""Said to a guest's kernel under TCG, whose processor knows none of the faults that they guard against."""
SOCKET_SECONDS = 20.0
PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Kind:
    """A machine's shape. ``memory`` in MiB; ``ram`` is QEMU's memory backend with {path} for a file's place."""

    name: str
    machine: str
    memory: int
    cpus: int
    ram: str
    devices: tuple[str, ...]
    append: str
    cache: int = 32
    """TCG's translation cache in MiB: without a limit it would swamp the result (QEMU #693)."""


@dataclass(frozen=True)
class Files:
    """One machine's files."""

    kernel: Path
    initrd: Path
    disk: Path
    folder: Path
    ram: Path | None = None

    @property
    def monitor(self) -> Path:
        """QMP's socket."""
        return self.folder / "monitor.sock"

    @property
    def probe(self) -> Path:
        """The guest probe's socket."""
        return self.folder / "probe.sock"

    @property
    def console(self) -> Path:
        """What the guest prints."""
        return self.folder / "console.log"


def argv(kind: Kind, files: Files, accelerator: str, port: int, guest_port: int, *extra: str) -> list[Argument]:
    """The whole command line of a machine whose ``guest_port`` is ``port`` on this host's loopback."""
    ram = kind.ram.format(path=files.ram)
    # a busy emulator loses the timer interrupts that Linux counts at boot, and Linux panics
    append = f"no_timer_check {EMULATED if accelerator == qemu.TCG else ''} {kind.append}"
    return [
        *qemu.machine(accelerator, memory=kind.memory, cpus=kind.cpus, cache=kind.cache, without=WITHOUT),
        *qemu.kernel(files.kernel, files.initrd, append),
        *("-machine", f"{kind.machine},memory-backend=ram"),
        *("-object", f"{ram},id=ram,size={kind.memory}M"),
        *("-drive", f"if=none,id=disk,file={files.disk},format=qcow2,cache=none,aio=threads"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:{guest_port}"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-chardev", f"socket,id=probe,path={files.probe},server=on,wait=off"),
        *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=probe,name={PORT}"),
        *(word for device in kind.devices for word in ("-device", device)),
        *("-serial", f"file:{files.console}"),
        *("-qmp", f"unix:{files.monitor},server=on,wait=off"),
        *extra,
    ]


class Monitor:
    """One QMP connection. Raises: CheckFailed where QEMU refuses a command."""

    def __init__(self, path: Path) -> None:
        self._socket = connect(path)
        self._file = self._socket.makefile("r", encoding="utf-8")
        self._read()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its answer; events in between are dropped."""
        self._socket.sendall((json.dumps({"execute": command, "arguments": arguments}) + "\n").encode())
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise CheckFailed(f"QEMU's {command}", answer["error"]["desc"])

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise CheckFailed("QEMU's answer", "it closed its monitor")
        answer: dict[str, Any] = json.loads(line)
        return answer


def connect(path: Path, fatal: Callable[[], str | None] | None = None) -> socket.socket:
    """A connection to a Unix socket of a program that is just starting. Raises: TimedOut, CheckFailed."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(PROBE_SECONDS)

    def connected() -> bool:
        link.connect(str(path))
        return True

    waits.until(
        f"QEMU to open {path.name}",
        connected,
        seconds=SOCKET_SECONDS,
        every=0.05,
        fatal=fatal,
        transient=(FileNotFoundError, ConnectionRefusedError),
    )
    return link


def ask(link: socket.socket) -> str | None:
    """What the guest's probe tells now; None if it does not answer (a row then lacks the guest's view)."""
    told = ""
    with contextlib.suppress(OSError):
        link.sendall(b"tell\n")
        while END not in told:
            piece = link.recv(65536)
            if not piece:
                return None
            told += piece.decode(errors="replace")
        return told
    return None


def parts(pid: int, memory: int, cache: int, root: Path = procfs.PROC) -> tuple[dict[str, int], int]:
    """A machine's memory by part, in bytes: guest RAM, TCG's cache, QEMU's own; and its mapped files apart.

    ``memory`` (the guest's) and ``cache`` (TCG's limit) are in MiB.
    The guest's RAM is the one mapping of its size (QEMU gives it no name).
    """
    found = {"guest_ram": 0, "tcg_cache": 0, "vmm": 0}
    files = 0
    held = procfs.share(pid, root) or procfs.Share()
    for one in procfs.mappings(pid, root):
        if one.size >= memory * MIB and one.perms.startswith("rw") and found["guest_ram"] == 0:
            found["guest_ram"] = one.pss
        elif "x" in one.perms and "w" in one.perms and one.size <= 2 * cache * MIB:
            found["tcg_cache"] += one.pss
    files = held.file
    found["vmm"] = max(0, held.held - found["guest_ram"] - found["tcg_cache"])
    return found, files
