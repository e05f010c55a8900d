"""From a spec to a plan: every ``auto`` is decided by what this host was seen to be able to do, and says why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.config import catalog
from lab.config.catalog import Catalog
from lab.config.settings import AUTO, NOTHING, LabSpec
from lab.core.errors import Unsupported

PACKAGES_HYPERVISORS = ("kvm", "qemu", "docker")


@dataclass(frozen=True)
class Facts:
    """What probing found; see lab/doctor.py. Each is (yes or no, the words for it)."""

    docker: tuple[bool, str]
    libvirt: tuple[bool, str]
    virtualbox: tuple[bool, str]
    kvm: tuple[bool, str]


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
    """Fill in every ``auto``. Raises: Unsupported, if what was asked for does not go together or not here."""
    provider = _provider(spec, facts)
    known = catalog.load()
    installer = Choice("installer", "packages", "Debian's packages need no git host and install in minutes")
    distro = _distro(known, spec, provider.value)
    chosen = {c.setting: c for c in (provider, installer, distro)}
    value = {k: getattr(spec, k) if getattr(spec, k) != AUTO else c.value for k, c in chosen.items()}
    release = _release(known, value["distro"], value["installer"])
    named = spec.release if spec.release != AUTO else release.value
    containers = value["installer"] == "packages" or known.release(named).nova_docker.how == "lab"
    hypervisor = _hypervisor(facts, value["provider"], containers)
    choices = []
    for choice in (provider, distro, release, installer, hypervisor):
        asked = getattr(spec, choice.setting)
        if asked == AUTO:
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
    if "kvm" in (decided.hypervisor, decided.beside) and not facts.kvm[0]:
        setting = "hypervisor" if decided.hypervisor == "kvm" else "beside"
        raise Unsupported(f"KVM cannot be used here: {facts.kvm[1]}.", f"Leave out --{setting}, or give qemu.")
    if decided.installer == "packages" and decided.hypervisor not in PACKAGES_HYPERVISORS:
        raise Unsupported(
            f"The packages installer has no hypervisor {decided.hypervisor}.",
            f"Give --hypervisor={' or '.join(PACKAGES_HYPERVISORS)}; ./inv render knows {decided.hypervisor}.",
        )
    if decided.mirror and decided.installer != "devstack":
        raise Unsupported(
            f"The {decided.installer} installer clones nothing, so a mirror is of no use to it.",
            "Leave out --mirror, or give --installer=devstack.",
        )
    if decided.with_ != NOTHING and decided.installer != "packages":
        raise Unsupported(
            f"The {decided.installer} installer has no {decided.with_} yet.",
            f"Leave out --with={decided.with_}, or give --installer=packages.",
        )
    if decided.beside != NOTHING and (decided.installer, decided.hypervisor) != ("packages", "docker"):
        raise Unsupported(
            f"Machines stand beside the containers of --installer=packages, not {decided.installer}'s "
            f"{decided.hypervisor}.",
            f"Give --hypervisor=docker and no other installer, or leave out --beside={decided.beside}.",
        )
    if decided.hypervisor == "docker" and decided.provider != "docker":
        raise Unsupported(
            f"Containers under Nova are proven in a container machine, not with provider {decided.provider}.",
            "Give --provider=docker, or another --hypervisor.",
        )
    known.check(
        decided.distro,
        decided.release,
        decided.installer,
        decided.provider,
        decided.hypervisor if decided.installer == "devstack" else "",
    )
    return Plan(decided, tuple(choices))


def _distro(known: Catalog, spec: LabSpec, provider: str) -> Choice:
    if spec.installer != "devstack" or spec.release == AUTO:
        return Choice("distro", "debian13", "the distribution whose packages the installer is proven with")
    wanted = known.release(spec.release)
    fit = [name for name in wanted.distros if provider in known.distro(name).providers]
    return Choice("distro", (*fit, *wanted.distros)[0], f"the first that stack.sh of {wanted.name} takes")


def _release(known: Catalog, distro: str, installer: str) -> Choice:
    if installer == "packages":
        return Choice("release", known.distro(distro).packages or "master", f"what {distro} carries as packages")
    fit = [r.name for r in known.releases if r.state == "maintained" and distro in r.distros]
    return Choice("release", fit[-1] if fit else "master", f"the newest maintained one whose stack.sh takes {distro}")


def _provider(spec: LabSpec, facts: Facts) -> Choice:
    if spec.provider == "virtualbox":
        raise Unsupported(
            "The lab's box is not packed for VirtualBox yet; only the Vagrantfile knows it.",
            "Give --provider=docker or libvirt.",
        )
    if spec.provider != AUTO:
        usable, why = getattr(facts, spec.provider)
        if not usable:
            raise Unsupported(f"Provider {spec.provider} cannot be used here: {why}.", "./inv doctor shows what can.")
        return Choice("provider", spec.provider, why)
    for name in ("docker", "libvirt"):
        usable, why = getattr(facts, name)
        if usable:
            return Choice("provider", name, why)
    raise Unsupported(
        f"No provider can be used here: {facts.docker[1]}; {facts.libvirt[1]}.",
        "./inv doctor shows what each lacks.",
    )


def _hypervisor(facts: Facts, provider: str, containers: bool) -> Choice:
    if facts.kvm[0]:
        return Choice("hypervisor", "kvm", facts.kvm[1])
    if provider == "docker" and containers:
        return Choice("hypervisor", "docker", f"containers start in seconds; no KVM: {facts.kvm[1]}")
    return Choice("hypervisor", "qemu", f"no KVM: {facts.kvm[1]}")
