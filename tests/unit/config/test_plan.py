"""The plan: what is chosen, why, and what is refused with what works instead."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import pytest

from lab.config import catalog, plan
from lab.config.plan import Facts
from lab.config.settings import LabSpec
from lab.core.errors import Unsupported

HERE = Facts(
    docker=(True, "an engine answers"), libvirt=(False, "none"), virtualbox=(False, "none"), kvm=(False, "no")
)


def choose(facts: Facts = HERE, **asked: Any) -> dict[str, tuple[str, str]]:
    decided = plan.decide(dataclasses.replace(LabSpec(), **asked), dict.fromkeys(asked, "flag"), facts)
    assert all(str(getattr(decided.spec, c.setting)) == c.value.removesuffix(" GiB") for c in decided.choices)
    return {c.setting: (c.value, c.why) for c in decided.choices}


def test_defaults_of_a_host_without_kvm() -> None:
    chosen = {key: value for key, (value, _) in choose().items()}
    assert chosen == {
        "provider": "docker",
        "distro": "debian13",
        "release": "2025.1",
        "installer": "packages",
        "hypervisor": "docker",
        "memory": "12 GiB",
        "disk": "40 GiB",
    }


def test_containers_are_taken_in_a_virtual_machine_too() -> None:
    facts = dataclasses.replace(HERE, libvirt=(True, "libvirt answers"))
    assert choose(facts, provider="libvirt")["hypervisor"][0] == "docker"


def test_kvm_that_is_asked_for_is_not_refused_before_it_could_be_tried() -> None:
    facts = dataclasses.replace(HERE, kvm=(None, "/dev/kvm is there, but not yet QEMU to try it"))
    assert choose(facts, hypervisor="kvm")["hypervisor"][0] == "kvm"
    assert choose(facts)["hypervisor"][0] == "docker"


def test_kvm_is_taken_when_it_was_proven_and_says_so() -> None:
    facts = dataclasses.replace(HERE, kvm=(True, "vmlinuz booted in 1.2 s"))
    assert choose(facts)["hypervisor"] == ("kvm", "vmlinuz booted in 1.2 s")


def test_a_host_without_docker_takes_the_next_provider() -> None:
    facts = dataclasses.replace(HERE, docker=(False, "no right"), libvirt=(True, "libvirt answers"))
    assert choose(facts)["provider"] == ("libvirt", "libvirt answers")


def test_what_was_asked_for_is_taken_and_named() -> None:
    assert choose(hypervisor="qemu")["hypervisor"] == ("qemu", "asked for (flag)")


def test_sizes_are_the_installers_unless_they_are_asked_for() -> None:
    chosen = choose(installer="devstack", release="2026.1", memory=20)
    assert chosen["memory"] == ("20 GiB", "asked for (flag)")
    assert chosen["disk"][0] == "60 GiB"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"hypervisor": "kvm"}, "qemu"),
        ({"hypervisor": "lxc", "installer": "packages"}, "docker"),
        ({"with_": ("backups",), "installer": "devstack", "release": "2026.1"}, "Leave out --with=backups"),
        ({"with_": ("dashboard",), "installer": "devstack", "release": "2026.1"}, "--installer=packages"),
        ({"beside": "kvm"}, "Leave out --beside, or give qemu"),
        ({"beside": "qemu", "hypervisor": "qemu"}, "Give --hypervisor=docker"),
        ({"beside": "qemu", "installer": "devstack", "release": "2026.1"}, "no other installer"),
        ({"provider": "libvirt"}, "doctor"),
        ({"provider": "virtualbox"}, "doctor"),
        ({"distro": "debian99"}, "Known"),
        ({"distro": "centos7"}, "./inv up --installer=devstack --release=2026.1"),
        ({"distro": "centos7", "installer": "packages"}, "debian13"),
        ({"release": "havana"}, "Known"),
        ({"release": "icehouse"}, "./inv up --installer=devstack --release="),
        ({"release": "2026.1", "installer": "packages"}, "2025.1"),
        ({"distro": "ubuntu1404", "release": "icehouse", "provider": "docker"}, "virtualbox"),
        ({"provider": "ssh"}, "--host=USER@ADDRESS"),
        ({"release": "2026.2", "host": "ops@203.0.113.7"}, "--installer=packages does"),
        ({"provider": "docker", "host": "ops@203.0.113.7"}, "Leave out --host=ops@203.0.113.7"),
        ({"distro": "rocky9", "host": "ops@203.0.113.7"}, "rocky9 runs under"),
    ],
    ids=str,
)
def test_what_does_not_go_is_refused_with_what_does(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        choose(**asked)
    assert words in caught.value.remedy


def test_no_provider_at_all_tells_why_of_each() -> None:
    facts = Facts((False, "no engine"), (False, "no libvirt"), (False, "no VBoxManage"), (False, ""))
    with pytest.raises(Unsupported) as caught:
        choose(facts)
    for why in ("no engine", "no libvirt"):
        assert why in caught.value.cause


@pytest.mark.parametrize(
    ("asked", "distro", "release"),
    [
        ({}, "debian13", "2026.1"),
        ({"release": "2025.2"}, "debian12", "2025.2"),
        ({"distro": "debian12"}, "debian12", "2026.1"),
    ],
)
def test_devstack_takes_the_newest_release_and_a_distribution_that_goes_with_it(
    asked: dict[str, Any], distro: str, release: str
) -> None:
    chosen = choose(installer="devstack", **asked)
    assert (chosen["distro"][0], chosen["release"][0]) == (distro, release)


def test_devstack_refuses_a_hypervisor_that_the_release_has_no_driver_for() -> None:
    with pytest.raises(Unsupported, match=r"no Nova driver for Docker in 2024\.1"):
        choose(installer="devstack", release="2024.1", hypervisor="docker")


def test_devstack_without_that_driver_emulates() -> None:
    assert choose(installer="devstack", release="2024.1")["hypervisor"][0] == "qemu"
    assert choose(installer="devstack", release="2025.1")["hypervisor"][0] == "docker"


def test_a_mirror_for_the_packages_installer_is_a_mistake() -> None:
    with pytest.raises(Unsupported, match="clones nothing"):
        choose(mirror="/srv/git", installer="packages")


LIBVIRT = dataclasses.replace(HERE, libvirt=(True, "libvirt answers"))


@pytest.mark.parametrize(
    ("facts", "asked", "expected"),
    [
        (HERE, {"release": "2026.2"}, ("wheels", "debian13", "2026.2", "docker")),
        (HERE, {"installer": "wheels"}, ("wheels", "debian13", "2026.2", "docker")),
        (HERE, {"release": "2026.1"}, ("wheels", "debian13", "2026.1", "docker")),
        (HERE, {"release": "2025.2"}, ("devstack", "debian12", "2025.2", "docker")),
        (HERE, {"distro": "debian12"}, ("devstack", "debian12", "2026.1", "docker")),
        (HERE, {"distro": "trixie"}, ("packages", "debian13", "2025.1", "docker")),
        (HERE, {"mirror": "/srv/git"}, ("devstack", "debian13", "2026.1", "docker")),
        (HERE, {"host": "ops@203.0.113.7"}, ("packages", "debian13", "2025.1", "ssh")),
        (LIBVIRT, {"distro": "centos7"}, ("devstack", "centos7", "train", "libvirt")),
        (LIBVIRT, {"distro": "ubuntu2404"}, ("devstack", "ubuntu2404", "2026.1", "libvirt")),
        (LIBVIRT, {"distro": "rocky9"}, ("devstack", "rocky9", "2026.1", "libvirt")),
        (LIBVIRT, {"release": "icehouse"}, ("devstack", "ubuntu1404", "icehouse", "libvirt")),
    ],
    ids=str,
)
def test_what_is_asked_for_is_completed_so_that_it_goes_together(
    facts: Facts, asked: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """All but one were refused: only the packages installer was ever chosen, and the first provider that answers."""
    decided = plan.decide(dataclasses.replace(LabSpec(), **asked), dict.fromkeys(asked, "flag"), facts)
    spec = decided.spec
    assert (spec.installer, spec.distro, spec.release, spec.provider) == expected
    assert all(choice.why for choice in decided.choices)


@pytest.mark.parametrize(
    ("typed", "name"),
    [("ubuntu14.04", "ubuntu1404"), ("centos-7", "centos7"), ("noble", "ubuntu2404"), ("trusty", "ubuntu1404"),
     ("debian-12", "debian12"), ("bookworm", "debian12"), ("Rocky Linux 9", "rocky9")],
)  # fmt: skip
def test_a_distribution_is_understood_by_the_names_that_people_type(typed: str, name: str) -> None:
    assert catalog.load().distro(typed).name == name


def test_no_two_distributions_share_a_name() -> None:
    words = [
        word
        for row in catalog.load().distros
        for word in {catalog.plain(one) for one in (row.name, row.title, row.codename)} - {""}
    ]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("facts", [HERE, LIBVIRT, dataclasses.replace(LIBVIRT, docker=(False, "none"))], ids=str)
def test_every_cell_is_a_plan_or_a_reason_with_a_way_out(facts: Facts) -> None:
    """Distribution, release, installer, provider, hypervisor: no other error, and a command that is told goes."""
    rows, told = catalog.load(), set()
    for distro, release, installer, provider, hypervisor in itertools.product(
        ["auto", *(row.name for row in rows.distros)],
        ["auto", *(row.name for row in rows.releases)],
        ["auto", *rows.installers],
        ["auto", "docker", "libvirt", "virtualbox", "ssh"],
        ["auto", "docker", "qemu", "lxc"],
    ):
        asked = LabSpec(distro=distro, release=release, installer=installer, provider=provider, hypervisor=hypervisor)
        try:
            spec = plan.decide(asked, {}, facts).spec
        except Unsupported as refusal:
            assert refusal.remedy
            told.update(re.findall(r"\./inv up((?: --\w+=[\w.]+)*)", refusal.remedy))
        else:
            assert spec.distro in rows.distros_for(spec.release, spec.installer)
            assert spec.provider in rows.distro(spec.distro).providers
            assert spec.provider == "ssh" or getattr(facts, spec.provider)[0]
    for command in told:
        flags = dict(word.removeprefix("--").split("=") for word in command.split())
        plan.decide(dataclasses.replace(LabSpec(), **flags), {}, facts)
