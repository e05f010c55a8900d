"""The steps of one lab in their order, from the machine's image to the first database, and what came of them."""

from __future__ import annotations

import dataclasses

from lab.config.addons import DASHBOARD
from lab.core.steps import Step
from lab.lifecycle.cloud_steps import CloudSteps
from lab.lifecycle.first_database import DATABASE, USER, client_file
from lab.lifecycle.lab import Lab
from lab.lifecycle.machine_steps import MachineSteps


def steps(lab: Lab) -> list[Step]:
    """Every step; what is not after one another overlaps (the guest image is made beside the control plane)."""
    machine, cloud = MachineSteps(lab), CloudSteps(lab)
    installed = lab.installer.steps(machine.steps()[-1].name)
    limits = lab.spec.build_timeout, lab.spec.guest_timeout
    images = [step for one in lab.guests for step in one.steps(lab.home.log, *limits)]
    if lab.given:  # whether it can be used at all is known in a second
        images = [dataclasses.replace(step, after=step.after or ("machine",)) for step in images]
    made = [
        *machine.steps(),
        *images,
        *installed,
        cloud.upload((*(step.name for step in images), *(step.name for step in installed))),
        cloud.register(),
        *(cloud.prove(one) for one in lab.guests),
    ]
    settled = ("datastores", *(f"smoke{one.suffix}" for one in lab.guests))
    if lab.containers:
        made.append(cloud.cache())
        settled = (*settled, "cache")
    if lab.spec.warm and lab.spec.provider == "docker":
        made.append(machine.keep(settled))
    if lab.spec.database:
        made.append(cloud.database((made[-1].name, *settled)))
    return made


def made_of(lab: Lab) -> dict[str, str]:
    """Artefact to digest, for the manifest."""
    return {
        "machine image": MachineSteps(lab).image_there() or "",
        **{f"guest image{one.suffix}": one.trove.sha256 for one in lab.guests},
        **{f"smoke image{one.suffix}": one.smoke.sha256 for one in lab.guests},
        **lab.installer.commits(),
    }


def connect(lab: Lab) -> dict[str, str]:
    """How to use what there is now, for people."""
    name = lab.home.name
    rows = {"status": f"./inv status --name={name}"}
    if url := lab.home.state.get("endpoints", {}).get(DASHBOARD):
        rows["dashboard"] = f"{url} as demo, whose password is in {lab.home.clouds_yaml}"
    if not lab.spec.database:
        return rows | {"database": f"none yet: ./inv up --name={name} --database makes it"}
    login = lab.database.login()
    if login is not None:
        rows |= {
            "database": f"{login.datastore} at {login.address}:{login.port} ({DATABASE}), from the machine",
            "user": USER,
            "password": f"in {client_file(lab.home, login.datastore)}",
            "from this host": f"./inv tunnel --name={name} --datastore={login.datastore}",
        }
    return rows
