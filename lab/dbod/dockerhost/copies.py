"""Copies of the records beside the data that they describe: a file of an instance each, believed by its checksum.

The store keeps what is removed until it needs the room, so passwords lie in them under a key that is in the home.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from lab.core.state import write_atomically

KEY = "records.key"
FOLDER = ".records"
"""In the store: a name that no instance can have."""
TABLES = ("schedules", "attributes")
"""Tables of the database whose rows of an instance are in its copy as well."""


class Damaged(Exception):
    """A copy, or a row, that is not what was written."""


@dataclass(frozen=True)
class Copy:
    """A record as JSON, its serial, its passwords by key, and its rows of ``TABLES``."""

    name: str
    serial: int
    record: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


def path(store: Path, name: str) -> Path:
    """Where an instance's copy lies."""
    return store / FOLDER / f"{name}.json"


def key(home: Path) -> Fernet:
    """The home's, made where there is none."""
    path = home / KEY
    if not path.exists():
        write_atomically(path, Fernet.generate_key().decode(), 0o600)
    try:
        return Fernet(path.read_bytes().strip())
    except ValueError:  # what was under a damaged one is not to be had; repair says so
        path.replace(path.with_name(f"{KEY}.damaged"))
        return key(home)


def write(store: Path, copy: Copy, under: Fernet) -> None:
    """Write a copy, its passwords ``under`` a key; on disk when this returns. Raises: DiskFull."""
    folder = store / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    told = {**asdict(copy), "secrets": under.encrypt(json.dumps(copy.secrets).encode()).decode()}
    text = json.dumps({**told, "sum": checksum(told)}, indent=1, sort_keys=True)
    write_atomically(path(store, copy.name), text, 0o600)


def read(file: Path, under: Fernet) -> Copy:
    """A copy; without its passwords, where these are under another key. Raises: Damaged, OSError."""
    try:
        told = json.loads(file.read_bytes())
        if checksum({name: value for name, value in told.items() if name != "sum"}) != told.pop("sum"):
            raise Damaged(f"{file.name} is not what was written")
        try:
            told["secrets"] = json.loads(under.decrypt(told["secrets"]))
        except InvalidToken:
            told["secrets"] = {}
        return Copy(**told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{file.name} is no copy of a record: {error}") from error


def checksum(value: object) -> str:
    """Of anything that JSON has."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
