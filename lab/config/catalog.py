"""What goes together: OpenStack releases, distributions, providers, installers; read from lab/config/catalog.toml."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lab.config import schema
from lab.config.rows import (
    FACTS,
    HYPERVISORS,
    Distro,
    Installer,
    Plugin,
    Preparation,
    Proof,
    Proven,
    Range,
    Release,
    Services,
    Setting,
    Trap,
    listed,
)
from lab.core.errors import BadFile, Unsupported

FILE = Path(__file__).with_name("catalog.toml")
Row = TypeVar("Row", bound=Range)
Named = TypeVar("Named", Release, Distro)


@dataclass(frozen=True)
class Catalog:
    """All rows; releases oldest first. Look up with the methods: they refuse with what does work."""

    releases: tuple[Release, ...]
    distros: tuple[Distro, ...]
    installers: Mapping[str, Installer]
    providers: tuple[str, ...]
    services: tuple[Services, ...]
    settings: tuple[Setting, ...]
    preparations: tuple[Preparation, ...]
    plugins: tuple[Plugin, ...]
    guest_images: tuple[Range, ...]
    traps: tuple[Trap, ...] = ()
    proven: tuple[Proven, ...] = ()

    def release(self, name: str) -> Release:
        """A release by name. Raises: Unsupported."""
        return _named(self.releases, name, "OpenStack release")

    def distro(self, name: str) -> Distro:
        """A distribution by name. Raises: Unsupported."""
        word = plain(name)
        for row in self.distros:
            if word and word in map(plain, (row.name, row.title, row.codename)):
                return row
        return _named(self.distros, name, "distribution")

    def rows(self, rows: tuple[Row, ...], release: str, words: frozenset[str] = frozenset()) -> list[Row]:
        """Those of ``rows`` that hold for a release and a machine described by ``words``, in order."""
        order = [r.name for r in self.releases]
        at = order.index(release)
        return [
            row
            for row in rows
            if (order.index(row.since) if row.since else 0) <= at
            and at <= (order.index(row.until) if row.until else at)
            and words.issuperset(row.when)
        ]

    def guest_image(self, release: str) -> str:
        """Where the release's Trove expects its guest image to come from."""
        return "; ".join(row.why for row in self.rows(self.guest_images, release))

    def releases_on(self, distro: str, installer: str) -> tuple[str, ...]:
        """Releases that an installer can put on a distribution, oldest first."""
        if installer == "packages":
            return tuple(filter(None, [self.distro(distro).packages]))
        if installer == "wheels":
            row = self.installers[installer]
            return tuple(row.locks) if distro == row.distro else ()
        return tuple(r.name for r in self.releases if distro in r.distros)

    def distros_for(self, release: str, installer: str) -> tuple[str, ...]:
        """Distributions on which an installer can put a release, the preferred one first."""
        if installer == "packages":
            return tuple(d.name for d in self.distros if d.packages == release)
        if installer == "wheels":
            row = self.installers[installer]
            return (row.distro,) if release in row.locks else ()
        return self.release(release).distros

    def check(self, distro: str, release: str, installer: str, provider: str = "", hypervisor: str = "") -> None:
        """Refuse what cannot work, naming what does. Raises: Unsupported.

        ``provider`` and ``hypervisor`` may be left out while they are not chosen.
        """
        machine, wanted = self.distro(distro), self.release(release)
        if installer not in self.installers:
            raise Unsupported(f"There is no installer {installer!r}.", f"Give {listed(self.installers)}.")
        if distro not in self.distros_for(release, installer):
            raise self._mismatch(distro, release, installer)
        if provider and provider not in self.providers:
            raise Unsupported(f"There is no provider {provider!r}.", f"Give {listed(self.providers)}.")
        if provider and provider not in machine.providers:
            theirs = listed(d.name for d in self.distros if provider in d.providers)
            raise Unsupported(
                f"Provider {provider} has no machine of {distro}.",
                f"{distro} runs under {listed(machine.providers)}; {provider} has {theirs}.",
            )
        if hypervisor == "docker" and installer == "devstack" and wanted.nova_docker.how == "none":
            theirs = listed(r.name for r in self.releases if r.nova_docker.how != "none")
            raise Unsupported(
                f"There is no Nova driver for Docker in {release}.",
                f"There is one in {theirs}; for {release} give --hypervisor=kvm, qemu or lxc.",
            )

    def nearest(self, release: str, providers: Collection[str]) -> str:
        """The release next to ``release`` (AUTO: the newest) that DevStack puts on a machine of one of ``providers``.

        Empty, where there is none.
        """
        order = [r.name for r in self.releases if r.state != "development"]
        wanted = order.index(release) if release in order else len(order)
        having = {d.name for d in self.distros if set(d.providers) & set(providers)}
        fit = [name for name in order if having & set(self.release(name).distros)]
        return min(fit, key=lambda name: abs(order.index(name) - wanted), default="")

    def proof(self, distro: str, release: str, installer: str) -> tuple[Proof, str]:
        """How a combination is known to work, and a note."""
        for row in self.proven:
            if (row.installer, row.release, row.distro) == (installer, release, distro):
                return row.how, row.note
        if installer == "devstack":
            return "parsed", f"by DevStack {self.release(release).devstack.commit[:8]}"
        return "unproven", ""

    def _mismatch(self, distro: str, release: str, installer: str) -> Unsupported:
        if installer == "packages":
            have = listed(f"{d.packages} on {d.name}" for d in self.distros if d.packages)
            return Unsupported(
                f"The packages installer has no OpenStack {release} on {distro}.",
                f"It has {have}; ./inv releases shows what --installer=devstack has.",
            )
        if installer == "wheels":
            row = self.installers[installer]
            return Unsupported(
                f"The wheels installer has no OpenStack {release} on {distro}.",
                f"It has {listed(row.locks)} on {row.distro}; ./inv releases shows what the others have.",
            )
        here = self.releases_on(distro, installer)
        if not self.release(release).distros:
            return Unsupported(
                f"The lab does not know DevStack's branch of {release} yet.",
                f"./inv up --release={release} takes it from PyPI; ./inv releases --distro={distro} has the others.",
            )
        return Unsupported(
            f"DevStack's stack.sh of {release} refuses {distro}.",
            f"{release} works on {listed(self.release(release).distros)}; {distro} takes {listed(here)}.",
        )


@functools.cache
def load(path: Path = FILE) -> Catalog:
    """Read and check the catalog. Raises: BadFile."""
    try:
        with path.open("rb") as file:
            catalog = schema.build(Catalog, tomllib.load(file), "catalog")
        _consistent(catalog)
    except (OSError, ValueError) as error:
        raise BadFile(path, str(error), "Mend the row that it names.") from error
    return catalog


def _consistent(catalog: Catalog) -> None:
    """Names that rows refer to must have a row. Raises: SchemaError."""
    ranges: list[Range] = [
        *catalog.services,
        *catalog.settings,
        *catalog.preparations,
        *catalog.plugins,
        *catalog.guest_images,
    ]
    releases = {name for row in ranges for name in (row.since, row.until)}
    releases |= {d.packages for d in catalog.distros} | {p.release for p in catalog.proven}
    releases |= {name for i in catalog.installers.values() for name in i.locks}
    distros = {name for r in catalog.releases for name in r.distros}
    distros |= {p.distro for p in catalog.proven} | {i.distro for i in catalog.installers.values()}
    for kind, used, rows in (("release", releases, catalog.releases), ("distribution", distros, catalog.distros)):
        names = [row.name for row in rows]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise schema.SchemaError(f"{kind} {min(doubled)!r} has two rows")
        if missing := used - {*names, ""}:
            raise schema.SchemaError(f"a row names {kind} {min(missing)!r}, which has no row")
    machine = {word for d in catalog.distros for word in (d.name, d.family, f"python{d.python}")}
    if unknown := {word for row in ranges for word in row.when} - machine - {*HYPERVISORS, *FACTS}:
        raise schema.SchemaError(f"a row asks for {min(unknown)!r}, which no machine can be")
    for row in catalog.settings:
        for name, value in row.set.items():
            # DevStack evaluates options of files in its shell, unquoted (merge_config_file in inc/meta-config)
            if row.file and not (re.fullmatch(r"\w+\.\w+", name) and re.fullmatch(r"[\w./:-]+", value)):
                raise schema.SchemaError(f"{name!r} = {value!r} is no section.option with a plain value")


@functools.cache
def plain(words: str) -> str:
    """``ubuntu14.04``, ``Ubuntu 14.04`` and ``ubuntu-1404`` are one."""
    return re.sub(r"[^a-z0-9]", "", words.lower())


def _named(rows: tuple[Named, ...], name: str, kind: str) -> Named:
    for row in rows:
        if row.name == name:
            return row
    names = [row.name for row in rows]
    near = difflib.get_close_matches(name.lower(), names, 1)
    raise Unsupported(
        f"There is no {kind} {name!r} here.",
        (f"Did you mean {near[0]}? " if near else "") + f"Known: {', '.join(names)}.",
    )
