"""The container image that Trove's guest agent backs up and restores with: Trove's own program on Debian's tools."""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from lab.build import rootfs
from lab.containers import client
from lab.core import process
from lab.core.errors import CheckFailed
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.guest import datastores

FOLDER = RESOURCES / "dockerfiles" / "backup"
PINNED = FOLDER / "source"
"""pip's line for Trove's source of the guest agent's release: the program is in no wheel and in no Debian package."""
PROGRAM = "backup/"
REPOSITORY = "trove-lab/db-backup"


def image() -> str:
    """The image's tag, as trove-guestagent.conf has it; its version is Trove's."""
    return f"{REPOSITORY}:{_version()}"


def key(suite: str) -> str:
    """Hash of all that the image is made from."""
    return datastores.key(FOLDER, _base(suite), _version())


def build(suite: str, job: Job) -> str:
    """Build the image and give its tag. Raises: CommandFailed, CheckFailed, TimedOut."""
    program = _program(job)
    made = datastores.build(REPOSITORY, FOLDER, _base(suite), _version(), job, program)
    return client.tag(made, REPOSITORY, _version())


def _version() -> str:
    return PINNED.read_text().split()[0].removeprefix("trove==")


def _base(suite: str) -> rootfs.Recipe:
    recipe = _recipe()
    return datastores.base(suite, recipe["packages"], recipe["remove"])


def _recipe() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "recipe.toml").read_text())


def _program(job: Job) -> dict[str, bytes]:
    """Path to content of the program's files, out of the pinned source, fetched as the host's pip is configured."""
    with tempfile.TemporaryDirectory() as folder:
        process.run(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes",
            f"--requirement={PINNED}", f"--dest={folder}")  # fmt: skip
        (source,) = Path(folder).iterdir()
        return _mended(_members(source.read_bytes()))


def _mended(program: dict[str, bytes]) -> dict[str, bytes]:
    """The program with what the recipe replaces in it. Raises: CheckFailed, if there is nothing to replace."""
    mended = dict(program)
    for path, words in _recipe()["replace"].items():
        for old, new in words.items():
            if program.get(path, b"").count(old.encode()) != 1:
                raise CheckFailed("the backup program", f"{path} does not have {old!r} once: look at recipe.toml")
            mended[path] = mended[path].replace(old.encode(), new.encode())
    return mended


def _members(source: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(source)) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if member.isfile() and path.startswith(PROGRAM) and "/tests/" not in path and path.endswith(".py"):
                file = tar.extractfile(member)
                assert file is not None
                found[path] = file.read()
    return found
