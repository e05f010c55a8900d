"""`up`: from a spec to a database that answers SQL, as steps that ask reality first and overlap where they can."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import doctor
from lab.config import addons, plan, settings
from lab.config.plan import Plan
from lab.config.settings import AUTO, LabSpec, Merged
from lab.containers import client
from lab.core import state, steps
from lab.core.errors import HostUnfit, LabError, Unsupported
from lab.core.home import Home
from lab.core.progress import Progress
from lab.core.run_log import RUN
from lab.core.steps import Step
from lab.host import packages
from lab.install import table
from lab.lifecycle import assembly, manifest
from lab.lifecycle.lab import Lab
from lab.machine import providers

FIXED = (
    "provider",
    "host",
    "distro",
    "release",
    "installer",
    "hypervisor",
    "beside",
    "memory",
    "cpus",
    "disk",
    "mirror",
)
"""Settings that a lab cannot change once it is there."""


def up(merged: Merged, from_manifest: str, progress: Progress) -> dict[str, Any]:
    """Make the lab, or go on making it. Returns what ``show.result`` prints.

    Raises: any LabError; what was done so far is kept.
    """
    recorded = manifest.read(Path(from_manifest)) if from_manifest else None
    merged = _repeated(merged, recorded) if recorded else merged
    home = Home(merged.spec.name)
    new = home.make()
    RUN.belongs_to(home.path)
    with state.lock(home.path, home.name):
        again = f"./inv up --name={home.name}"
        try:
            first = _planned(home, merged)  # nothing is installed before it is known to be of use
            host = _host(home, first.spec)
            # probing takes seconds: once more only where it may say something else, KVM being proven with QEMU
            anew = not host.done() or "kvm" in (first.spec.hypervisor, first.spec.beside)
            steps.run([host], home.state, progress, again)
            lab = Lab(home, _decided(_planned(home, merged, tried=True) if anew else first))
            settled = lab.installer.settled
            home.state["spec"] = settings.to_dict(lab.spec)
            for fact, value in settled.items():
                home.state[fact] = value
            steps.run(assembly.steps(lab), home.state, progress, again)
        except LabError as error:
            refused = "spec" not in home.state or (
                isinstance(error, HostUnfit) and not home.state.get("machine.address")
            )
            if new and refused and not _tells_more(error):
                RUN.forget()
                shutil.rmtree(home.path)
            raise
        finally:
            progress.close()
        written = manifest.write(home, lab.spec, assembly.made_of(lab), lab.remote)
        return {
            "name": home.name,
            "steps": [{"name": name, **record} for name, record in home.state.steps.items()],
            "clouds_yaml": str(home.clouds_yaml),
            "connect": assembly.connect(lab),
            "differences": manifest.differences(recorded, manifest.read(written)) if recorded else [],
        }


def dry_run(merged: Merged, from_manifest: str) -> dict[str, Any]:
    """What ``up`` would do, and why; nothing is changed, not even a folder made."""
    if from_manifest:
        merged = _repeated(merged, manifest.read(Path(from_manifest)))
    home = Home(merged.spec.name)
    decided, hindrance = _planned(home, merged, check=False), None
    try:
        _check(home, decided.spec)
    except LabError as error:
        hindrance = {"cause": error.cause, "remedy": error.remedy}
    lacking = packages.missing(_needs(decided.spec))
    there = not lacking and client.usable() is None and (home.path / "state.json").exists()
    # what would not be reached is not looked for either: a lab's steps may have to ask where git is
    coming = [] if hindrance else assembly.steps(Lab(home, decided.spec))
    return {
        "choices": [dataclasses.asdict(choice) for choice in decided.choices],
        "hindrance": hindrance,
        "install": packages.install_command(lacking) if lacking else "",
        "steps": [
            {"name": step.name, "title": step.title, "would": "check" if there else "run"}
            for step in [_host(home, decided.spec), *coming]
        ],
    }


def _decided(decided: Plan) -> LabSpec:
    for choice in decided.choices:
        RUN.add("decided", setting=choice.setting, value=choice.value, why=choice.why)
    return decided.spec


def _tells_more(error: LabError) -> bool:
    """Whether the error's log is worth the folder that it lies in."""
    return bool(error.log and error.log.exists())


def _host(home: Home, spec: LabSpec) -> Step:
    """What this host lacks for the provider."""
    needs = _needs(spec)
    return Step(
        "host",
        "install what this host lacks",
        lambda: not packages.missing(needs) and client.usable() is None,
        lambda note: packages.ensure(needs, note, home.log("host"), spec.install),
    )


def _needs(spec: LabSpec) -> tuple[str, ...]:
    return (*providers.NEEDS[spec.provider], *table.KINDS[spec.installer].tools)


def _check(home: Home, spec: LabSpec) -> None:
    """What the installer refuses of a new lab. Raises: as the installer's ``check``."""
    if not home.state.get("spec"):
        table.KINDS[spec.installer].check(spec)


def _planned(home: Home, merged: Merged, *, check: bool = True, tried: bool = False) -> Plan:
    """The plan of a new lab, or the recorded one of a lab that is there. Raises: Unsupported; as ``_check``.

    ``tried``: nothing is lacking any more, so what could not be proven is not there.
    """
    recorded = home.state.get("spec")
    if not recorded:
        facts = doctor.facts(merged.spec.install)
        if tried:
            facts = dataclasses.replace(facts, kvm=(bool(facts.kvm[0]), facts.kvm[1]))
        decided = plan.decide(merged.spec, merged.origins, facts)
        if check:
            _check(home, decided.spec)
        return decided
    where = "the lab's state"
    before = settings.to_dict(settings.from_dict(recorded, where))
    changed = {key: value for key, value in _given(merged).items() if value != before[key]}
    if fixed := [key for key in FIXED if key in changed]:
        raise Unsupported(
            f"Lab {home.name!r} is there with {fixed[0]} = {before[fixed[0]]}, not {changed[fixed[0]]}.",
            f"Leave it out, or have a new lab beside it: ./inv up --name={home.name}-2 with the same flags.",
        )
    if "with" in changed:  # a lab keeps what it has
        added = tuple(name for name in changed["with"] if name not in before["with"])
        _check_added(home, added, before["installer"])
        changed["with"] = [*before["with"], *added]
    return Plan(settings.from_dict({**before, **changed}, where), ())


def _check_added(home: Home, names: Sequence[str], installer: str) -> None:
    """Raises: Unsupported, if a lab that is there cannot be given these addons."""
    addons.check(names, installer)
    ports = home.state.get("machine.ports", {})
    for name in names:
        if ports and addons.BY_NAME[name].port not in ports:
            raise Unsupported(
                f"Lab {home.name!r} is of a version that had no {name}: no port of this host leads to its machine's, "
                "and one that runs cannot be given any.",
                f"./inv up --name={home.name}-2 --with={name} makes a lab that has it.",
            )


def _repeated(merged: Merged, recorded: dict[str, Any]) -> Merged:
    """The manifest's spec under the flags that were given beside it (another name, say)."""
    base = settings.to_dict(manifest.spec_of(recorded))
    origins = {key: origin if origin != "default" else "manifest" for key, origin in merged.origins.items()}
    return Merged(settings.from_dict({**base, **_given(merged)}, "manifest"), origins)


def _given(merged: Merged) -> dict[str, Any]:
    """The settings that were given, whatever by, but for those given as "choose"."""
    values = settings.to_dict(merged.spec).items()
    return {key: value for key, value in values if merged.origins[key] != "default" and value not in (AUTO, 0)}
