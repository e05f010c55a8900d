"""Finding and removing what a lab left on this host, by label and name, without the state file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from lab import engine, process
from lab.errors import CommandFailed
from lab.home import LABEL, Home
from lab.machine import docker
from lab.waits import Note

PROGRAMS = ("qemu-system-", "ssh", "vagrant", "ruby")
"""Beginnings of the names of programs that the lab itself starts; a user's pager on a log is none of them."""


def processes(home: Home) -> list[psutil.Process]:
    """Processes that work on this lab's files: a Vagrant or QEMU whose client was killed."""
    folder, found = f"{home.path}/", []
    for candidate in psutil.process_iter(["name", "cmdline", "environ", "pid"]):
        words = " ".join(candidate.info["cmdline"] or [])
        ours = folder in words or (candidate.info["environ"] or {}).get("LAB_MACHINE", "").startswith(folder)
        if ours and (candidate.info["name"] or "").startswith(PROGRAMS):
            found.append(candidate)
    return found


def leftovers(home: Home) -> list[str]:
    """What of the lab is on this host, one line each: processes, what Docker and libvirt hold, cgroups, files."""
    name = f"{LABEL}-{home.name}"
    found = [f"process {p.pid} {p.info['name']}" for p in processes(home)]
    if engine.usable() is None:
        found += engine.labelled(home.name)
    found += [f"domain {d}" for d in domains(name)]
    if group := docker.cgroups(name):
        found.append(f"cgroup {group}")
    if home.path.exists():
        found.append(f"folder {home.path}")
    return found


def sweep(home: Home, keep_cache: bool, note: Note) -> None:
    """Remove everything of the lab outside its folder, whatever state it is in."""
    for left in processes(home):
        note(f"ending process {left.pid} ({left.info['name']})")
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
            left.wait(5)
    name = f"{LABEL}-{home.name}"
    if engine.usable() is None:
        engine.remove_labelled(home.name)
        engine.release(home.name, keep_cache)
        docker.remove_cgroups(name)
    for domain in domains(name):
        note(f"removing domain {domain}")
        with contextlib.suppress(CommandFailed):  # one that does not run cannot be stopped
            _virsh("destroy", domain)
        _virsh("undefine", "--nvram", "--snapshots-metadata", "--remove-all-storage", domain)


def domains(name: str) -> list[str]:
    """libvirt's machines of that name (vagrant-libvirt names them after the machine)."""
    if not process.have("virsh") or not Path("/run/libvirt").exists():
        return []
    listed = process.run("virsh", "-c", "qemu:///system", "list", "--all", "--name", check=False, timeout=20)
    return [line.strip() for line in listed.stdout.splitlines() if line.strip() == name]


def _virsh(*words: str) -> None:
    process.run("virsh", "-c", "qemu:///system", *words, timeout=60)
