"""Folders of git mirrors: just the refs that a release needs, so that a lab can be made where no git server answers.

A mirror is ``FOLDER/openstack/NAME.git``, bare. It is DevStack's GIT_BASE as it is.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import catalog, process
from lab.errors import BadFile, BadValue, CommandFailed, GitUnreachable, MirrorLacks, TimedOut
from lab.home import cache
from lab.install.localconf import GIT_BASE
from lab.rows import Release
from lab.waits import Note

IN_MACHINE = "/opt/mirror"
"""Where a machine sees the mirror."""
REPOSITORIES = {
    "CINDER": "cinder",
    "GLANCE": "glance",
    "KEYSTONE": "keystone",
    "NEUTRON": "neutron",
    "NOVA": "nova",
    "PLACEMENT": "placement",
    "REQUIREMENTS": "requirements",
    "TROVE_CLIENT": "python-troveclient",
}
"""Prefix of DevStack's branch setting to repository, of those that the lab's choice of services clones."""
ACTIONS = ("sync", "status", "export", "import")
FETCH_SECONDS = 3600
LOOK_SECONDS = 60


@dataclass(frozen=True)
class Wanted:
    """One ref of one repository (``openstack/nova``)."""

    repository: str
    ref: str


def wanted(release: Release) -> list[Wanted]:
    """What stack.sh of a release clones."""
    rows = [Wanted("openstack/devstack", release.devstack.ref)]
    if release.trove.how == "plugin":
        rows.append(Wanted("openstack/trove", release.trove.ref))
    branches = {name.removesuffix("_BRANCH"): ref for name, ref in release.branches.items()}
    names = {**REPOSITORIES, "TROVE": "trove"}
    rows += [Wanted(f"openstack/{names[name]}", ref) for name, ref in branches.items() if name in names]
    if release.name == "master":
        rows.append(Wanted("openstack/trove-tempest-plugin", "master"))
    if release.nova_docker.ref:
        rows.append(Wanted("x/nova-docker", release.nova_docker.ref))
    return sorted(set(rows), key=lambda row: (row.repository, row.ref))


def lacking(folder: Path, release: Release) -> list[Wanted]:
    """What ``folder`` has not."""
    return [row for row in wanted(release) if commit(folder, row) is None]


def check(folder: Path, release: Release) -> None:
    """Refuse a mirror that cannot serve a release. Raises: BadValue, BadFile, MirrorLacks."""
    if not folder.is_dir() or "," in str(folder):
        raise BadValue("mirror", str(folder), "a folder that ./inv mirror sync made", "flag")
    if missing := lacking(folder, release):
        raise MirrorLacks(folder, [f"{row.ref} of {row.repository}" for row in missing], release.name)
    for path in (folder, *folder.rglob("*")):
        if not path.stat().st_mode & (0o005 if path.is_dir() else 0o004):
            raise BadFile(path, "the machine's users may not", f"chmod -R a+rX {folder}")


def reachable(url: str) -> None:
    """Refuse a repository that git cannot read from here. Raises: GitUnreachable."""
    if not process.have("git"):
        return  # the machine will have it
    try:
        process.run("git", "ls-remote", "--exit-code", url, "HEAD", timeout=LOOK_SECONDS)
    except (CommandFailed, TimedOut) as error:
        raise GitUnreachable(url, reason(getattr(error, "last_lines", ""))) from error


def head(url: str, ref: str) -> str:
    """The commit that ``ref`` of a repository leads to at this moment. Raises: GitUnreachable."""
    try:
        names = (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}")
        listed = process.run("git", "ls-remote", "--exit-code", url, *names, timeout=LOOK_SECONDS)
    except (CommandFailed, TimedOut) as error:
        said = getattr(error, "last_lines", "")
        raise GitUnreachable(url, reason(said) if said else f"it has no {ref}") from error
    # of an annotated tag the commit behind it, which git names last
    return listed.stdout.splitlines()[-1].split("\t")[0]


def commit(folder: Path, row: Wanted) -> str | None:
    """The commit that a mirror has for a ref."""
    repository = folder / f"{row.repository}.git"
    if not repository.is_dir():
        return None
    done = process.run(
        "git", "--git-dir", repository, "rev-parse", "--quiet", "--verify", f"{row.ref}^{{commit}}", check=False
    )
    return done.stdout.strip() if done.ok else None


def command(
    action: str, folder: str, names: Sequence[str], source: str, archive: str, note: Note
) -> list[dict[str, str]]:
    """``./inv mirror ACTION``: what the mirror has then. Raises: BadValue, BadFile, GitUnreachable, DiskFull."""
    if action not in ACTIONS:
        raise BadValue("action", action, ", ".join(ACTIONS), "mirror")
    if not folder:
        raise BadValue("mirror", folder, "the mirror's folder, as --mirror=DIR", "flag")
    if action in ("export", "import") and not archive:
        raise BadValue("archive", archive, "a file, as --archive=FILE", "flag")
    if action in ("sync", "status") and not names:
        raise BadValue("release", "", "one or several, as --release=2026.1,2025.2", "flag")
    where, file = Path(folder), Path(archive)
    if action == "sync":
        return sync(where, list(names), source or GIT_BASE, note, cache() / "mirror.log")
    if action == "export":
        export(where, file)
    elif action == "import":
        bring(file, where)
    return status(where, list(names) or [r.name for r in catalog.load().releases if not lacking(where, r)])


def sync(folder: Path, names: list[str], source: str, note: Note, log: Path) -> list[dict[str, str]]:
    """Bring every ref of the releases ``names`` from ``source``; safe to be killed and run again.

    Raises: GitUnreachable, DiskFull, Unsupported (no such release).
    """
    releases = [catalog.load().release(name) for name in names]
    for row in sorted({row for release in releases for row in wanted(release)}, key=lambda row: row.repository):
        note(f"{row.repository} {row.ref}")
        _fetch(folder / f"{row.repository}.git", f"{source.rstrip('/')}/{row.repository}", row.ref, log)
    return status(folder, names)


def status(folder: Path, names: list[str]) -> list[dict[str, str]]:
    """Each ref that releases need, with the commit that the mirror has (empty: none)."""
    return [
        {"release": name, "repository": row.repository, "ref": row.ref, "commit": commit(folder, row) or ""}
        for name in names
        for row in wanted(catalog.load().release(name))
    ]


def export(folder: Path, archive: Path) -> Path:
    """The mirror as one uncompressed tar (git's packs are compressed). Raises: BadValue."""
    if not folder.is_dir():
        raise BadValue("mirror", str(folder), "a folder that ./inv mirror sync made", "flag")
    part = archive.with_name(f"{archive.name}.part")
    with tarfile.open(part, "w") as tar:
        for path in _repositories(folder):
            tar.add(path, path.relative_to(folder))
    return part.replace(archive)


def bring(archive: Path, folder: Path) -> None:
    """Unpack what ``export`` wrote. Raises: BadFile."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise BadFile(archive, str(error), "Give a file that ./inv mirror export wrote.") from error


def reason(text: str) -> str:
    """git's own reason in what it said."""
    lines = [line for line in text.splitlines() if line.startswith(("fatal: ", "error: "))]
    return (lines[0].partition(": ")[2] if lines else text.strip() or "it did not answer").rstrip(".")


def _fetch(repository: Path, url: str, ref: str, log: Path) -> None:
    git = ("git", "--git-dir", repository)
    for path in (repository.parent.parent, repository.parent):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)  # whatever our umask is: those who clone on the machine are others
    if not (repository / "HEAD").exists():
        process.run("git", "init", "--quiet", "--bare", "--shared=all", repository, log=log)
        # a commit that no branch leads to (kilo's DevStack) is asked for by its name
        process.run(*git, "config", "uploadpack.allowAnySHA1InWant", "true")
    try:
        listed = process.run("git", "ls-remote", url, f"refs/heads/{ref}", f"refs/tags/{ref}", timeout=LOOK_SECONDS)
        known = [line.split("\t")[1] for line in listed.stdout.splitlines()]
        # tags that lead to what is fetched come along: pbr tells versions from them
        full = known[0] if known else ref
        into = full if known else f"refs/heads/lab-{ref}"
        fetch = ("fetch", "--force", "--no-write-fetch-head", url, f"+{full}:{into}")
        process.run(*git, *fetch, log=log, timeout=FETCH_SECONDS, timeout_setting="the fetch's own limit")
    except CommandFailed as error:
        raise GitUnreachable(url, reason(error.last_lines)) from error
    process.run(*git, "symbolic-ref", "HEAD", into if into.startswith("refs/heads/") else f"refs/heads/{ref}")


def _repositories(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*/*.git")) if (path / "HEAD").exists())
