"""What this host can do, found by probing, never by assuming; changes nothing. Each finding carries its fix."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

from lab.config import catalog
from lab.config.plan import Facts
from lab.core import process
from lab.core.errors import LabError
from lab.doctor import features, hardware, kvm, reach, software
from lab.doctor.finding import Finding
from lab.host import packages

Found = TypeVar("Found", Finding, list[Finding], Finding | list[Finding])


def probe() -> list[Finding]:
    """All findings, in the order of the table; probes run at the same time (the slowest waits 10 s at most)."""
    takes = catalog.load().installers["packages"]
    probes: list[Callable[[], Finding | list[Finding]]] = [
        hardware.system,
        lambda: hardware.memory(takes.memory),
        lambda: hardware.disk(takes.room, takes.room_why),
        hardware.processors,
        hardware.hardware_virtualisation,
        hardware.capabilities,
        hardware.cgroups,
        hardware.watches,
        lambda: hardware.network_features(features.find()),
        hardware.ports,
        software.docker,
        software.vagrant,
        software.libvirt,
        software.virtualbox,
        software.tools,
        reach.findings,
        software.authorities,
    ]
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(probes)) as pool:
        found = [future.result() for future in [pool.submit(_safely, p) for p in probes]]
    return [finding for several in found for finding in (several if isinstance(several, list) else [several])]


def facts(install: bool = True) -> Facts:
    """What the plan decides by; ``install``: what is lacking may be installed."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        proof = pool.submit(kvm.prove)
        docker = pool.submit(_docker_possible, install)
        libvirt, virtualbox = (
            pool.submit(_possible, finder, part, install)
            for finder, part in ((software.libvirt, "libvirt"), (software.virtualbox, "virtualbox"))
        )
        tried = proof.result()
        return Facts(docker.result(), libvirt.result(), virtualbox.result(), (tried.works, tried.why))


def _safely(finder: Callable[[], Found]) -> Found | Finding:
    """A probe that fails is a finding, too; the others are still wanted."""
    try:
        return finder()
    except (LabError, OSError, ValueError) as error:
        name = getattr(finder, "__name__", "probe")
        return Finding(name, name.capitalize(), "warn", f"could not be probed: {error}")


def _possible(finder: Callable[[], Finding], part: str, install: bool) -> tuple[bool, str]:
    """Whether a provider of virtual machines can be used here, after installing what ``up`` would install."""
    seen = _safely(finder)
    if seen.status == "ok" or not (lacking := packages.missing(["vagrant", part])):
        return seen.status == "ok", seen.detail
    if install and packages.obtainable(lacking):
        return True, f"{seen.detail}, but up installs it"
    return False, seen.detail


def _docker_possible(install: bool) -> tuple[bool, str]:
    """Whether a machine container can run here, after installing what ``up`` would install."""
    unable = [finding for finding in (hardware.capabilities(), hardware.cgroups()) if finding.status == "fail"]
    if unable:
        return False, unable[0].detail
    seen = software.docker()
    if seen.status != "warn":
        return seen.status == "ok", seen.detail
    if not install:
        return True, f"{seen.detail}; --no-install prints how to get one"
    if packages.may_install() and process.have("apt-get"):
        return True, f"{seen.detail}, but there is the right to install and start one"
    return False, f"{seen.detail}, and there is no right to install or start one"
