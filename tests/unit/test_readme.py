"""README's commands are commands: Invoke's own parser takes each with the flags that README gives it."""

from __future__ import annotations

import re

import pytest
from invoke.collection import Collection
from invoke.parser import Parser

import tasks
from lab.core.resources import RESOURCES

README = (RESOURCES / "README.md").read_text()
SPANS = re.findall(r"`(?:\$ )?\./inv ([^`\n]*)`|^\$ \./inv ([^#\n]*)", README, re.MULTILINE)
COMMANDS = sorted({(a or b).strip() for a, b in SPANS} - {"TASK …", "--list"})


def test_readme_has_its_commands() -> None:
    assert {"up", "test", "halt"} <= set(COMMANDS)


@pytest.mark.parametrize("written", COMMANDS)
def test_readme_command(written: str) -> None:
    """Optional parts (in brackets) are given, a choice (save\\|restore) is its first."""
    text = re.sub(r"\\\|\w+", "", written.replace("[", "").replace("]", ""))
    words = [word.replace("…", "something") for word in text.split()]
    if words[-1] == "--help":
        words = words[:-1]
        if not words:
            return
    parsed = Parser(contexts=Collection.from_module(tasks).to_contexts()).parse_argv(words)
    assert [context.name for context in parsed] == [words[0]]
    assert parsed.unparsed == []
