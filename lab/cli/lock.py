"""The locks that environments are made from: every package by version and hash, no index's address."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lab.config import catalog
from lab.config.rows import listed
from lab.core import process
from lab.core.errors import CommandFailed, Unsupported
from lab.core.resources import INSTALLED, RESOURCES
from lab.core.state import write_atomically
from lab.core.waits import Note

USER, DEVELOPER = "requirements.lock", "requirements-dev.lock"
GROUPS = ("test", "types", "docs", "lock")
"""What the developer's environment has besides, as pyproject.toml groups it."""
HEAD = """\
# Made by ./inv lock{options} (uv) from {source}: {what}.
# Versions with hashes and no addresses: pip takes them from where it is configured to.
"""
SECONDS = 600.0


def lock(*, upgrade: bool, note: Note) -> list[Path]:
    """Write both locks anew; versions stay unless pyproject.toml forbids them, or ``upgrade`` is set.

    Raises: Unsupported (an installed package has no locks), CommandFailed, TimedOut.
    """
    refuse_installed("locks")
    source, options = "pyproject.toml", ["--universal", "--python-version=3.11", *_newest(upgrade)]
    groups = [word for group in GROUPS for word in ("--group", group)]
    more = "what tests, types, documents and this lock need"
    return [
        _compile(USER, source, "what a user needs", options, note),
        _compile(DEVELOPER, source, more, [*options, "-c", USER, *groups], note),
    ]


def lock_release(name: str, *, upgrade: bool, note: Note) -> Path:
    """Write the lock of an OpenStack release anew, from ``locks/NAME.in``; see ``lock``.

    Raises: Unsupported (there is no such file, or an installed package), CommandFailed, TimedOut.
    """
    refuse_installed("locks")
    source = f"locks/{name}.in"
    if not (RESOURCES / source).exists():
        known = listed(sorted(path.stem for path in (RESOURCES / "locks").glob("*.in")))
        raise Unsupported(f"There is no {source}.", f"Write it like the others ({known}): a line for each project.")
    rows = catalog.load()
    wheels = rows.installers["wheels"]
    python = rows.distro(wheels.distro).python
    options = [f"--python-version={python}", "--python-platform=x86_64-manylinux_2_36", *_newest(upgrade)]
    if name in wheels.locks and (date := wheels.locks[name].newest):
        options.append(f"--exclude-newer={date}")
    what = f"OpenStack {name} and all that it imports"
    return _compile(f"locks/{name}.lock", source, what, options, note, of=name)


def _newest(upgrade: bool) -> list[str]:
    return ["--upgrade"] if upgrade else []


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


def _compile(target: str, source: str, what: str, options: Sequence[str], note: Note, *, of: str = "") -> Path:
    note(f"resolving {target}")
    path = RESOURCES / target
    words = ["uv", "pip", "compile", source, "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"]
    words += ["--no-header", "--quiet", f"--output-file={target}", *options]
    try:
        process.run(sys.executable, "-m", *words, cwd=RESOURCES, timeout=SECONDS)
    except CommandFailed as error:
        raise CommandFailed(
            "uv pip compile", error.code, error.last_lines, remedy="./inv test installs uv."
        ) from error
    head = HEAD.format(options=of and f" --release={of}", source=source, what=what)
    write_atomically(path, head + path.read_text(encoding="utf-8"), 0o644)
    return path
