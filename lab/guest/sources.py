"""What of the project decides how guest images are made; their keys are hashes of it."""

from __future__ import annotations

from lab.core.resources import PACKAGE, RESOURCES

SOURCES = (PACKAGE / "build", PACKAGE / "guest", RESOURCES / "images")
"""Whole packages: a list of files would miss the next one."""
