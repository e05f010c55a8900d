"""The lab's SSH key pair and its list of known hosts."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lab.core.home import Home
from lab.core.state import write_atomically


@dataclass(frozen=True)
class KeyPair:
    """OpenSSH's text forms of an ed25519 pair."""

    private: str
    public: str


def generate(comment: str) -> KeyPair:
    """A new pair."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return KeyPair(private, f"{public} {comment}")


def pair(home: Home, name: str = "id_ed25519") -> KeyPair:
    """The lab's pair of that name, made at first use; files ``NAME`` (0600) and ``NAME.pub`` in the lab's home."""
    private, public = home.path / name, home.path / f"{name}.pub"
    if not private.exists() or not public.exists():
        made = generate(f"trove-lab-{home.name}")
        write_atomically(private, made.private, 0o600)
        write_atomically(public, made.public + os.linesep, 0o644)
    return KeyPair(private.read_text(), public.read_text().strip())


def know(home: Home, host: str, port: int, public: str) -> None:
    """Make ``public`` (``ssh-ed25519 AAAA…``) the one key that we accept at ``host``:``port``."""
    kind, key = public.split()[:2]
    where = host if port == 22 else f"[{host}]:{port}"
    write_atomically(home.path / "known_hosts", f"{where} {kind} {key}\n", 0o600)
