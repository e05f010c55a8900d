"""One lab's place on this host: derived paths, its state and its secrets; no globals."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import platformdirs

from lab.core.resources import LABS
from lab.core.secrets import Secrets
from lab.core.state import State, write_atomically

LABEL = "trove-lab"
"""Label key on everything that the lab makes; its value is the lab's name."""

OWNER = f"{LABEL}-owner"
"""Label key for whose it is: a home's owner."""

KERNELS = "kernels"
"""Folder of the cache with kernels that guests use."""


def cache() -> Path:
    """What is kept between labs (root filesystems, guest images), content-addressed; XDG rules hold."""
    path = platformdirs.user_cache_path("trove-lab", ensure_exists=True)
    tag = path / "CACHEDIR.TAG"
    if not tag.exists():
        tag.write_text("Signature: 8a477f597d28d172789f06886806bc55\n# https://bford.info/cachedir/\n")
    return path


@dataclass(frozen=True)
class Home:
    """Paths and records of the lab ``name`` under ``root`` (normally ``.lab`` of the checkout)."""

    name: str
    root: Path = LABS

    @property
    def path(self) -> Path:
        """``.lab/NAME``, mode 0700."""
        return self.root / self.name

    @cached_property
    def owner(self) -> str:
        """The id of the folder in which this and other labs lie; on whatever is made for them, as a label.

        It stays with the folder when that is moved; made when it is first asked for.
        """
        path = self.root / ".owner"
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, f"{uuid.uuid4()}\n")
        return path.read_text(encoding="utf-8").strip()

    @cached_property
    def state(self) -> State:
        """Facts. Raises: StateBroken."""
        return State(self.path / "state.json", self.name)

    @cached_property
    def secrets(self) -> Secrets:
        """Passwords and keys by name."""
        return Secrets(self.path / "secrets.json", self.name)

    def log(self, step: str) -> Path:
        """The log file of a step."""
        path = self.path / "logs"
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path / f"{step}.log"

    def make(self) -> bool:
        """Create the directory, readable by the owner alone; whether it was not there."""
        new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        return new

    @property
    def clouds_yaml(self) -> Path:
        """Clouds ``admin`` and ``demo`` as seen from this host."""
        return self.path / "clouds.yaml"

    @classmethod
    def all(cls, root: Path = LABS) -> list[Home]:
        """Every lab that has a directory here, by name."""
        if not root.is_dir():
            return []
        return [cls(p.name, root) for p in sorted(root.iterdir()) if (p / "state.json").exists()]
