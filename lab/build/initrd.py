"""Initial RAM disks, written directly: a cpio archive (newc) needs no tool and no root."""

from __future__ import annotations

from collections.abc import Mapping

Member = tuple[int, bytes, tuple[int, int]]
"""Mode with file type, content, device numbers."""


def directory() -> Member:
    """A directory."""
    return (0o040755, b"", (0, 0))


def file(data: bytes, mode: int = 0o644) -> Member:
    """A regular file."""
    return (0o100000 | mode, data, (0, 0))


def console() -> Member:
    """The console's device node, for /dev/console."""
    return (0o020600, b"", (5, 1))


def archive(members: Mapping[str, Member]) -> bytes:
    """The archive of ``members``, path (no leading slash) to member; parents must come before children."""
    out = bytearray()
    for number, (path, member) in enumerate([*members.items(), ("TRAILER!!!", (0, b"", (0, 0)))], 1):
        mode, data, device = member
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
    return bytes(out)
