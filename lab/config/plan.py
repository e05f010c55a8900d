"""From a spec to a plan: every ``auto`` is decided by what this host was seen to be able to do, and says why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.config import addons, catalog
from lab.config.catalog import Catalog
from lab.config.settings import AUTO, NOTHING, LabSpec
from lab.core.errors import Unsupported

OWN = ("packages", "wheels")
"""Installers whose cloud the lab configures itself, and their hypervisors."""
OWN_HYPERVISORS = ("kvm", "qemu", "docker")
AUTOMATIC = ("docker", "libvirt")
"""Providers that the plan chooses by itself, in this order."""


@dataclass(frozen=True)
class Facts:
    """What probing found; see lab/doctor. Each is (yes or no, its words); ``kvm`` None: not to be tried yet."""

    docker: tuple[bool, str]
    libvirt: tuple[bool, str]
    virtualbox: tuple[bool, str]
    kvm: tuple[bool | None, str]


@dataclass(frozen=True)
class Choice:
    """One decided setting."""

    setting: str
    value: str
    why: str


@dataclass(frozen=True)
class Plan:
    """A spec without ``auto``, and the reason for each choice."""

    spec: LabSpec
    choices: tuple[Choice, ...]


def decide(spec: LabSpec, origins: Mapping[str, str], facts: Facts) -> Plan:
    """Fill in every ``auto``. Raises: Unsupported, if what was asked for does not work together, or here."""
    known = catalog.load()
    if spec.distro != AUTO:
        spec = dataclasses.replace(spec, distro=known.distro(spec.distro).name)
    if spec.release != AUTO:
        known.release(spec.release)
    by = installer(known, spec, origins)
    spec = dataclasses.replace(spec, installer=by.value)
    if spec.distro != AUTO:  # what never goes together is told before what this host lacks
        release = spec.release if spec.release != AUTO else _release(known, spec.distro, spec.installer).value
        known.check(spec.distro, release, spec.installer)
    provider = _provider(known, spec, facts)
    distro = _distro(known, spec, provider.value)
    chosen = {c.setting: c for c in (provider, by, distro)}
    value = {k: getattr(spec, k) if getattr(spec, k) != AUTO else c.value for k, c in chosen.items()}
    newest = _release(known, value["distro"], value["installer"])
    named = spec.release if spec.release != AUTO else newest.value
    containers = value["installer"] in OWN or known.release(named).nova_docker.how == "lab"
    hypervisor = _hypervisor(facts, value["provider"], containers)
    choices = []
    for choice in (provider, distro, newest, by, hypervisor):
        asked = getattr(spec, choice.setting)
        if asked == AUTO or choice is by:
            choices.append(choice)
        else:
            choices.append(Choice(choice.setting, asked, f"asked for ({origins.get(choice.setting, 'given')})"))
    values: dict[str, Any] = {choice.setting: choice.value for choice in choices}
    takes = known.installers[values["installer"]]
    sizes = (
        ("memory", takes.memory, takes.memory_why),
        ("disk", takes.disk, "a virtual machine's; a container has none"),
    )
    for setting, size, why in sizes:
        values[setting] = getattr(spec, setting) or size
        asked_for = f"asked for ({origins.get(setting, 'given')})"
        choices.append(Choice(setting, f"{values[setting]} GiB", asked_for if getattr(spec, setting) else why))
    decided = dataclasses.replace(spec, **values)
    _check(known, decided, facts)
    return Plan(decided, tuple(choices))


def _check(known: Catalog, decided: LabSpec, facts: Facts) -> None:
    """Raises: Unsupported, if what was decided does not go together."""
    if "kvm" in (decided.hypervisor, decided.beside) and facts.kvm[0] is False and decided.provider != "ssh":
        setting = "hypervisor" if decided.hypervisor == "kvm" else "beside"
        raise Unsupported(f"KVM cannot be used here: {facts.kvm[1]}.", f"Leave out --{setting}, or give qemu.")
    if decided.installer in OWN and decided.hypervisor not in OWN_HYPERVISORS:
        raise Unsupported(
            f"The {decided.installer} installer has no hypervisor {decided.hypervisor}.",
            f"Give --hypervisor={' or '.join(OWN_HYPERVISORS)}; ./inv render knows {decided.hypervisor}.",
        )
    if decided.mirror and decided.installer != "devstack":
        raise Unsupported(
            f"The {decided.installer} installer clones nothing, so a mirror is of no use to it.",
            "Leave out --mirror, or give --installer=devstack.",
        )
    if decided.provider == "ssh" and decided.installer == "wheels":
        raise Unsupported(
            "The wheels installer puts nothing on a machine of yours yet.",
            "Leave out --release: --installer=packages does; or leave out --host.",
        )
    addons.check(decided.with_, decided.installer)
    if decided.beside != NOTHING and (decided.installer, decided.hypervisor) != ("packages", "docker"):
        raise Unsupported(
            f"Virtual machines can be added to the containers of --installer=packages, not to {decided.installer}'s "
            f"{decided.hypervisor}.",
            f"Give --hypervisor=docker and no other installer, or leave out --beside={decided.beside}.",
        )
    known.check(
        decided.distro,
        decided.release,
        decided.installer,
        decided.provider,
        decided.hypervisor if decided.installer == "devstack" else "",
    )


def installer(known: Catalog, spec: LabSpec, origins: Mapping[str, str]) -> Choice:
    """The installer that has what is asked for; packages where both have it."""
    if spec.installer != AUTO:
        return Choice("installer", spec.installer, f"asked for ({origins.get('installer', 'given')})")
    carried = {d.name: d.packages for d in known.distros if d.packages}
    have = " and ".join(f"{release} on {distro}" for distro, release in carried.items())
    if spec.mirror:
        return Choice("installer", "devstack", "a mirror serves what is cloned")
    if spec.hypervisor not in (AUTO, *OWN_HYPERVISORS):
        return Choice("installer", "devstack", f"the packages do not support {spec.hypervisor}")
    wheels = known.installers["wheels"]
    if spec.release in wheels.locks and spec.distro in (AUTO, wheels.distro):
        return Choice("installer", "wheels", f"{spec.release} is on PyPI, and installs in minutes")
    if not any(spec.distro in (AUTO, d) and spec.release in (AUTO, r) for d, r in carried.items()):
        return Choice("installer", "devstack", f"packages exist only for {have}")
    return Choice("installer", "packages", "Debian's packages need no git host and install in minutes")


def _distro(known: Catalog, spec: LabSpec, provider: str) -> Choice:
    """Raises: Unsupported, where the installer knows no distribution for the release."""
    if spec.installer != "devstack" or spec.release == AUTO:
        return Choice("distro", "debian13", "the distribution whose packages the installer is proven with")
    wanted = known.release(spec.release)
    if not wanted.distros:
        known.check(known.installers[spec.installer].distro, spec.release, spec.installer)
    fit = [name for name in wanted.distros if provider in known.distro(name).providers]
    return Choice("distro", (*fit, *wanted.distros)[0], f"the first that {wanted.name}'s stack.sh supports")


def _release(known: Catalog, distro: str, installer: str) -> Choice:
    if installer == "packages":
        return Choice("release", known.distro(distro).packages or "master", f"what {distro} carries as packages")
    if installer == "wheels":
        return Choice("release", [*known.installers[installer].locks][-1], "the newest that has a lock")
    fit = [r for r in known.releases if distro in r.distros and r.state != "development"]
    if maintained := [r.name for r in fit if r.state == "maintained"]:
        return Choice("release", maintained[-1], f"the newest maintained one whose stack.sh supports {distro}")
    if fit:
        return Choice("release", fit[-1].name, f"the newest whose stack.sh supports {distro}; it is not maintained")
    return Choice("release", "master", f"no stable release's stack.sh supports {distro}")


def _provider(known: Catalog, spec: LabSpec, facts: Facts) -> Choice:
    if spec.host or spec.provider == "ssh":
        return _ssh(spec)
    if spec.provider != AUTO:
        usable, why = getattr(facts, spec.provider)
        if not usable:
            raise Unsupported(f"Provider {spec.provider} cannot be used here: {why}.", "./inv doctor shows what can.")
        return Choice("provider", spec.provider, why)
    fit = _providers(known, spec)
    here = {name: getattr(facts, name) for name in AUTOMATIC}
    for name, (usable, why) in here.items():
        if usable and name in fit:
            return Choice("provider", name, why)
    if any(usable for usable, _ in here.values()):
        asked = spec.distro if spec.distro != AUTO else spec.release
        lacks = "; ".join(f"{name}: {getattr(facts, name)[1]}" for name in fit)
        raise Unsupported(f"No provider here has a machine for {asked} ({lacks}).", _nearest(known, spec, here))
    raise Unsupported(
        f"No provider can be used here: {facts.docker[1]}; {facts.libvirt[1]}.",
        "./inv doctor shows what each lacks.",
    )


def _ssh(spec: LabSpec) -> Choice:
    """Raises: Unsupported, where provider and host do not go together."""
    if spec.provider not in (AUTO, "ssh"):
        raise Unsupported(
            f"A host is for provider ssh, not {spec.provider}.",
            f"Leave out --host={spec.host}, or give --provider=ssh.",
        )
    if not spec.host:
        raise Unsupported(
            "Provider ssh needs a machine of yours, and none is given.",
            "./inv up --provider=ssh --host=USER@ADDRESS (a dedicated one: the lab changes a lot on it)",
        )
    return Choice("provider", "ssh", f"{spec.host} is there already")


def _providers(known: Catalog, spec: LabSpec) -> list[str]:
    """Providers that have a machine of a distribution that goes with what is asked for, in the catalog's order."""
    distros: tuple[str, ...] = (spec.distro,)
    if spec.distro == AUTO:
        theirs = known.distros_for(spec.release, spec.installer) if spec.release != AUTO else ()
        distros = theirs or (known.installers[spec.installer].distro,)
    return [name for name in known.providers if any(name in known.distro(distro).providers for distro in distros)]


def _nearest(known: Catalog, spec: LabSpec, here: Mapping[str, tuple[bool, str]]) -> str:
    """The remedy where this host has no provider for what is asked for: the nearest release that it has one for."""
    nearest = known.nearest(spec.release, [name for name, (usable, _) in here.items() if usable])
    command = f"./inv up --installer=devstack --release={nearest}" if nearest else "./inv up"
    return f"./inv doctor shows what each lacks. The nearest that runs here: {command}"


def _hypervisor(facts: Facts, provider: str, containers: bool) -> Choice:
    if provider == "ssh" and containers:
        return Choice("hypervisor", "docker", "containers run on any machine; kvm is used if asked for")
    if facts.kvm[0] and provider != "ssh":
        return Choice("hypervisor", "kvm", facts.kvm[1])
    if containers:
        return Choice("hypervisor", "docker", f"containers start in seconds; no KVM: {facts.kvm[1]}")
    why = "kvm is used if asked for" if provider == "ssh" else f"no KVM: {facts.kvm[1]}"
    return Choice("hypervisor", "qemu", why)
