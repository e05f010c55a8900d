"""Which labs there are, and how each one stands: looked up here by everything that is done with a lab."""

from __future__ import annotations

from typing import Any

from lab.config import settings
from lab.core.errors import NoSuchLab, NotUp
from lab.core.home import Home
from lab.core.run_log import RUN
from lab.lifecycle import status as status_now
from lab.machine import providers
from lab.machine.contract import Machine


def home_of(name: str) -> Home:
    """The lab ``name``. Raises: NoSuchLab."""
    home = Home(name)
    if not (home.path / "state.json").exists():
        raise NoSuchLab(name, [h.name for h in Home.all()])
    RUN.belongs_to(home.path)
    return home


def machine_of(home: Home) -> Machine:
    """The lab's machine, whatever its provider. Raises: NotUp, where the lab was never started."""
    recorded = home.state.get("spec")
    if not recorded:
        raise NotUp(f"Lab {home.name!r} has no machine yet.", f"./inv up --name={home.name} makes it.")
    return providers.of(home, settings.from_dict(recorded, "the lab's state"))


def labs() -> list[dict[str, str]]:
    """Every lab of this checkout."""
    rows = []
    for home in Home.all():
        spec = home.state.get("spec", {})
        where = machine_of(home).status() if spec else "absent"
        rows.append(
            {
                "name": home.name,
                "machine": where,
                "provider": spec.get("provider", ""),
                "release": spec.get("release", ""),
            }
        )
    return rows


def status(name: str) -> dict[str, Any]:
    """The lab's status, asked now. Raises: NoSuchLab."""
    home = home_of(name)
    where = machine_of(home).status() if home.state.get("spec") else "absent"
    return status_now.of(home, where)
