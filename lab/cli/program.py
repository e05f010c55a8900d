"""The program that a user types: ``./inv`` in a checkout, ``trove-lab`` where the package is installed."""

from __future__ import annotations

import difflib
import io
import re
import sys

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.program import Program

import lab
from lab.cli import invocation, study_tasks, tasks
from lab.core.errors import BadCommand
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


class Tasks(Program):
    """Invoke's program, with its complaints about words as errors of ours."""

    def parse_tasks(self) -> None:
        """As Invoke does it; a wrong command line ends with its exit code."""
        try:
            super().parse_tasks()
        except ParseError as error:
            invocation.end(_bad(error))


def _bad(error: ParseError) -> BadCommand:
    said, task, flags = str(error), "", []
    if error.context and error.context.name:
        task, flags = str(error.context.name), list(error.context.flags)
    if missing := re.match(r"'([^']+)' did not receive required positional arguments: (.*)", said):
        lacking = missing[2].replace("'", "")
        return BadCommand(f"{missing[1]} needs {lacking}.", missing[1], [])
    if bare := re.match(r"Flag <Argument: ([^ >]+)", said):
        return BadCommand(f"--{bare[1]} needs a value.", task, [])
    if not (unknown := re.match(r"No idea what '(.*)' is", said)):
        return BadCommand(f"{said.rstrip('!.')}.", task, [])
    word = unknown[1]
    if word.startswith("-"):
        return BadCommand(f"{task} takes no {word}.", task, difflib.get_close_matches(word, flags, 2))
    return BadCommand(f"There is no task {word!r}.", "", difflib.get_close_matches(word, ns.task_names, 2))


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
        Tasks(version=lab.__version__, namespace=ns, name="trove-lab", binary=PROGRAM).run(words(sys.argv))
    except BrokenPipeError:
        invocation.reader_gone()
