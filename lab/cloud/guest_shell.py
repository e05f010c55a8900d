"""The way into a guest: SSH through the machine, its host keys read from its console."""

from __future__ import annotations

import re
from typing import Any

from openstack.connection import Connection

from lab.core.errors import CheckFailed
from lab.core.home import Home
from lab.core.ssh import Address, Remote
from lab.core.state import write_atomically

USER = "debian"
MGMT = "trove-mgmt"
HOST_KEYS = re.compile(r"BEGIN SSH HOST KEY KEYS-----\n(.*?)-----END", re.DOTALL)
"""What cloud-init writes on the console."""


def console(admin: Connection, server: Any) -> str:
    """What a server's console has said so far."""
    return admin.compute.get_server_console_output(server)["output"] or ""


def address(server: Any) -> str | None:
    """The server's address on Trove's management network; None where it has no leg there."""
    leg = next(iter((server.addresses or {}).get(MGMT, [])), None)
    return str(leg["addr"]) if leg else None


def shell(home: Home, machine: Remote, to: str, said: str) -> Remote:
    """Commands in the guest at ``to``, whose console has ``said`` its host keys. Raises: CheckFailed."""
    keys = HOST_KEYS.search(said)
    if keys is None:
        raise CheckFailed("the guest's host keys", "its console does not show them (yet)")
    known = home.path / "guest_known_hosts"
    write_atomically(known, "".join(f"{to} {line}\n" for line in keys[1].splitlines() if line.startswith("ssh-")))
    return Remote(Address(to, 22, USER, home.path / "id_ed25519", known, via=machine.address))
