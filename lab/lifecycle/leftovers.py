"""Finding and removing what a lab left on this host, by label and name, without the state file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lab.containers import client, ownership
from lab.core import process
from lab.core.errors import CommandFailed, MissingTools, StateBroken, TimedOut
from lab.core.home import LABEL, Home
from lab.core.waits import Note
from lab.machine import docker, domains, stray, virtual, warm
from lab.machine.ssh import SshMachine
from lab.machine.vagrant import Vagrant
from lab.machine.virtual import BOXES

VAGRANT_SECONDS = 120
SSH_SECONDS = 60
SLASH = "-VAGRANTSLASH-"
"""How Vagrant writes the slash of a box's name in file names."""
POOL = "default"
"""vagrant-libvirt's storage pool."""


def leftovers(home: Home, keep_cache: bool = False) -> list[str]:
    """What of the lab is on this host, one line each: processes, what Docker and libvirt hold, cgroups, files.

    With ``keep_cache`` without the images, which stay.
    """
    name = f"{LABEL}-{home.name}"
    found = [f"process {p.pid} {p.info['name']}" for p in stray.processes(home)]
    if client.usable() is None:
        ownership.check(home.name, home.owner)
        found += ownership.labelled(home.name)
        if not keep_cache:
            found += [f"image {tag}" for tag in ownership.claimed(home.name) + warm.there(home)]
    found += [f"domain {domain}" for domain in domains.of(home)]
    if virtual.seed_of(home).exists():
        found.append(f"seed {virtual.seed_of(home)}")
    if where := host(home):
        found.append(f"what the lab put on {where}")
    if group := docker.cgroups(name):
        found.append(f"cgroup {group}")
    if home.path.exists():
        found.append(f"folder {home.path}")
    return found


def sweep(home: Home, keep_cache: bool, note: Note) -> None:
    """Remove everything of the lab outside its folder, whatever state it is in."""
    stray.end(home, note)
    name = f"{LABEL}-{home.name}"
    if client.usable() is None:
        ownership.remove(home.name)
        ownership.release(home.name, keep_cache)
        if not keep_cache:
            warm.forget(home)
        docker.remove_cgroups(name)
    _tell_vagrant(home)
    if where := host(home):
        SshMachine(home, where, SSH_SECONDS).destroy(note)
    if virtual.seed_of(home).exists():
        virtual.remove_seed(home)
        with contextlib.suppress(CommandFailed, MissingTools):  # the pool lists what lay there once
            domains.virsh("pool-refresh", POOL)
    for domain in domains.of(home):
        note(f"removing domain {domain}")
        with contextlib.suppress(CommandFailed):  # one that does not run cannot be stopped
            domains.virsh("destroy", domain)
        domains.virsh("undefine", "--nvram", "--snapshots-metadata", "--remove-all-storage", domain)


def host(home: Home) -> str:
    """The user's own machine that the lab is on; empty where it is on none."""
    with contextlib.suppress(StateBroken):
        if home.path.exists() and home.state.get("machine.address"):
            return str(home.state.get("spec", {}).get("host", ""))
    return ""


def _tell_vagrant(home: Home) -> None:
    """Let Vagrant remove what it knows of, and strike the lab from its index; labels find what it cannot."""
    if not (home.path / "machine.json").exists() or not process.have("vagrant"):
        return
    for provider in ("docker", "libvirt", "virtualbox"):
        known = Vagrant(home, provider, VAGRANT_SECONDS)
        if known.machine_id:
            with contextlib.suppress(CommandFailed, TimedOut):
                known.destroy()


def boxes() -> list[str]:
    """Our boxes: those that Vagrant keeps, and their copies in libvirt's pool, which Vagrant forgets there.

    None while a lab of any checkout has a machine: it may be made of one.
    """
    if domains.users():
        return []
    return [f"box {name}" for name in _vagrant_boxes()] + [f"volume {name}" for name in _volumes()]


def remove_boxes() -> None:
    """Remove what ``boxes`` lists."""
    if domains.users():
        return
    for name in _vagrant_boxes():
        process.run("vagrant", "box", "remove", "--force", "--all", name, cwd=Path("/"), timeout=VAGRANT_SECONDS)
    for name in _volumes():
        domains.virsh("vol-delete", "--pool", POOL, name)


def _vagrant_boxes() -> list[str]:
    folder = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d") / "boxes"
    mark = BOXES.replace("/", SLASH)
    return sorted(p.name.replace(SLASH, "/") for p in folder.glob(f"{mark}*"))


def _volumes() -> list[str]:
    mark = BOXES.replace("/", SLASH)
    return [line.split()[0] for line in domains.listed("vol-list", "--pool", POOL) if line.startswith(mark)]
