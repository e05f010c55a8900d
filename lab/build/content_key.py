"""Keys of content: two recipes with the same key give the same image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path


def content(*parts: str | bytes | Path) -> str:
    """A key of texts, bytes and files (folders: all that is in them, names included); 16 hexadecimal digits.

    Raises: FileNotFoundError, for a path that is not there: a source that was moved must not leave the key.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in _files(part):
                total.update(file.relative_to(part.parent).as_posix().encode() + b"\0" + file.read_bytes())
        else:
            total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()[:16]


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path  # an absent one is refused by whoever reads it
        return
    found = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    if not found:
        raise FileNotFoundError(f"{path} has no file in it")
    yield from found
