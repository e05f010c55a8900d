"""The warm image: a lab's machine with its cloud installed, committed so that the next ``up`` starts from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lab.containers import client, volumes
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.core.waits import Note
from lab.machine.docker import DockerMachine

REPOSITORY = "trove-lab/warm"
SOURCES = ("lab/install", "lab/lifecycle/assembly.py", "lab/guest/guests.py", "lab/machine")
"""What decides how the cloud in the image was made."""


def tag(home: Home, *made_of: str) -> str:
    """The tag that a warm image of this lab has, if there is one.

    It depends on the images it was ``made_of``, on the code that installed it, and on the lab's secrets, which are
    in it.
    """
    digest = hashlib.sha256()
    for part in made_of:
        digest.update(part.encode() + b"\0")
    for source in SOURCES:
        for file in _files(RESOURCES / source):
            digest.update(file.read_bytes() + b"\0")
    digest.update(home.secrets["machine"].encode())
    return f"{REPOSITORY}:{home.name}-{digest.hexdigest()[:16]}"


def commit(home: Home, machine: DockerMachine, wanted: str, note: Note) -> None:
    """Commit the machine under ``wanted``, and let go of the lab's earlier warm images."""
    machine.commit(wanted, client.SHARED, note)
    client.remove_tags(_any(home), but=wanted)
    volumes.remove(volumes.beside(_any(home)), but=volumes.beside(wanted))


def there(home: Home) -> list[str]:
    """The tags of the lab's warm images."""
    return client.tags(_any(home))


def forget(home: Home) -> None:
    """Remove the lab's warm images and what lies beside them."""
    client.remove_tags(_any(home))
    volumes.remove(volumes.beside(_any(home)))


def _any(home: Home) -> str:
    """A pattern for the tag of any warm image of the lab; another lab's name may begin with this one's."""
    return f"{REPOSITORY}:{home.name}-[0-9a-f]{{16}}"


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
