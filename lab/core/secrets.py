"""A lab's secrets: random, alphanumeric (they land in shell, URLs and SQL), one 0600 file, never anywhere else."""

from __future__ import annotations

import json
import secrets
import string
import threading
from collections.abc import Collection, Mapping
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
                self._write({key: "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))}, again=False)
            return self._values[key]

    def __contains__(self, key: str) -> bool:
        with self._guard:
            return key in self._values

    def put(self, values: Mapping[str, str]) -> None:
        """Keep these values, known from elsewhere, under their keys."""
        with self._guard:
            self._write(values)

    def of(self, names: Collection[str]) -> dict[str, str]:
        """What is of those names: the secrets whose key is ``KIND.NAME``."""
        with self._guard:
            return {key: value for key, value in self._values.items() if key.rpartition(".")[2] in names}

    def share(self, key: str, source: str) -> None:
        """Make ``key`` the same secret as ``source``."""
        value = self[source]
        self.put({key: value})

    def forget(self, *keys: str) -> None:
        """Drop secrets of what is gone; those that are not there are fine."""
        with self._guard, FileLock(self._path.with_suffix(".lock")):
            self._values = self._read()
            if self._values.keys() & set(keys):
                self._values = {key: value for key, value in self._values.items() if key not in keys}
                self._save()

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StateBroken(self._path, str(error), self._name) from error
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise StateBroken(self._path, "it is no object of strings", self._name)
        return found

    def _write(self, values: Mapping[str, str], *, again: bool = True) -> None:
        """Add to what the file has by now, for other processes of the lab make secrets, too; ``again`` replaces."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock")):
            there = self._read()
            self._values = {**there, **values} if again else {**values, **there}
            if self._values != there or not self._path.exists():
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
