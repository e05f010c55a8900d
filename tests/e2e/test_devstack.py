"""A whole lab by DevStack from a folder of git mirrors: ``LAB_GIT_MIRROR=DIR`` (what ./inv mirror sync made).

About half an hour on two cores. ``LAB_RELEASE`` and ``LAB_DISTRO`` name another release, another distribution.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.cloud import access
from lab.cloud.trove import Trove
from lab.core import waits
from lab.core.home import Home
from tests.e2e.conftest import Lab

NAME = "e2e-ds"


def wanted() -> list[str]:
    """What ``up`` is asked for."""
    asked = {"mirror": "LAB_GIT_MIRROR", "release": "LAB_RELEASE", "distro": "LAB_DISTRO"}
    given = {flag: os.environ[name] for flag, name in asked.items() if os.environ.get(name)}
    return ["--installer=devstack", *(f"--{flag}={value}" for flag, value in given.items())]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Its client is killed while stack.sh runs; the machine goes on, and the next client only follows."""
    if not os.environ.get("LAB_GIT_MIRROR"):
        pytest.skip("no git mirrors at hand: set LAB_GIT_MIRROR to what ./inv mirror sync made")
    lab = Lab(NAME)
    lab.inv("destroy", f"--name={NAME}", check=False)
    lab.up(*wanted(), kill_in="stack", kill_after=60)
    notes = [e["text"] for e in lab.up() if e["event"] == "note" and e["step"] == "stack"]
    assert "starting stack.sh" not in notes
    yield lab
    lab.inv("destroy", f"--name={NAME}", check=False)


def test_it_ends_as_the_other_installer_does(lab: Lab) -> None:
    status = lab.ask("status")
    (instance,) = status["instances"]
    assert instance["status"] in {"ACTIVE", "HEALTHY"}
    assert set(status["services"]) == {"identity", "image", "compute", "network", "placement", "database"}
    assert all(word.startswith("answers") for word in status["services"].values())
    assert set(status["agents"].values()) == {"up"}
    assert status["drift"] == []


def test_devstacks_phases_are_told_and_kept(lab: Lab) -> None:
    phases = dict(lab.state["stack.phases"])
    assert phases["Starting Keystone"] > 0
    assert "Starting Trove" in phases


def test_up_on_a_running_lab_changes_nothing(lab: Lab) -> None:
    before = lab.state
    assert {e["status"] for e in lab.up() if e["event"] == "finished"} == {"kept"}
    assert lab.state == before


def test_the_machine_comes_back_with_its_networks_and_its_database(lab: Lab) -> None:
    lab.inv("halt", f"--name={NAME}")
    lab.up()
    assert set(lab.ask("status")["agents"].values()) == {"up"}


def test_an_instance_can_be_deleted_though_there_is_no_cinder(lab: Lab) -> None:
    trove = Trove(access.connect(Home(NAME).clouds_yaml, "demo"))
    (instance,) = trove.instances()
    trove.delete(instance["id"])
    waits.until("it to be gone", lambda: not trove.instances(), seconds=120, setting="-")


def test_it_comes_up_warm(lab: Lab) -> None:
    lab.inv("destroy", f"--name={NAME}", "--keep-cache")
    events = lab.up(*wanted())
    done = {e["step"] for e in events if e["event"] == "finished" and e["status"] == "done"}
    assert "stack" not in done, "stack.sh ran again"
    (instance,) = lab.ask("status")["instances"]
    assert instance["status"] in {"ACTIVE", "HEALTHY"}
