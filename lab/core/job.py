"""A piece of long work under way: whom it tells, where its programs write, and how long each may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.core import process
from lab.core.process import Argument, Finished
from lab.core.waits import Note


@dataclass(frozen=True)
class Job:
    """``note`` is told what is done at the moment, ``log`` is appended to, ``seconds`` bounds each program.

    ``setting`` is the flag by which a user raises that bound.
    """

    note: Note
    log: Path
    seconds: float
    setting: str = "--build-timeout"

    def run(self, *argv: Argument, env: Mapping[str, str] | None = None) -> Finished:
        """Run a program to its end, output in the log. Raises: CommandFailed, MissingTools, TimedOut, DiskFull."""
        return process.run(*argv, env=env, log=self.log, timeout=self.seconds, timeout_setting=self.setting)

    def as_root(self, *argv: Argument) -> Finished:
        """The same as root. Raises: as ``run``."""
        return self.run(*process.as_root(*argv))
