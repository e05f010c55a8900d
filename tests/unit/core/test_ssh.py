"""The SSH door against a server of paramiko's own: what a far end that says nothing is taken for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_FAILED_CONNECT_FAILED

from lab.core import ssh
from lab.core.errors import SshFailed
from lab.core.ssh import Address, Remote


class Silent(paramiko.ServerInterface):
    """Lets everyone in, and never says whether a connection onwards was made."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.on_channel: Callable[[], object] = self.ended.wait

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self.on_channel()
        return OPEN_FAILED_CONNECT_FAILED


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[Remote, Silent, paramiko.Transport]]:
    """A connected Remote, what it talks to, and the server's end of the connection."""
    host_key, server = paramiko.RSAKey.generate(2048), Silent()
    host_key.write_private_key_file(str(tmp_path / "key"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (tmp_path / "hosts").write_text(f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}\n")
        accepted: list[paramiko.Transport] = []

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(host_key)
            accepted.append(transport)
            transport.start_server(server=server)

        threading.Thread(target=serve, daemon=True).start()
        door = Remote(Address("127.0.0.1", port, "root", tmp_path / "key", tmp_path / "hosts"))
        door._connection()
        yield door, server, accepted[0]
        server.ended.set()
        door.close()
        accepted[0].close()


def test_a_far_end_that_says_nothing_is_no_failure_of_ssh(
    silent: tuple[Remote, Silent, paramiko.Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    door, _, _ = silent
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.2)
    with pytest.raises(TimeoutError, match=r"^192\.0\.2\.1:3306 did not answer within 0\.2 s$"):
        door.channel("192.0.2.1", 3306).__enter__()


def test_a_machine_that_goes_away_meanwhile_is_one(
    silent: tuple[Remote, Silent, paramiko.Transport],
) -> None:
    door, server, theirs = silent
    server.on_channel = theirs.close
    with pytest.raises(SshFailed):
        door.channel("192.0.2.1", 3306).__enter__()


def test_a_refusal_is_the_far_ends(silent: tuple[Remote, Silent, paramiko.Transport]) -> None:
    door, server, _ = silent
    server.ended.set()
    with pytest.raises(ConnectionRefusedError, match=r"192\.0\.2\.1:3306"):
        door.channel("192.0.2.1", 3306).__enter__()
