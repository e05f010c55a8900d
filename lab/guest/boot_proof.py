"""The boot proof: a guest image is booted in QEMU and watched on its console, before any cloud is asked to."""

from __future__ import annotations

import contextlib
import re
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.build import qemu
from lab.core import process, waits
from lab.core.home import cache
from lab.core.job import Job
from lab.core.units import GIB
from lab.doctor import kvm
from lab.guest import configdrive

LAST_LINES = 12
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
MAC = "52:54:00:12:34:56"
HOST_IN_GUEST = "10.0.2.2"
"""QEMU's user network: the host's loopback as the guest sees it."""
DATA_BYTES = GIB
"""Of the sparse disk for the databases' data: the agent formats and mounts it before it dials."""
AMQP = b"AMQP"
"""How a message queue's client introduces itself: the agent has started, read its files and dialled."""


@dataclass(frozen=True)
class Boot:
    """A guest under way, and the file of its console."""

    child: process.Spawned
    log: Path

    def console(self) -> str:
        """Everything on the serial console, without terminal escapes."""
        return ESCAPES.sub("", self.log.read_text(errors="replace"))

    def last(self) -> str:
        """The console's last lines."""
        return "\n".join([line for line in self.console().splitlines() if line.strip()][-LAST_LINES:])

    def ended(self) -> str | None:
        """Why it can no longer come up, if that is so."""
        words = self.console()
        if (code := self.child.poll()) is not None:
            # 0 is a guest that reset (-no-reboot), a negative number the signal
            return f"QEMU ended with {code}; the console said last:\n{self.last()}"
        for fatal in ("Kernel panic", "initrd: ", "emergency mode", "error: no such device", "No bootable device"):
            if fatal in words:
                return f"{fatal!r} on the console, which said last:\n{self.last()}"
        return None


@contextlib.contextmanager
def machine(image: Path, log: Path, *, memory: int, extra: list[process.Argument]) -> Iterator[Boot]:
    """QEMU with ``image`` (left unchanged), its serial console in ``log``; ended at the end, whatever happens."""
    log.write_text("")
    words: list[process.Argument] = [
        *qemu.machine(qemu.KVM if kvm.usable().works else qemu.TCG, memory=memory),
        *("-monitor", "none", "-serial", f"file:{log}"),
        *("-drive", f"file={image},if=virtio,format=qcow2,snapshot=on"),
        *("-device", f"virtio-net-pci,netdev=n0,mac={MAC}", "-device", "virtio-rng-pci"),
        *extra,
    ]
    # snapshot=on writes what the guest changes to TMPDIR, which in memory is too small on many hosts
    child = process.spawn(*words, log=log.with_suffix(".qemu.log"), env={"TMPDIR": str(cache())})
    try:
        yield Boot(child, log)
    finally:
        process.stop(child)


def trove_guest(image: Path, job: Job) -> None:
    """Boot the Trove guest with a config drive as Trove's, until its agent dials the message queue.

    Raises: GaveUp, TimedOut; both tell what the console said last.
    """
    with socket.create_server(("127.0.0.1", 0)) as queue, tempfile.TemporaryDirectory(dir=cache()) as folder:
        queue.settimeout(0.2)
        drive = Path(folder) / "config.iso"
        configdrive.write(
            drive, uuid=str(uuid.uuid4()), hostname="proof", mac=MAC, data=_agent_files(queue.getsockname()[1])
        )
        data = Path(folder) / "data.raw"
        with data.open("wb") as file:
            file.truncate(DATA_BYTES)
        extra: list[process.Argument] = [
            *("-drive", f"file={data},if=virtio,format=raw"),
            *("-drive", f"file={drive},if=ide,media=cdrom,readonly=on"),
            *("-netdev", "user,id=n0"),
        ]
        with machine(image, _console(job.log), memory=1024, extra=extra) as boot:
            _await("the guest agent's call to the message queue", lambda: _dialled(queue), boot, job)


def smoke_guest(image: Path, job: Job) -> None:
    """Boot the smoke guest until it has an address: nobody gives it metadata here. Raises: GaveUp, TimedOut."""
    extra: list[process.Argument] = ["-netdev", "user,id=n0"]
    with machine(image, _console(job.log), memory=128, extra=extra) as boot:
        _await("the smoke guest's address", lambda: "smoke guest up at 10.0.2.15" in boot.console(), boot, job)


def _await(what: str, probe: Callable[[], bool], boot: Boot, job: Job) -> None:
    waits.until(
        what,
        probe,
        seconds=job.seconds,
        setting="--guest-timeout",
        every=0.5,
        fatal=boot.ended,
        describe=lambda: (boot.last().splitlines() or ["nothing on the console yet"])[-1][:100],
        note=job.note,
        log=boot.log,
    )


def _dialled(queue: socket.socket) -> bool:
    try:
        caller, _ = queue.accept()
    except TimeoutError:
        return False
    with caller:
        caller.settimeout(20)
        return caller.recv(8).startswith(AMQP)


def _console(log: Path) -> Path:
    return log.with_name(f"{log.stem}-console.log")


def _agent_files(port: int) -> str:
    """The two files that Trove's taskmanager sends to a MariaDB guest, with our own message queue."""
    info = (
        f"[DEFAULT]\nguest_id={uuid.uuid4()}\ndatastore_manager=mariadb\ndatastore_version=11.8\ntenant_id=proof\n"
        "datastore_registry_ext=mariadb:trove.guestagent.datastore.mariadb.manager.Manager\n"
        "network_isolation=False\n"
    )
    agent = f"[DEFAULT]\ntransport_url = rabbit://proof:proof@{HOST_IN_GUEST}:{port}/\ncontrol_exchange = trove\n"
    agent += "volume_fstype = ext4\n"
    folder = "/etc/trove/conf.d"
    return configdrive.user_data(
        {f"{folder}/guest_info.conf": info, f"{folder}/trove-guestagent.conf": agent}, "trove:trove"
    )
