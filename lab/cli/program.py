"""The program that a user types: ``./inv`` in a checkout, ``trove-lab`` where the package is installed."""

from __future__ import annotations

import io
import sys

from invoke.collection import Collection
from invoke.program import Program

import lab
from lab.cli import invocation, study_tasks, tasks
from lab.core.resources import INSTALLED, PROGRAM

ns = Collection.from_module(tasks)
for _name, _task in Collection.from_module(study_tasks).tasks.items():
    ns.add_task(_task, _name)
"""Every task; the name is Invoke's own for it."""


class Renamed(io.TextIOWrapper):
    """Text in which ``./inv``, as all messages name the program, is the installed program's name."""

    def write(self, text: str) -> int:
        """Write the text under that name; characters as given."""
        super().write(text.replace("./inv ", f"{PROGRAM} "))
        return len(text)


def words(argv: list[str]) -> list[str]:
    """What was typed, with ``TASK … --help`` turned round: Invoke takes it for the task's own first word."""
    if "--help" in argv[2:] and argv[1] in ns.task_names:
        return [argv[0], "--help", argv[1]]
    return argv


def main() -> None:
    """Run what was typed, and end with its exit code."""
    if INSTALLED:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            stream.flush()
            setattr(sys, name, Renamed(stream.buffer, stream.encoding, stream.errors, line_buffering=True))
    try:
        Program(version=lab.__version__, namespace=ns, name="trove-lab", binary=PROGRAM).run(words(sys.argv))
    except BrokenPipeError:
        invocation.reader_gone()
