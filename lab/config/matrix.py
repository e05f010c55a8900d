"""The support matrix: one row for each release and distribution that go together, for people and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from lab.config import catalog
from lab.config.rows import Proof, Release

COLUMNS = ("release", "state", "installer", "trove", "nova_docker", "network", "proven")


@dataclass(frozen=True)
class Pair:
    """A release on a distribution by one installer."""

    release: str
    state: str
    distro: str
    installer: str
    providers: tuple[str, ...]
    trove: str
    nova_docker: str
    network: str
    python: str
    guest_image: str
    proven: Proof
    note: str


def pairs() -> list[Pair]:
    """Every pair that the catalog has; releases oldest first, a release's preferred distribution first."""
    rows = catalog.load()
    return [
        Pair(
            release.name,
            release.state,
            distro,
            installer,
            rows.distro(distro).providers,
            *_parts(release, installer, rows.distro(distro).python),
            rows.guest_image(release.name) if installer == "devstack" else "built and proven by the lab",
            *rows.proof(distro, release.name, installer),
        )
        for release in rows.releases
        for installer in rows.installers
        for distro in rows.distros_for(release.name, installer)
    ]


def as_json() -> list[dict[str, Any]]:
    """The pairs as plain values (``./inv releases --json``)."""
    return [asdict(pair) for pair in pairs()]


def table() -> Table:
    """One line for each release, installer and way of proof."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for pair in pairs():
        grouped.setdefault(tuple(getattr(pair, name) for name in COLUMNS), []).append(pair.distro)
    shown = Table(*(name.replace("_", "-") for name in COLUMNS), "distributions")
    for line, distros in grouped.items():
        shown.add_row(*line, " ".join(distros))
    return shown


def _parts(release: Release, installer: str, python: str) -> tuple[str, str, str, str]:
    if installer == "packages":
        return "package", "none", "-", python
    docker = release.nova_docker
    return (
        f"{release.trove.how} {release.trove.ref}",
        f"{docker.how} {docker.ref}".strip(),
        release.network,
        release.python if release.python == "2.7" else python,
    )
