"""The machine's Docker image: root filesystem, base layer, machine layer; each built once per content."""

from __future__ import annotations

import os
from pathlib import Path

from lab import apt, engine
from lab.home import PROJECT, Home
from lab.machine import rootfs
from lab.waits import Note

DOCKERFILES = PROJECT / "dockerfiles"


def base(suite: str, note: Note, log: Path, seconds: float) -> str:
    """``trove-lab/base:SHA``: a systemd container of that Debian suite which answers SSH and no more."""
    certificates = {f"ca-certificates/{name}": text for name, text in apt.authorities().items()}
    return engine.build(
        "trove-lab/base",
        DOCKERFILES / "base",
        arguments={"ROOTFS": rootfs.image(rootfs.recipe(suite), note, log, seconds)},
        extra={"ca-certificates/.keep": b"", **certificates},
        proxies=apt.proxies(dict(os.environ)),
        note=note,
        log=log,
        seconds=seconds,
    )


def machine(home: Home, suite: str, note: Note, seconds: float) -> str:
    """``trove-lab/machine:SHA``: the base with what ``dockerfiles/machine`` adds (OpenStack's packages).

    The lab claims it with a tag of its own, so that another lab's destroy leaves it alone.
    """
    log = home.log("machine-image")
    tag = engine.build(
        "trove-lab/machine",
        DOCKERFILES / "machine",
        arguments={"BASE": base(suite, note, log, seconds)},
        proxies=apt.proxies(dict(os.environ)),
        note=note,
        log=log,
        seconds=seconds,
    )
    engine.claim(tag, home.name)
    return tag
