"""The support matrix: one row for each release and distribution that go together, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Column, Table

from lab.config import catalog
from lab.config.rows import Proof, Release

COLUMNS = ("release", "state", "installer", "proven")
"""What fits a line of 80 characters beside the distributions; ``--json`` has the rest."""


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


def pairs(distro: str = "", release: str = "") -> list[Pair]:
    """The catalog's pairs, of one distribution or release if given; oldest first, preferred distributions first.

    Raises: Unsupported (there is no such one).
    """
    rows = catalog.load()
    only = rows.distro(distro).name if distro else ""
    if release:
        rows.release(release)
    return [
        Pair(
            one.name,
            one.state,
            name,
            installer,
            rows.distro(name).providers,
            *_parts(one, installer, rows.distro(name).python),
            rows.guest_image(one.name) if installer == "devstack" else "built and proven by the lab",
            *rows.proof(name, one.name, installer),
        )
        for one in rows.releases
        for installer in rows.installers
        for name in rows.distros_for(one.name, installer)
        if release in ("", one.name) and only in ("", name)
    ]


def as_json(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The pairs as plain values (``./inv releases --json``)."""
    return [asdict(pair) for pair in pairs]


def table(pairs: Sequence[Pair]) -> Table:
    """One line for each release, installer and way of proof."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for pair in pairs:
        grouped.setdefault(tuple(getattr(pair, name) for name in COLUMNS), []).append(pair.distro)
    shown = Table(*(Column(name, no_wrap=True) for name in COLUMNS), "distributions", box=None, padding=(0, 2, 0, 0))
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
