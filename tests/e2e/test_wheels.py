"""OpenStack from PyPI: the newest release's cloud, a database of each engine, through a halt and a warm start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.config import catalog
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.core.ssh import Remote
from lab.lifecycle import labs
from tests.e2e.conftest import Lab
from tests.e2e.guests import Guest

pytestmark = pytest.mark.wheels

NAME = "e2e-wheels"
RELEASE = [*catalog.load().installers["wheels"].locks][-1]


@pytest.fixture(scope="module")
def wheels() -> Iterator[Lab]:
    lab = Lab(NAME)
    lab.inv("destroy", f"--name={NAME}", "--keep-cache", check=False)
    lab.up(f"--release={RELEASE}", kill_in="databases")
    lab.up(f"--release={RELEASE}")
    yield lab
    lab.inv("destroy", f"--name={NAME}", "--keep-cache", check=False)


def healthy(lab: Lab) -> set[str]:
    """The engines whose first database is."""
    found = lab.ask("status")["instances"]
    return {i["name"].rpartition("-")[2] for i in found if i["status"] in {"ACTIVE", "HEALTHY"}}


def test_it_is_the_release_that_was_asked_for(wheels: Lab) -> None:
    machine = Remote(labs.machine_of(Home(NAME)).address())
    there = machine.run("/opt/openstack/bin/pip", "list", "--format=freeze").stdout.split()
    lock = (RESOURCES / "locks" / f"{RELEASE}.lock").read_text()
    for project in ("nova", "neutron", "trove", "keystone", "glance"):
        (version,) = (line for line in there if line.startswith(f"{project}=="))
        assert f"\n{version} " in lock
    assert not machine.run("sh", "-c", "dpkg -l | grep -E 'nova-|neutron-|trove-|keystone'", check=False).ok


def test_every_service_reports_and_the_first_database_answers(wheels: Lab) -> None:
    seen = wheels.ask("status")
    assert set(seen["agents"].values()) == {"up"}
    assert healthy(wheels) == {"mariadb"}


def test_a_guest_is_reached_only_where_it_is_let(wheels: Lab) -> None:
    with Guest("wheels-guest", NAME) as guest:
        guest.until("a closed port", guest.address, reached=False)
        guest.let_in(80)
        guest.until("an open port", guest.address, reached=True)


def test_a_second_engine(wheels: Lab) -> None:
    wheels.up(f"--release={RELEASE}", "--datastore=postgresql")
    assert healthy(wheels) == {"mariadb", "postgresql"}


def test_both_come_back_after_a_halt(wheels: Lab) -> None:
    wheels.inv("halt", f"--name={NAME}")
    for engine in ("mariadb", "postgresql"):
        wheels.up(f"--release={RELEASE}", f"--datastore={engine}")
    assert healthy(wheels) == {"mariadb", "postgresql"}


def test_a_warm_start_and_nothing_left(wheels: Lab) -> None:
    wheels.inv("destroy", f"--name={NAME}", "--keep-cache")
    events = wheels.up(f"--release={RELEASE}")
    done = {e["step"] for e in events if e["event"] == "finished" and e["status"] == "done"}
    assert "configure" not in done, "the cloud was installed anew"
    assert healthy(wheels) == {"mariadb"}
    wheels.inv("destroy", f"--name={NAME}")
    assert not wheels.path.exists()
