"""The one SSH door: Fabric, the lab's own key, and host keys that were read through the provider's channel."""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import fabric
import paramiko
from invoke.exceptions import CommandTimedOut, ThreadException

from lab.core.errors import CommandFailed, SshFailed, TimedOut
from lab.core.process import LAST_LINES, Argument, Finished

CONNECT_SECONDS = 30
Channel = paramiko.Channel
# its threads log what we raise as SshFailed anyway, with a traceback
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


@dataclass(frozen=True)
class Address:
    """Where and as whom: ``known_hosts`` holds the machine's key, ``key`` is our private one, ``via`` a way there."""

    host: str
    port: int
    user: str
    key: Path
    known_hosts: Path
    via: Address | None = None

    def ssh_argv(self, *extra: str) -> list[Argument]:
        """The stock ``ssh`` client's argument list for this machine, host key checked."""
        options = [
            f"UserKnownHostsFile={self.known_hosts}",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
        ]
        words: list[Argument] = ["ssh", "-i", self.key, "-p", str(self.port)]
        for option in options:
            words += ["-o", option]
        return [*words, f"{self.user}@{self.host}", *extra]


def free_port() -> int:
    """A TCP port that is free on 127.0.0.1 at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Remote:
    """Commands and files on a machine. Safe to use from several threads; one connection each."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._local = threading.local()

    def run(
        self,
        *argv: Argument,
        stdin: str | None = None,
        check: bool = True,
        timeout: float | None = None,
        timeout_setting: str = "",
        log: Path | None = None,
        remedy: str = "",
    ) -> Finished:
        """Run one program as root on the machine (``sudo -n`` where we are not root).

        With ``log`` the output is also appended to that file. Raises: CommandFailed, TimedOut, SshFailed.
        """
        words = [str(a) for a in argv]
        prefix = [] if self.address.user == "root" else ["sudo", "-n"]
        line = shlex.join([*prefix, *words])
        sink = log.open("a", encoding="utf-8") if log else None
        try:
            if sink:
                sink.write(f"+ {line}\n")
                sink.flush()
            result = self._connection().run(
                line,
                hide=True,
                warn=True,
                in_stream=_Whole(stdin) if stdin is not None else False,
                timeout=timeout,
            )
            if sink:
                sink.write(result.stdout + result.stderr)
        except CommandTimedOut as late:
            self.close()
            last = late.result.stdout[-500:]
            raise TimedOut(shlex.join(words[:4]), timeout or 0, timeout_setting, last, log) from late
        except ThreadException as error:  # of the thread that writes standard input
            self.close()
            why = f"{words[0]} was gone before it had its input: {error.exceptions[0].value}"
            raise SshFailed(f"{self.address.host}:{self.address.port}", why) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            raise SshFailed(f"{self.address.host}:{self.address.port}", str(error) or repr(error)) from error
        finally:
            if sink:
                sink.close()
        finished = Finished(tuple(words), result.exited, result.stdout, result.stderr, 0.0)
        if check and not finished.ok:
            said = "\n".join((finished.stderr + finished.stdout).splitlines()[-LAST_LINES:])
            raise CommandFailed(shlex.join(words[:6]), finished.code, said, log, remedy)
        return finished

    def script(
        self, text: str, *, check: bool = True, timeout: float | None = None, log: Path | None = None
    ) -> Finished:
        """Run a bash script (``set -euo pipefail``) that travels on standard input, never on a command line."""
        return self.run("bash", "-euo", "pipefail", "-s", stdin=text, check=check, timeout=timeout, log=log)

    def put(self, source: Path, target: str) -> None:
        """Copy a file there (SFTP). Raises: SshFailed."""
        try:
            self._connection().put(str(source), remote=target)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise SshFailed(f"{self.address.host}:{self.address.port}", f"copying {source.name}: {error}") from error

    def get(self, source: str, target: Path) -> None:
        """Copy a file here (SFTP). Raises: SshFailed."""
        try:
            self._connection().get(source, local=str(target))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise SshFailed(f"{self.address.host}:{self.address.port}", f"copying {source}: {error}") from error

    @contextlib.contextmanager
    def channel(self, host: str, port: int) -> Iterator[Channel]:
        """A connection through the machine to ``host:port``, to be used as a socket.

        Raises: ConnectionRefusedError and TimeoutError (the far end's), SshFailed.
        """
        transport = self._connection().transport
        assert transport is not None
        try:
            opened = transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT_SECONDS)
        except paramiko.ChannelException as error:
            raise ConnectionRefusedError(f"{host}:{port}: {error.text}") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            if transport.is_active():  # paramiko says the same of both: here the machine still waits for the far end
                raise TimeoutError(f"{host}:{port} did not answer within {CONNECT_SECONDS} s") from error
            self.close()
            raise SshFailed(f"{self.address.host}:{self.address.port}", str(error) or repr(error)) from error
        with opened:
            yield opened

    def answers(self) -> bool:
        """Whether a command runs there at this moment."""
        try:
            return self.run("true", check=False, timeout=CONNECT_SECONDS).ok
        except (SshFailed, TimedOut):
            return False

    def close(self) -> None:
        """Drop this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _connection(self) -> fabric.Connection:
        if getattr(self._local, "connection", None) is None:
            try:
                connection = _unopened(self.address)
                connection.open()
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise SshFailed(f"{self.address.host}:{self.address.port}", str(error) or repr(error)) from error
            connection.transport.set_keepalive(20)
            self._local.connection = connection
        return self._local.connection


class _Whole(StringIO):
    """Standard input, read at once: Invoke asks for one byte, then sleeps 10 ms: 17 s for a script of 1.7 KB."""

    def read(self, size: int | None = -1, /) -> str:
        return super().read()


def _unopened(address: Address) -> fabric.Connection:
    connection = fabric.Connection(
        address.host,
        user=address.user,
        port=address.port,
        config=fabric.Config(overrides={"load_ssh_configs": False}),
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs={"key_filename": str(address.key), "allow_agent": False, "look_for_keys": False},
        gateway=_unopened(address.via) if address.via else None,
    )
    # Fabric's default is AutoAddPolicy: any host would do
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection.client.load_host_keys(str(address.known_hosts))
    return connection
