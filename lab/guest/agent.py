"""Trove's guest agent from git: that of the very release of the control plane, on the distribution's libraries."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.config import catalog
from lab.core import process
from lab.core.home import Home
from lab.core.job import Job
from lab.host import git_mirrors
from lab.host.git_mirrors import GIT_BASE

PACKAGE = "usr/lib/python3/dist-packages/trove"
"""Where the distribution's package has it; its dependencies, programs and units stay."""


@dataclass(frozen=True)
class Agent:
    """A commit of Trove that ``ref`` of the repository ``source`` (a URL or a path) leads to."""

    source: str
    ref: str
    commit: str

    def install(self, root: Path, job: Job) -> None:
        """Put its package in place of the distribution's in the tree ``root``. Raises: CommandFailed, TimedOut."""
        with tempfile.TemporaryDirectory(dir=root.parent) as name:
            git = ("git", "--git-dir", f"{name}/git")
            job.run("git", "init", "--quiet", "--bare", f"{name}/git")
            process.run(
                *git, "fetch", "--quiet", self.source, self.ref)  # fmt: skip
            job.run(*git, "archive", f"--output={name}/trove.tar", self.commit, "trove")
            job.as_root("rm", "-rf", root / PACKAGE)
            target = (root / PACKAGE).parent
            job.as_root("tar", "-x", "--no-same-owner", "-C", target, "-f", f"{name}/trove.tar")
        job.as_root("chroot", root, "python3", "-m", "compileall", "-q", f"/{PACKAGE}")


def of(home: Home, release: str, mirror: str) -> Agent:
    """The agent of the control plane's ``release``, from the folder ``mirror`` or, if empty, OpenStack's git.

    Which commit that is was settled when the lab was first made.

    Raises: GitUnreachable.
    """
    ref = catalog.load().release(release).trove.ref
    source = f"{mirror or GIT_BASE}/openstack/trove"
    return Agent(source, ref, home.state.get("agent.commit") or git_mirrors.head(source, ref))
