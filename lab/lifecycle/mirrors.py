"""``./inv mirror``: one folder with everything that a release needs, brought, carried and looked at.

git's part (lab/host/git_mirrors.py) is synced; the rest (lab/install/devstack/kept.py) is taken from a lab made
where there is a netlab.
"""

from __future__ import annotations

import errno
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.build.rootfs import digest
from lab.config import catalog, settings
from lab.containers import client
from lab.core import process, state
from lab.core.errors import BadFile, BadValue, DiskFull, Unsupported
from lab.core.home import cache
from lab.core.waits import Note
from lab.guest.images import Image
from lab.host import git_mirrors
from lab.host.git_mirrors import GIT_BASE
from lab.install.devstack import kept
from lab.install.devstack.kept import IMAGES, MACHINE, Kept
from lab.install.target import MARKS, Target
from lab.lifecycle import labs
from lab.lifecycle.lab import Lab
from lab.lifecycle.machine_steps import MachineSteps

ACTIONS = ("sync", "keep", "status", "export", "import")
TAR = "/var/tmp/trove-lab-packages.tar"


@dataclass(frozen=True)
class Request:
    """What was typed; ``name`` is the lab that ``keep`` takes from."""

    action: str
    mirror: str = ""
    releases: Sequence[str] = ()
    source: str = ""
    archive: str = ""
    name: str = ""


def command(wanted: Request, note: Note) -> list[dict[str, str]]:
    """Do it; what the mirror has then. Raises: BadValue, BadFile, GitUnreachable, DiskFull, what ``keep`` raises."""
    action, names = wanted.action, list(wanted.releases)
    if action not in ACTIONS:
        raise BadValue("action", action, ", ".join(ACTIONS), "mirror")
    if not wanted.mirror:
        raise BadValue("mirror", wanted.mirror, "the mirror's folder, as --mirror=DIR", "flag")
    if action in ("export", "import") and not wanted.archive:
        raise BadValue("archive", wanted.archive, "a file, as --archive=FILE", "flag")
    if action in ("sync", "status") and not names:
        raise BadValue("release", "", "one or several, as --release=2026.1,2025.2", "flag")
    folder, archive = Path(wanted.mirror), Path(wanted.archive)
    if action == "sync":
        git_mirrors.sync(folder, names, wanted.source or GIT_BASE, note, cache() / "mirror.log")
    elif action == "keep":
        names = [keep(folder, wanted.name, note)]
    elif action == "export":
        export(folder, archive)
    elif action == "import":
        bring(archive, folder)
    return status(folder, names or [r.name for r in catalog.load().releases if not git_mirrors.lacking(folder, r)])


def status(folder: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """What releases need, and what of it the mirror has. Raises: Unsupported (no such release), BadFile."""
    releases = [catalog.load().release(name) for name in names]
    return [row for r in releases for row in (*git_mirrors.status(folder, r), *kept.status(folder, r))]


def keep(folder: Path, name: str, note: Note) -> str:
    """Take packages and images from the lab ``name``, which runs; its release.

    Raises: NoSuchLab, LabBusy, Unsupported, BadValue, MirrorLacks, CommandFailed, TimedOut, DiskFull.
    """
    home = labs.home_of(name)
    again = f"./inv up --name={name}"
    spec = settings.from_dict(home.state.get("spec", {}), "the lab's state")
    if spec.installer != "devstack":
        raise Unsupported(
            f"Lab {name!r} was not made by DevStack, and a mirror is for such labs.",
            "./inv up --installer=devstack --name=NAME makes one where there is a netlab.",
        )
    release = catalog.load().release(spec.release)
    git_mirrors.check(folder, release)
    with state.lock(home.path, name):
        lab = Lab(home, spec)
        if lab.installer.settled["kept"]:
            raise Unsupported(
                f"Lab {name!r} was made from what the mirror {spec.mirror} keeps, so it adds nothing to that.",
                f"Carry that mirror: ./inv mirror export --mirror={spec.mirror} --archive=FILE.",
            )
        running = lab.machine.status() == "running"
        if not running or not lab.remote.run("test", "-e", f"{MARKS}/stacked", check=False).ok:
            raise Unsupported(f"Lab {name!r} has no running machine with OpenStack on it.", f"{again} makes it so.")
        if differing := _differing(folder, lab):
            raise Unsupported(
                f"Lab {name!r} was made from another commit of {differing} than the mirror {folder} has.",
                f"./inv up --name={name}-2 --installer=devstack --mirror={folder} makes one of the mirror.",
            )
        if client.find(MachineSteps(lab).image_tag()) is None or not all(image.whole() for image in _images(lab)):
            raise Unsupported(f"The images that lab {name!r} was made from are not there.", f"{again} makes them.")
        _keep(kept.folder(folder, spec), kept.key(folder, release), lab, note)
    return spec.release


def export(folder: Path, archive: Path) -> None:
    """The mirror as one uncompressed tar (what is large in it is compressed). Raises: BadValue."""
    if not folder.is_dir():
        raise BadValue("mirror", str(folder), "a folder that ./inv mirror sync made", "flag")
    part = archive.with_name(f"{archive.name}.part")
    with tarfile.open(part, "w") as tar:
        for path in _parts(folder):
            tar.add(path, path.relative_to(folder))
    part.replace(archive)


def bring(archive: Path, folder: Path) -> None:
    """Unpack what ``export`` wrote; what it keeps replaces what was kept there. Raises: BadFile, DiskFull."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            for parts in [Path(name).parts for name in tar.getnames()]:
                if len(parts) == 3 and parts[::2] == (kept.FOLDER, kept.RECORD) and parts[1] != "..":
                    shutil.rmtree(folder / kept.FOLDER / parts[1], ignore_errors=True)
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        if getattr(error, "errno", 0) == errno.ENOSPC:
            raise DiskFull(str(folder)) from error
        raise BadFile(archive, str(error), "Give a file that ./inv mirror export wrote.") from error


def _parts(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.glob("*/*.git")) if (path / "HEAD").exists())
    yield from (path.parent for path in sorted((folder / kept.FOLDER).glob(f"*/{kept.RECORD}")))


def _differing(folder: Path, lab: Lab) -> str:
    """The first repository whose commit on the machine is not the mirror's."""
    there = lab.installer.commits()
    for row in git_mirrors.wanted(catalog.load().release(lab.spec.release)):
        name = row.repository.partition("/")[2]
        if there.get(f"commit of {name}", git_mirrors.commit(folder, row)) != git_mirrors.commit(folder, row):
            return row.repository
    return ""


def _keep(target: Path, key: str, lab: Lab, note: Note) -> None:
    """Beside, then in the place of what was kept before."""
    part = target.with_name(f".{target.name}")
    shutil.rmtree(part, ignore_errors=True)
    (part / IMAGES).mkdir(parents=True)
    try:
        note("taking the packages")
        _packages(lab, part)
        note("saving the machine's image")
        client.save(MachineSteps(lab).image_tag(), part / IMAGES / MACHINE)
        for image in _images(lab):
            note(f"copying {image.name}")
            shutil.copyfile(image.path, part / IMAGES / image.path.name)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sums = {path.name: digest(path) for path in (target / IMAGES).iterdir()}
    Kept(target, key, MachineSteps(lab).image_tag(), {image.name: image.key for image in _images(lab)}, sums).write()
    process.run("chmod", "-R", "a+rX", target.parent)  # whatever our umask is: pip on the machine is another's


def _images(lab: Lab) -> list[Image]:
    return [image for one in lab.guests for image in (one.trove, one.smoke)]


def _packages(lab: Lab, part: Path) -> None:
    Target(lab.home, lambda: lab.remote, lab.spec.install_timeout).script("stack-packages.sh", TAR)
    local = part / "packages.tar"
    lab.remote.get(TAR, local)
    lab.remote.run("rm", TAR)
    with tarfile.open(local) as tar:
        tar.extractall(part, filter="data")
    local.unlink()
