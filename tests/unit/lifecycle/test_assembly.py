"""The steps of every lab that can be planned: names once, each after steps that there are, and no circle."""

from __future__ import annotations

import contextlib
import itertools
from graphlib import TopologicalSorter
from typing import Any

import pytest

from lab.config import catalog, plan
from lab.config.plan import Facts
from lab.config.settings import FIELDS, LabSpec
from lab.core.errors import Unsupported
from lab.core.home import Home
from lab.core.steps import Step
from lab.lifecycle import assembly
from lab.lifecycle.lab import Lab

YES, NO = (True, "seen"), (False, "not seen")
EVERYTHING = Facts(docker=YES, libvirt=YES, virtualbox=YES, kvm=YES)


MORE: tuple[dict[str, Any], ...] = (
    {}, {"with_": ("backups",)}, {"with_": ("backups", "dashboard")}, {"warm": False}, {"database": False},
    {"datastore": "postgresql"},
)  # fmt: skip


def specs() -> list[LabSpec]:
    """What the plan accepts of installers, hypervisors, second hypervisors, addons, and without parts."""
    found: dict[LabSpec, None] = {}
    choices = itertools.product(
        tuple(catalog.load().installers),
        FIELDS["hypervisor"].metadata["choices"],
        FIELDS["beside"].metadata["choices"],
        ("docker", "libvirt"),
        MORE,
    )
    for installer, hypervisor, beside, provider, more in choices:
        if provider == "libvirt" and more:
            continue
        asked = LabSpec(provider=provider, installer=installer, hypervisor=hypervisor, beside=beside, **more)
        with contextlib.suppress(Unsupported):
            found[plan.decide(asked, {}, EVERYTHING).spec] = None
    return list(found)


SPECS = specs()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[LabSpec, dict[str, Step]]]:
    """Each spec with its steps by name; nothing is asked of a git server."""
    folder = tmp_path_factory.mktemp("assembly")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setattr("lab.host.git_mirrors.head", lambda source, ref: "c" * 40)
        made = [(spec, assembly.steps(Lab(Home("x", folder / "labs"), spec))) for spec in SPECS]
    for _, steps in made:
        names = [step.name for step in steps]
        assert len(names) == len(set(names))
    return [(spec, {step.name: step for step in steps}) for spec, steps in made]


def test_all_installers_and_all_hypervisors_are_among_them() -> None:
    assert {spec.installer for spec in SPECS} == set(catalog.load().installers)
    assert {spec.hypervisor for spec in SPECS} == {"kvm", "qemu", "docker", "lxc"}
    assert {spec.beside for spec in SPECS} == {"nothing", "kvm", "qemu"}


def test_every_lab_s_steps_make_a_graph(graphs: list[tuple[LabSpec, dict[str, Step]]]) -> None:
    for spec, steps in graphs:
        assert {name for step in steps.values() for name in step.after} <= set(steps), spec
        order = list(TopologicalSorter({name: set(step.after) for name, step in steps.items()}).static_order())
        places = [order.index(name) for name in ("machine-image", "machine", "upload", "datastores")]
        assert places == sorted(places)
        assert ("warm" in steps) is (spec.warm and spec.provider == "docker")
        assert (f"database-{spec.datastore}" in steps) is spec.database
        assert ("dashboard" in steps) is ("dashboard" in spec.with_)


def test_what_can_overlap_does(graphs: list[tuple[LabSpec, dict[str, Step]]]) -> None:
    """The guest's image and the control plane are made side by side: neither comes after the other."""
    for spec, steps in graphs:

        def before(name: str, steps: dict[str, Step] = steps) -> set[str]:
            return {above for step in steps[name].after for above in ({step} | before(step))}

        assert {"machine-image", "guest-image", "smoke-image"} <= {n for n, step in steps.items() if not step.after}
        assert "guest-image" not in before("heartbeats")
        assert "machine" not in before("guest-image")
        if spec.database:
            everything = before(f"database-{spec.datastore}")
            assert {"guest-image", "heartbeats", "upload", "datastores", "smoke"} <= everything
