"""The documents' commands are commands: Invoke's own parser takes each with the flags that they give it."""

from __future__ import annotations

import re

import pytest
from invoke.collection import Collection
from invoke.parser import Parser

import tasks
from lab.core.resources import RESOURCES

PAGES = [RESOURCES / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((RESOURCES / "docs").rglob("*.md"))
SPAN = re.compile(r"`(?:\$ )?(?:TROVE_LAB_DEBUG=1 )?\./inv ([^`\n]*)`|^\s*(?:\$ )?\./inv ([^#\n]*)", re.MULTILINE)
NOT_COMMANDS = {"TASK …", "TASK --help", "--list", "…"}


def commands() -> list[str]:
    """What pages show as typed, each once."""
    found = {(a or b).strip() for page in PAGES for a, b in SPAN.findall(page.read_text())}
    return sorted(found - NOT_COMMANDS)


COMMANDS = commands()


def test_readme_has_its_commands() -> None:
    readme = (RESOURCES / "README.md").read_text()
    assert all(f"./inv {name}" in readme for name in ("up", "test", "halt", "destroy"))
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("written", COMMANDS)
def test_a_command_of_the_documents(written: str) -> None:
    """Optional parts (in brackets) are given, a choice (save\\|restore) is its first."""
    text = re.sub(r"\\\|\w+", "", written.replace("[", "").replace("]", ""))
    words = [word.replace("…", "something") for word in text.split()]
    if words[-1] == "--help":
        words = words[:-1]
        if not words:
            return
    contexts = Collection.from_module(tasks).to_contexts()
    if len(words) == 1:  # a task is named, not typed
        assert words[0] in {context.name for context in contexts}
        return
    parsed = Parser(contexts=contexts).parse_argv(words)
    assert [context.name for context in parsed] == [words[0]]
    assert parsed.unparsed == []
