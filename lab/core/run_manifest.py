"""What a run was made with: the part of every kind of run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.core.errors import BadFile

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
