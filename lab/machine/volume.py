"""The volume of a machine's own Docker engine: no commit holds it, so a copy lies beside each committed image."""

from __future__ import annotations

import contextlib
import re

from docker.errors import NotFound

from lab import engine
from lab.home import LABEL

SECONDS = 1800


def of(machine: str) -> str:
    """The volume's name."""
    return f"{machine}-docker"


def beside(tag: str) -> str:
    """The name of the copy that goes with the image ``tag``."""
    return re.sub("[/:]", ".", tag)


def there(name: str) -> bool:
    """Whether there is such a volume."""
    with engine.client() as client, contextlib.suppress(NotFound):
        return client.volumes.get(name) is not None
    return False


def copy(source: str, target: str, image: str, label: str) -> None:
    """Make ``target`` (labelled ``trove-lab=label``) what ``source`` is; ``image`` has the tool, cp.

    Nothing may write to ``source`` meanwhile. Raises: CommandFailed.
    """
    remove(re.escape(target))
    with engine.client(SECONDS) as client:
        client.volumes.create(target, labels={LABEL: label})
    engine.output(
        image,
        ["cp", "-a", "/from/.", "/to/"],
        label,
        SECONDS,
        cap_add=["SYS_ADMIN"],  # for the trusted.overlay attributes
        volumes={source: {"bind": "/from", "mode": "ro"}, target: {"bind": "/to", "mode": "rw"}},
    )


def remove(pattern: str, but: str = "") -> None:
    """Remove the volumes whose whole names match ``pattern`` (a regular expression), except ``but``."""
    with engine.client(SECONDS) as client:
        for volume in client.volumes.list():
            if re.fullmatch(pattern, str(volume.name)) and volume.name != but:
                with contextlib.suppress(NotFound):
                    volume.remove(force=True)
