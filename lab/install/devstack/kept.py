"""What a mirror keeps of a release beside git: packages and images, so that nothing else has to answer.

``MIRROR/kept/RELEASE-DISTRO-HYPERVISOR/`` has ``wheels/``, which pip of the machine takes instead of an index,
``debs/`` (what stack.sh asked apt for on top of the machine's image), ``images/`` (the machine's as Docker saves it,
the guests' as they lie in the cache), and ``kept.json``, the record.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.build.content_key import content
from lab.build.rootfs import digest
from lab.config import catalog
from lab.config.rows import Release
from lab.config.settings import LabSpec
from lab.containers import client
from lab.core.errors import BadFile, MirrorStale
from lab.core.home import Home
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.core.state import write_atomically
from lab.guest import sources as guest_sources
from lab.guest.guests import Guests
from lab.guest.images import Image
from lab.host import git_mirrors

FOLDER, RECORD, MACHINE = "kept", "kept.json", "machine.tar"
WHEELS, DEBS, IMAGES = KINDS = ("wheels", "debs", "images")
SOURCES = (
    *(RESOURCES / "dockerfiles" / name for name in ("backup", "base", "devstack", "mariadb", "postgresql")),
    *guest_sources.SOURCES,
)
"""What of the project decides how images are made; not what a host adds: its Debian mirror, its authorities."""


@dataclass(frozen=True)
class Kept:
    """What ``folder`` keeps.

    ``machine`` is the tag of the machine's image, ``guests`` names to keys of the guests' images, ``sums`` file names
    of all of them to SHA-256.
    """

    folder: Path
    key: str
    machine: str
    guests: Mapping[str, str]
    sums: Mapping[str, str]

    @property
    def in_machine(self) -> str:
        """Where the machine sees it."""
        return f"{git_mirrors.IN_MACHINE}/{FOLDER}/{self.folder.name}"

    def load(self, job: Job) -> None:
        """Give Docker the machine's image. Raises: BadFile, CommandFailed, DiskFull, TimedOut."""
        job.note("giving Docker the mirror's image")
        client.load(self._file(MACHINE), job.seconds)

    def instead_of(self, built: Guests) -> Guests:
        """The guests' images that are taken from here instead of being ``built``."""
        return dataclasses.replace(built, trove=self._image(built.trove), smoke=self._image(built.smoke))

    def write(self) -> None:
        """Write the record; it is what makes a folder one that ``read`` gives."""
        facts = {"key": self.key, "machine": self.machine, "guests": dict(self.guests), "sums": dict(self.sums)}
        write_atomically(self.folder / RECORD, json.dumps(facts, indent=1))

    def _image(self, built: Image) -> Image:
        key = self.guests[built.name]

        def take(target: Path, job: Job) -> None:
            job.note("taking it from the mirror")
            shutil.copyfile(self._file(f"{built.name}-{key}.{built.format.suffix}"), target)

        return dataclasses.replace(built, key=key, make=take)

    def _file(self, name: str) -> Path:
        path = self.folder / IMAGES / name
        if not path.is_file() or digest(path) != self.sums.get(name):
            raise BadFile(path, "it is not the file that was kept", "Bring it anew: ./inv mirror import.")
        return path


def folder(where: Path, spec: LabSpec) -> Path:
    """Where the mirror ``where`` keeps what a lab of ``spec`` takes."""
    return where / FOLDER / f"{spec.release}-{spec.distro}-{spec.hypervisor}"


def read(folder: Path) -> Kept | None:
    """What ``folder`` keeps, if it keeps anything. Raises: BadFile."""
    record = folder / RECORD
    if not record.exists():
        return None
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        known = ({str(k): str(v) for k, v in facts[name].items()} for name in ("guests", "sums"))
        return Kept(folder, str(facts["key"]), str(facts["machine"]), *known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile(
            record, f"{type(error).__name__}: {error}", f"./inv mirror keep writes it anew; or remove {folder}."
        ) from error


def of(home: Home, spec: LabSpec) -> Kept | None:
    """What a lab of DevStack takes from its mirror; whether it does was settled when it was first made.

    Raises: BadFile, MirrorStale.
    """
    settled = home.state.get("kept")
    if not spec.mirror or settled == "":
        return None
    there = folder(Path(spec.mirror), spec)
    found = read(there)
    wanted = settled or key(Path(spec.mirror), catalog.load().release(spec.release))
    if (found and found.key != wanted) or (settled and not found):
        raise MirrorStale(there, spec.mirror)
    return found


def key(where: Path, release: Release) -> str:
    """What a release is made from: the project's own sources, and the commits that the mirror ``where`` has."""
    return content(
        *SOURCES, *(f"{row.repository} {git_mirrors.commit(where, row)}" for row in git_mirrors.wanted(release))
    )


def status(where: Path, release: Release) -> list[dict[str, str]]:
    """A row for each folder of that release, as ``mirror.status`` has one for each ref; one that says: nothing."""
    rows = []
    for there in sorted((where / FOLDER).glob(f"{release.name}-*-*")):
        if found := read(there):
            says = "" if found.key == key(where, release) else ", of other sources than now: ./inv mirror keep again"
            for name in KINDS:
                sizes = [path.stat().st_size for path in (there / name).iterdir()]
                has = f"{len(sizes)} files, {sum(sizes) >> 20} MiB{says}"
                rows.append({"release": release.name, "what": f"{name} {there.name}", "ref": "", "has": has})
    return rows or [{"release": release.name, "what": ", ".join(KINDS), "ref": "", "has": ""}]
