"""The locks that environments are made from: every package by version and hash, no index's address."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lab.core import process
from lab.core.errors import CommandFailed, Unsupported
from lab.core.resources import INSTALLED, RESOURCES
from lab.core.state import write_atomically
from lab.core.waits import Note

USER, DEVELOPER = "requirements.lock", "requirements-dev.lock"
GROUPS = ("test", "types", "docs", "lock")
"""What the developer's environment has besides, as pyproject.toml groups it."""
HEAD = """\
# Made by ./inv lock (uv) from pyproject.toml: {what}.
# Versions with hashes and no addresses: pip takes them from where it is configured to.
"""
SECONDS = 600.0


def lock(*, upgrade: bool, note: Note) -> list[Path]:
    """Write both locks anew; versions stay unless pyproject.toml forbids them, or ``upgrade`` is set.

    Raises: Unsupported (an installed package has no locks), CommandFailed, TimedOut.
    """
    refuse_installed("locks")
    groups = [word for group in GROUPS for word in ("--group", group)]
    return [
        _compile(USER, "what a user needs", [], upgrade, note),
        _compile(DEVELOPER, "what tests, types, documents and this lock need", ["-c", USER, *groups], upgrade, note),
    ]


def install(name: str, note: Note, log: Path) -> None:
    """Put the packages of a lock into this environment, unless the same lock was put in before.

    Raises: CommandFailed, TimedOut, Unsupported.
    """
    refuse_installed("locks")
    wanted, stamp = (RESOURCES / name).read_bytes(), Path(sys.prefix) / name
    if stamp.exists() and stamp.read_bytes() == wanted:
        return
    note(f"adding the packages of {name} to the virtual environment (once; half a minute)")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    process.run(*pip, "-r", RESOURCES / name, log=log, timeout=SECONDS)
    stamp.write_bytes(wanted)


def refuse_installed(what: str) -> None:
    """Refuse what only a checkout has. Raises: Unsupported."""
    if INSTALLED:
        raise Unsupported(
            f"An installed trove-lab has no {what}; a checkout has.", "Clone the repository, and use its ./inv."
        )


def _compile(name: str, what: str, options: Sequence[str], upgrade: bool, note: Note) -> Path:
    note(f"resolving {name}")
    path = RESOURCES / name
    words = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version=3.11", "--generate-hashes"]
    words += ["--no-emit-index-url", "--no-emit-find-links", "--no-header", "--quiet", f"--output-file={name}"]
    try:
        process.run(
            sys.executable,
            "-m",
            *words,
            *(["--upgrade"] if upgrade else []),
            *options,
            cwd=RESOURCES,
            timeout=SECONDS,
        )
    except CommandFailed as error:
        raise CommandFailed(
            "uv pip compile", error.code, error.last_lines, remedy="./inv test installs uv."
        ) from error
    write_atomically(path, HEAD.format(what=what) + path.read_text(encoding="utf-8"), 0o644)
    return path
