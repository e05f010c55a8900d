"""A lab's secrets: random, alphanumeric (they land in shell, URLs and SQL), one 0600 file, never anywhere else."""

from __future__ import annotations

import json
import secrets
import string
import threading
from pathlib import Path

from filelock import FileLock

from lab.core.errors import StateBroken
from lab.core.state import write_atomically

ALPHABET = string.ascii_letters + string.digits
LENGTH = 24


class Secrets:
    """Named secrets of one lab; a name that is asked for the first time gets its value then."""

    def __init__(self, path: Path, name: str) -> None:
        """Read ``path`` if it is there. Raises: StateBroken."""
        self._path = path
        self._name = name
        self._guard = threading.Lock()
        self._values = self._read()

    def __getitem__(self, key: str) -> str:
        with self._guard:
            if key not in self._values:
                self._keep(key, "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)), again=False)
            return self._values[key]

    def share(self, key: str, source: str) -> None:
        """Make ``key`` the same secret as ``source``."""
        value = self[source]
        with self._guard:
            self._keep(key, value, again=True)

    def forget(self, *keys: str) -> None:
        """Drop secrets of what is gone; those that are not there are fine."""
        with self._guard, FileLock(self._path.with_suffix(".lock")):
            self._values = self._read()
            if self._values.keys() & set(keys):
                self._values = {key: value for key, value in self._values.items() if key not in keys}
                self._save()

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError) as error:
            raise StateBroken(self._path, str(error), self._name) from error

    def _keep(self, key: str, value: str, *, again: bool) -> None:
        """Add to what the file has by now: other processes of the lab make secrets, too."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock")):
            self._values = self._read()
            if again or key not in self._values:
                self._values[key] = value
                self._save()

    def _save(self) -> None:
        write_atomically(self._path, json.dumps(self._values, indent=1, sort_keys=True), 0o600)

    def values(self) -> list[str]:
        """All values, for a redactor or a test that greps for them."""
        return list(self._values.values())

    def redact(self, text: str) -> str:
        """``text`` with every secret masked."""
        for value in self.values():
            text = text.replace(value, "********")
        return text
