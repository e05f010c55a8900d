"""Folders of git mirrors: just the refs that a release needs, so that a lab can be made where no git server answers.

A mirror is ``FOLDER/openstack/NAME.git``, bare. It is DevStack's GIT_BASE as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.config import catalog
from lab.config.rows import Release
from lab.core import process
from lab.core.errors import BadFile, BadValue, CommandFailed, GitUnreachable, MirrorLacks, TimedOut
from lab.core.waits import Note

GIT_BASE = "https://opendev.org"
"""Where OpenStack's repositories are."""
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


def sync(folder: Path, names: list[str], source: str, note: Note, log: Path) -> None:
    """Bring every ref of the releases ``names`` from ``source``; safe to be killed and run again.

    Raises: GitUnreachable, DiskFull, Unsupported (no such release).
    """
    releases = [catalog.load().release(name) for name in names]
    for row in sorted({row for release in releases for row in wanted(release)}, key=lambda row: row.repository):
        note(f"{row.repository} {row.ref}")
        _fetch(folder / f"{row.repository}.git", f"{source.rstrip('/')}/{row.repository}", row.ref, log)


def status(folder: Path, release: Release) -> list[dict[str, str]]:
    """Each ref that a release needs, with the commit that the mirror has (empty: none)."""
    return [
        {"release": release.name, "what": row.repository, "ref": row.ref, "has": commit(folder, row) or ""}
        for row in wanted(release)
    ]


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
        process.run(*git, *fetch, log=log, timeout=FETCH_SECONDS)
    except CommandFailed as error:
        raise GitUnreachable(url, reason(error.last_lines)) from error
    process.run(*git, "symbolic-ref", "HEAD", into if into.startswith("refs/heads/") else f"refs/heads/{ref}")
