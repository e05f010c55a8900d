"""The Trove guest's recipe: root filesystem, guest agent, datastore images preloaded, bootable disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from lab.build import archive, rootfs
from lab.build.content_key import content
from lab.build.disk import Disk
from lab.containers import client
from lab.core import process
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.guest import agent as agents
from lab.guest import backup, datastores
from lab.guest.agent import Agent
from lab.guest.datastores import Datastore
from lab.guest.sources import SOURCES

FOLDER = RESOURCES / "images" / "trove-guest"
PRELOAD = RESOURCES / "images" / "preload.sh"
SIZE_MIB = 2048
"""The root file system; growpart takes the flavor's disk at first boot."""
COMMAND_LINE = "console=ttyS0 loglevel=4 systemd.show_status=true 8250.nr_uarts=1"


@dataclass(frozen=True)
class Recipe:
    """The guest of one Debian suite; ``agent``: its guest agent, where that is not the suite's own."""

    suite: str
    agent: Agent | None = None
    backups: bool = False

    @cached_property
    def datastores(self) -> tuple[Datastore, ...]:
        """What it carries."""
        return datastores.load(self.suite)

    @cached_property
    def _rootfs(self) -> rootfs.Recipe:
        packages = (FOLDER / "packages").read_text().split()
        return rootfs.Recipe(self.suite, tuple(packages), rootfs.sources(self.suite), hooks=())

    @cached_property
    def key(self) -> str:
        """Hash of all that it is made from."""
        carried = [d.key for d in self.datastores] + ([backup.key(self.suite)] if self.backups else [])
        own = self.agent.key if self.agent else ""
        return content(json.dumps(asdict(self._rootfs)), *carried, own, *SOURCES)

    def build(self, target: Path, job: Job) -> None:
        """Write the qcow2. Raises: CommandFailed, DiskFull, TimedOut, GaveUp."""
        with self._tree(target.with_suffix(".work"), job) as root:
            job.note("making the disk image")
            Disk(root, "trove-guest", SIZE_MIB, COMMAND_LINE, job, tools=root).build(target)

    def build_container(self, target: Path, job: Job) -> None:
        """Write the archive for ``docker load``. Raises: CommandFailed, DiskFull, TimedOut, GaveUp."""
        with self._tree(target.with_suffix(".work"), job) as root:
            job.note("making the image archive")
            # overlayfs does not stack on overlayfs: the guest's own Docker needs a volume
            archive.write(root, target, volumes=["/var/lib/docker"], job=job)

    @contextlib.contextmanager
    def _tree(self, work: Path, job: Job) -> Iterator[Path]:
        tags = [datastore.build(job) for datastore in self.datastores]
        if self.backups:
            tags.append(backup.build(self.suite, job))
        rootfs.clear(work)
        work.mkdir()
        try:
            self.tree(work / "root", tags, job)
            yield work / "root"
        finally:
            process.run(*process.as_root("rm", "-rf", "--one-file-system", work))

    def tree(self, root: Path, tags: list[str], job: Job) -> None:
        """The root filesystem, without what only a disk needs; a container guest starts from it as well."""
        job.note("making the root filesystem (mmdebstrap)")
        rootfs.make(self._rootfs, root, job)
        job.as_root("cp", "-r", "--no-preserve=all", f"{FOLDER / 'overlay'}/.", root)
        job.as_root("sh", FOLDER / "finish.sh", root)
        if self.agent:
            job.note(f"putting in the guest agent of Trove {self.agent.ref}")
            agents.install(self.agent, root, job)
        job.note("loading the datastores' images into the guest's Docker")
        archives = {tag: root.parent / f"{tag.split('/')[-1].replace(':', '-')}.tar" for tag in tags}
        for tag, file in archives.items():
            client.save(tag, file)
        process.run(
            *process.as_root("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", PRELOAD, root),
            *(word for pair in archives.items() for word in pair),
        )
        for saved in archives.values():
            saved.unlink()
