"""Every limit that an error tells a user to raise is one that a user can raise."""

import ast
import inspect
from pathlib import Path

from lab.cli import study_tasks
from lab.config.settings import FIELDS
from lab.core.resources import PACKAGE


def flags() -> set[str]:
    """The settings' flags, and those of the studies' tasks."""
    bodies = [task.body for task in vars(study_tasks).values() if hasattr(task, "body")]
    own = {name for body in bodies for name in inspect.signature(inspect.unwrap(body)).parameters}
    return {f"--{name.replace('_', '-')}" for name in (*FIELDS, *own)}


def named() -> dict[str, str]:
    """What wait, program or job names as its setting, and where."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            words = [k.value for k in node.keywords if k.arg in ("setting", "timeout_setting")]
            words += node.args[3:4] if called == "Job" else node.args[2:3] if called == "TimedOut" else []
            if called == "add":  # a decision of the plan
                continue
            for word in words:
                if isinstance(word, ast.Constant):
                    found[str(word.value)] = f"{path.relative_to(PACKAGE)}:{node.lineno}"
    return found


def test_only_flags_are_named() -> None:
    used = named()
    assert {"--machine-timeout", "--guest-timeout", "--database-timeout"} <= set(used)
    assert {name: where for name, where in used.items() if name and name not in flags()} == {}


def test_every_timeout_is_used_by_somebody() -> None:
    read = "".join(path.read_text() for path in Path(PACKAGE).rglob("*.py") if path.name != "settings.py")
    assert [name for name in FIELDS if name.endswith("_timeout") and f".{name}" not in read] == []
