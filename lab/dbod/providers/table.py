"""The three providers by name."""

from __future__ import annotations

from pathlib import Path

from lab.cloud import access
from lab.cloud.offer import Offer
from lab.cloud.trove import Trove
from lab.config import settings
from lab.core.errors import BadValue, NotUp
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.waits import Note
from lab.dbod import lock
from lab.dbod.contract import Provider
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.providers.shared import Shared
from lab.dbod.providers.trove import CloudHost, in_our_words
from lab.dbod.providers.trove_instances import Access
from lab.lifecycle import labs

NAMES = ("docker-host", "shared", "trove")
HOST = "dbod"
"""The container host's place among the labs: ./inv list shows it, ./inv destroy --name=dbod takes it away."""


def checked(name: str) -> str:
    """``name`` if there is a provider of that name. Raises: BadValue."""
    if name not in NAMES:
        raise BadValue("provider", name, "one of " + ", ".join(NAMES), "flag")
    return name


def home_of(name: str, lab: str, host: str = HOST) -> Home:
    """Where a provider's records lie. Raises: BadValue, NoSuchLab."""
    if checked(name) == "trove":
        return labs.home_of(lab)
    home = Home(host if name == "docker-host" else f"{host}-shared")
    home.make()
    return home


def provider(name: str, lab: str, note: Note, host: str = HOST, owned: bool = False) -> Provider:
    """The provider; ``lab`` is the one that Trove runs in, ``owned`` says that the caller holds the home's lock.

    Raises: BadValue, NoSuchLab, NotUp (it is not up).
    """
    if checked(name) == "trove":
        return trove(lab, owned)
    made = DockerHost(home_of(name, lab, host), note, owned=owned or name == "shared")
    if owned:
        _ = made.records.names(), made.store  # opened once, before there are threads
    return made if name == "docker-host" else Shared(made, owned)


def lock_of(name: str, home: Home) -> Path:
    """The folder of a provider's lock: its home, or for Trove one of its own, as the lab's is its commands'."""
    return home.path / lock.TROVE if name == "trove" else home.path


def trove(lab: str, owned: bool = False) -> CloudHost:
    """Trove in the lab of that name. Raises: NoSuchLab, NotUp, ApiFailed (its cloud does not answer)."""
    home = labs.home_of(lab)
    machine = labs.machine_of(home)
    if machine.status() != "running" or not home.clouds_yaml.exists():
        raise NotUp(f"Lab {lab!r} is not up.", f"./inv up --name={lab} starts it.")
    patience = settings.from_dict(home.state["spec"], "the lab's state").database_timeout
    with in_our_words():
        demo, admin = (access.connect(home.clouds_yaml, account) for account in ("demo", "admin"))
        there = Access(home, Trove(demo), Trove(admin), Offer(demo), Remote(machine.address()), patience)
    return CloudHost(there, owned)
