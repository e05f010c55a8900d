"""What a run was made with: the part of every kind of run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.core import process
from lab.core.errors import BadFile
from lab.core.home import PROJECT

FILE = "manifest.json"


def read(folder: Path, maker: str = "density-bench") -> dict[str, Any]:
    """The manifest of a folder that the task ``maker`` wrote. Raises: BadFile."""
    path, remedy = folder / FILE, f"Name the folder that ./inv {maker} wrote."
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(path, str(error), remedy) from error
    if not isinstance(data, dict) or data.get("version") != 1:
        raise BadFile(path, "it is no manifest of ours", remedy)
    return data


def commit() -> str:
    """This checkout's commit, ``-dirty`` where it was changed; empty without git."""
    if not process.have("git"):
        return ""
    done = process.run("git", "-C", PROJECT, "describe", "--always", "--dirty", "--abbrev=12", check=False)
    return done.stdout.strip()
