"""The one subprocess door.

Argument lists only, closed standard input, output to a log or to the caller; children run in a session of their
own so that Ctrl-C reaches them once and through us: interrupt, then kill.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from lab.core.errors import CommandFailed, DiskFull, MissingTools, TimedOut

Argument = str | Path
Spawned = subprocess.Popen[str]
LAST_LINES = 15
GRACE_SECONDS = 5.0

_running: set[subprocess.Popen[str]] = set()
_guard = threading.Lock()


@dataclass(frozen=True)
class Finished:
    """A program that ended: its argument list, exit code, output and wall seconds."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the exit code was 0."""
        return self.code == 0


def have(program: str) -> bool:
    """Whether ``program`` is on the PATH, or in the folders of system programs that not every user has there."""
    return shutil.which(program, path=_path()) is not None


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def as_root(*argv: Argument) -> list[Argument]:
    """``argv``, with ``sudo -n`` before it unless we are root already."""
    return list(argv) if os.geteuid() == 0 else ["sudo", "-n", *argv]


def run(
    *argv: Argument,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    log: Path | None = None,
    timeout: float | None = None,
    timeout_setting: str = "",
    check: bool = True,
    remedy: str = "",
) -> Finished:
    """Run a program to its end.

    ``env`` is added to ours. With ``log`` both streams are appended to that file and ``stdout`` stays empty.
    Raises: MissingTools (no such program), CommandFailed (non-zero, if ``check``), TimedOut, DiskFull.
    """
    words = [str(a) for a in argv]
    if not have(words[0]):
        raise MissingTools([words[0]], "it is not on the PATH", f"your package manager's package for {words[0]}")
    started = monotonic()
    sink = log.open("a", encoding="utf-8") if log else None
    try:
        if sink:
            sink.write(f"+ {shlex.join(words)}\n")
            sink.flush()
        child = subprocess.Popen(
            [*_with_us("TERM"), *words],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": _path(), **(env or {})},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=sink or subprocess.PIPE,
            stderr=subprocess.STDOUT if sink else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        if sink:
            sink.close()
        if error.errno == errno.ENOSPC:
            raise DiskFull(str(log)) from error
        raise
    with _guard:
        _running.add(child)
    try:
        out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        _end(child)
        raise TimedOut(shlex.join(words), timeout or 0, timeout_setting, tail(log), log) from late
    except BaseException:
        _end(child)
        raise
    finally:
        with _guard:
            _running.discard(child)
        if sink:
            sink.close()
    finished = Finished(tuple(words), child.returncode, out or "", err or "", monotonic() - started)
    if check and not finished.ok:
        said = tail(log) if log else "\n".join((finished.stderr or finished.stdout).splitlines()[-LAST_LINES:])
        if "No space left on device" in said:
            raise DiskFull(shlex.join(words[:2]))
        raise CommandFailed(shlex.join(words), finished.code, said, log, remedy)
    return finished


def replace(*argv: Argument) -> None:
    """Become ``argv`` (an interactive ssh, say); returns never."""
    os.execvp(str(argv[0]), [str(a) for a in argv])


def spawn(*argv: Argument, log: Path, env: Mapping[str, str] | None = None, outlives_us: bool = False) -> Spawned:
    """Start a program that goes on beside us (QEMU, a load generator); the caller ends it with ``stop``.

    Unless ``outlives_us``, the kernel kills it when we are killed, or the thread that started it ends.
    """
    words = [str(a) for a in argv]
    with log.open("a", encoding="utf-8") as sink:
        return subprocess.Popen(
            words if outlives_us else [*_with_us("KILL"), *words],
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": _path(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def stop(child: Spawned) -> None:
    """End a spawned program and its group: ask, wait, kill."""
    _end(child)


def end_all() -> None:
    """End every child of ``run`` that is still there (Ctrl-C while steps run in threads)."""
    with _guard:
        children = list(_running)
    for child in children:
        _end(child)


def tail(log: Path | None, lines: int = LAST_LINES) -> str:
    """The last lines of a log file, or an empty string."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def _with_us(number: str) -> list[str]:
    """Words before a command that make the kernel send it a signal when we are killed."""
    return ["setpriv", "--pdeathsig", number] if have("setpriv") else []


def _end(child: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
