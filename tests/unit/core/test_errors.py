"""No remedy that a person is told to type takes anything away that they cannot get again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
DESTROYS = re.compile(
    r"inv destroy|\brm -|\bprune\b|DROP (DATABASE|TABLE|USER)|docker (rm|rmi|volume rm)"
    r"|mkfs|--force|reset --hard|--yes",
    re.IGNORECASE,
)
ASKED_FOR = {
    "lab/lifecycle/destroy.py": "it answers somebody who asked for just that, and tells what would go",
    "lab/machine/ssh.py": "the same, on the machine that was given",
    "lab/install/given.py": "what the lab put on a machine that it then refuses: no database was made",
}


def _said(tree: ast.AST) -> Iterator[str]:
    """The words of every string that is given to a call which raises, or is a remedy by name."""
    for node in ast.walk(tree):
        words = [node.exc] if isinstance(node, ast.Raise) and node.exc else []
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("super().__init__", "Finding")):
            words.append(node)
        if isinstance(node, ast.keyword) and node.arg in {"remedy", "fix"}:
            words.append(node.value)
        if isinstance(node, ast.Assign) and any("remedy" in ast.unparse(one).lower() for one in node.targets):
            words.append(node.value)
        for one in words:
            for text in ast.walk(one):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value


def destroying(path: Path) -> list[str]:
    return [text for text in _said(ast.parse(path.read_text())) if DESTROYS.search(text)]


def test_no_remedy_destroys() -> None:
    found = {str(path.relative_to(ROOT)): destroying(path) for path in (ROOT / "lab").rglob("*.py")}
    assert {path: texts for path, texts in found.items() if texts and path not in ASKED_FOR} == {}


def test_no_remedy_of_the_catalogue_destroys() -> None:
    lines = [line for file in (ROOT / "lab").rglob("*.toml") for line in file.read_text().splitlines()]
    remedies = [line for line in lines if re.match(r"(remedy|fix|cure)\b", line)]
    assert remedies
    assert [line for line in remedies if DESTROYS.search(line)] == []


def test_the_walk_finds_one(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text('def f():\n    raise Refused("No.", f"./inv destroy --name={1} first.")\n')
    assert destroying(path) == ["./inv destroy --name="]
