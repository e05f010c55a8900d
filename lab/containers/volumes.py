"""The volume of a machine's own Docker engine: no commit holds it, so a copy lies beside each committed image."""

from __future__ import annotations

import contextlib
import os
import re

from docker.errors import NotFound

from lab.containers import client
from lab.core.home import LABEL

SECONDS = 1800
COPY = r"""
chmod --reference=/from /to
find /from -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t /to {} +
[ -d /from/overlay2 ] || exit 0
mkdir -m 710 /to/overlay2
for path in /from/overlay2/*; do
    name=${path##*/}
    if grep -qrx --include=cache-id "$name" /from/image/overlay2/layerdb/sha256; then
        cp -al "/volumes/$1/overlay2/$name" "/volumes/$2/overlay2/" 2>/dev/null && continue
        rm -rf "/to/overlay2/$name"
    fi
    cp -a "$path" /to/overlay2/
done
"""
"""Nobody writes to an image's layers, so hard links do for them where the file system has such (1.1 GB of a guest's
image); what containers and volumes have is copied. Links need both volumes in one mount."""


def of(machine: str) -> str:
    """The volume's name."""
    return f"{machine}-docker"


def beside(tag: str) -> str:
    """The name of the copy that goes with the image ``tag``."""
    return re.sub("[/:]", ".", tag)


def there(name: str) -> bool:
    """Whether there is such a volume."""
    with client.connect() as daemon, contextlib.suppress(NotFound):
        return daemon.volumes.get(name) is not None
    return False


def copy(source: str, target: str, image: str, label: str) -> None:
    """Make ``target`` (labelled ``trove-lab=label``) what ``source`` is; ``image`` has the tools, cp and grep.

    Nothing may write to ``source`` meanwhile. Raises: CommandFailed.
    """
    remove(re.escape(target))
    with client.connect(SECONDS) as daemon:
        daemon.volumes.create(target, labels={LABEL: label})
        paths = [str(daemon.volumes.get(name).attrs["Mountpoint"]) for name in (source, target)]
    above = os.path.commonpath(paths)
    client.output(
        image,
        ["sh", "-ec", COPY, "copy", *(os.path.relpath(path, above) for path in paths)],
        label,
        SECONDS,
        cap_add=["SYS_ADMIN"],  # for the trusted.overlay attributes
        volumes={
            source: {"bind": "/from", "mode": "ro"},
            target: {"bind": "/to", "mode": "rw"},
            above: {"bind": "/volumes", "mode": "rw"},
        },
    )


def remove(pattern: str, but: str = "") -> None:
    """Remove the volumes whose whole names match ``pattern`` (a regular expression), except ``but``."""
    with client.connect(SECONDS) as daemon:
        for volume in daemon.volumes.list():
            if re.fullmatch(pattern, str(volume.name)) and volume.name != but:
                with contextlib.suppress(NotFound):
                    volume.remove(force=True)
