"""What the bench keeps between runs."""

from __future__ import annotations

from pathlib import Path

from lab.core.home import cache


def folder() -> Path:
    """Where baked archives live between runs, readable by the owner alone (they hold the bench user's password)."""
    path = cache() / "density"
    path.mkdir(mode=0o700, exist_ok=True)
    return path
