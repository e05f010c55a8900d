"""Goldens: texts kept under tests/goldens and compared whole; LAB_GOLDENS=write writes them anew, to be read then."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "goldens"


def same(name: str, text: str) -> None:
    """``text`` is what the golden ``name`` holds."""
    path = FOLDER / name
    if os.environ.get("LAB_GOLDENS") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing: LAB_GOLDENS=write makes it; read it then"
    assert text == path.read_text(), f"if the change is meant, LAB_GOLDENS=write writes {path}"
