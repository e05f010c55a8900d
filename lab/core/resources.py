"""Where the project's own files lie: beside lab/ in a checkout, inside it in an installed package."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package ``lab``."""
INSTALLED = (PACKAGE / "resources").is_dir()
"""Whether this is an installed package; only a wheel has that folder (pyproject.toml, force-include)."""
RESOURCES = PACKAGE / "resources" if INSTALLED else PACKAGE.parent
"""Folder with what machines are made of: dockerfiles, images, localconf, locks, machines, novadriver, Vagrantfile."""
LABS = (Path.cwd() if INSTALLED else PACKAGE.parent) / ".lab"
"""Where labs are kept: in the checkout, wherever a command is typed; else in the folder where it is typed."""
PROGRAM = "trove-lab" if INSTALLED else "./inv"
"""What a user types before a task's name."""
