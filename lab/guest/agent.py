"""Trove's guest agent of another release than the guest's distribution has, on the libraries of that."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.config import catalog
from lab.core import process
from lab.core.home import Home
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.host import git_mirrors
from lab.host.git_mirrors import GIT_BASE

PACKAGE = "usr/lib/python3/dist-packages/trove"
"""Where the distribution's package has it; its dependencies, programs and units stay."""


class Agent(Protocol):
    """What Trove's code is taken from."""

    @property
    def ref(self) -> str:
        """What it is called."""

    @property
    def key(self) -> str:
        """What tells its content from another's."""

    def fetch(self, folder: Path, job: Job) -> None:
        """Leave the package ``trove`` in ``folder``. Raises: CommandFailed, TimedOut."""


@dataclass(frozen=True)
class GitAgent:
    """A commit of Trove that ``ref`` of the repository ``source`` (a URL or a path) leads to."""

    source: str
    ref: str
    commit: str

    @property
    def key(self) -> str:
        """See Agent.key."""
        return self.commit

    def fetch(self, folder: Path, job: Job) -> None:
        """See Agent.fetch."""
        git = ("git", "--git-dir", folder / "git")
        job.run("git", "init", "--quiet", "--bare", folder / "git")
        process.run(*git, "fetch", "--quiet", self.source, self.ref)
        job.run(*git, "archive", f"--output={folder / 'trove.tar'}", self.commit, "trove")
        job.run("tar", "-x", "-C", folder, "-f", folder / "trove.tar")


@dataclass(frozen=True)
class WheelAgent:
    """Trove's wheel as a release's lock has it: ``requirement`` is its line there, version and hashes."""

    requirement: str

    @property
    def ref(self) -> str:
        """See Agent.ref."""
        return self.requirement.split()[0].partition("==")[2]

    @property
    def key(self) -> str:
        """See Agent.key."""
        return self.requirement

    def fetch(self, folder: Path, job: Job) -> None:
        """See Agent.fetch; this host's pip brings it from where it is configured to."""
        (folder / "trove.lock").write_text(self.requirement, encoding="utf-8")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        # the guest's Python takes it, whatever this host's is
        words = ("--ignore-requires-python", "--only-binary=:all:", "--require-hashes", f"--dest={folder}")
        job.run(*pip, *words, f"--requirement={folder / 'trove.lock'}")
        (wheel,) = folder.glob("trove-*.whl")
        job.run(sys.executable, "-m", "zipfile", "--extract", wheel, folder)


def install(agent: Agent, root: Path, job: Job) -> None:
    """Put its package in place of the distribution's in the tree ``root``. Raises: CommandFailed, TimedOut."""
    with tempfile.TemporaryDirectory(dir=root.parent) as name:
        agent.fetch(Path(name), job)
        job.as_root("rm", "-rf", root / PACKAGE)
        job.as_root("cp", "-r", "--no-preserve=ownership", Path(name) / "trove", root / PACKAGE)
    job.as_root("chroot", root, "python3", "-m", "compileall", "-q", f"/{PACKAGE}")


def from_git(home: Home, release: str, mirror: str) -> GitAgent:
    """The agent of the control plane's ``release``, from the folder ``mirror`` or, if empty, OpenStack's git.

    Which commit that is was settled when the lab was first made.

    Raises: GitUnreachable.
    """
    ref = catalog.load().release(release).trove.ref
    source = f"{mirror or GIT_BASE}/openstack/trove"
    return GitAgent(source, ref, home.state.get("agent.commit") or git_mirrors.head(source, ref))


def from_lock(release: str) -> WheelAgent:
    """The agent of the control plane's ``release``, by the lock that this is made from."""
    lines = (RESOURCES / "locks" / f"{release}.lock").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("trove=="))
    end = next(n for n, line in enumerate(lines[start:], start) if not line.endswith("\\"))
    return WheelAgent("\n".join(lines[start : end + 1]) + "\n")
