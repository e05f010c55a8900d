"""Programs that go on working for a lab although the client that started them was killed."""

from __future__ import annotations

import contextlib

import psutil

from lab.core.home import Home
from lab.core.waits import Note

PROGRAMS = ("qemu-system-", "ssh", "vagrant", "ruby", "docker")
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


def end(home: Home, note: Note) -> bool:
    """End them; whether there were any."""
    found = processes(home)
    for left in found:
        note(f"ending process {left.pid} ({left.info['name']})")
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            left.kill()
            left.wait(5)
    return bool(found)
