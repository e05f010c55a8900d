"""One SSH connection to a lab's machine that leads to as many instances as wanted, each by a port on loopback."""

from __future__ import annotations

from pathlib import Path
from subprocess import Popen  # noqa: TID251 - the type of what lab.core.process gives

from lab.core import process, waits
from lab.core.ssh import Address, free_port
from lab.density.host.journal import Journal

SECONDS = 30.0


class Tunnel:
    """Open from its making on; ``close`` ends it and every way through it. Raises: GaveUp, TimedOut."""

    def __init__(self, address: Address, journal: Journal) -> None:
        self._address = address
        self._socket = journal.folder / "ssh"
        self._log = journal.folder / "ssh.log"
        self._child: Popen[str] = process.spawn(*address.ssh_argv("-N", "-M", "-S", str(self._socket)), log=self._log)
        journal.process(self._child.pid)
        waits.until(
            "SSH to the lab's machine",
            self._socket.exists,
            seconds=SECONDS,
            every=0.1,
            fatal=self._dead,
            log=self._log,
        )

    def to(self, host: str, port: int) -> int:
        """The port on 127.0.0.1 that leads to ``host:port`` beyond the machine. Raises: CommandFailed."""
        here = free_port()
        forward = ("-S", str(self._socket), "-O", "forward", "-L", f"127.0.0.1:{here}:{host}:{port}")
        process.run(*self._address.ssh_argv(*forward), timeout=SECONDS)
        return here

    def close(self) -> None:
        """Hang up."""
        process.stop(self._child)
        Path(self._socket).unlink(missing_ok=True)

    def _dead(self) -> str | None:
        return None if self._child.poll() is None else process.tail(self._log, 2) or "ssh ended"
