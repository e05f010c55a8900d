"""The seed disc of a virtual machine: the way our public key and its own host key get in, without the network."""

from __future__ import annotations

import io
from pathlib import Path

import pycdlib

from lab.core.state import write_atomically
from lab.machine.keys import KeyPair

LABEL = "LABSEED"


def write(target: Path, authorized: str, host: KeyPair) -> None:
    """An ISO 9660 image (mode 0600: it holds the machine's private host key) with the files that lab-seed takes."""
    files = {
        "authorized_keys": f"{authorized}\n",
        "ssh_host_ed25519_key": host.private,
        "ssh_host_ed25519_key.pub": f"{host.public}\n",
    }
    write_atomically(target, "", 0o600)
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, rock_ridge="1.09", vol_ident=LABEL)
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        iso.add_fp(io.BytesIO(data), len(data), f"/F{number}.;1", rr_name=name)
    with target.open("wb") as file:
        iso.write_fp(file)
    iso.close()
