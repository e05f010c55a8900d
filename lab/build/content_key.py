"""Keys of content: two recipes with the same key give the same image."""

from __future__ import annotations

import hashlib
from pathlib import Path


def content(*parts: str | bytes | Path) -> str:
    """A key of texts, bytes and files (folders: all that is in them, names included); 16 hexadecimal digits."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
            for file in files:
                total.update(file.relative_to(part.parent).as_posix().encode() + b"\0" + file.read_bytes())
        else:
            total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()[:16]
