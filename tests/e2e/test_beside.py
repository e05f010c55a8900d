"""Machines beside containers: two compute services, one cloud, one Trove that offers both. A lab of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from lab.cloud import access
from lab.cloud.offer import NETWORK
from lab.cloud.trove import ACTIVE, VM, Trove
from lab.config.settings import LabSpec
from lab.core import waits
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.engines import sql
from lab.engines.sql import Login
from lab.lifecycle import labs, smoke_server
from lab.lifecycle.first_database import FLAVOR
from tests.e2e.conftest import Lab
from tests.e2e.guests import Guest

pytestmark = pytest.mark.beside

NAME = "e2e-both"
DATABASE, USER = "shop", "clerk"
ROWS = [(number,) for number in range(5)]
SECONDS = LabSpec().database_timeout


@dataclass
class Both(Lab):
    """The lab, and what its tests made in it."""

    name: str = NAME

    def __post_init__(self) -> None:
        self.trove, self.logins = Trove(access.connect(self.path / "clouds.yaml", "demo")), dict[str, Login]()

    @property
    def machine(self) -> Remote:
        return Remote(labs.machine_of(Home(NAME)).address())

    @property
    def admin(self) -> Any:
        return access.connect(self.path / "clouds.yaml", "admin")

    def rows(self, instance: str) -> list[tuple[Any, ...]]:
        with sql.session(self.machine, self.logins[instance]) as db:
            return db.execute("SELECT id FROM told ORDER BY id")

    def has_rows(self, instance: str) -> bool:
        return self.rows(instance) == ROWS

    def runs(self, instance: str) -> str:
        """The hypervisor of a Trove instance's server."""
        (server,) = (s for s in self.admin.compute.servers(all_projects=True) if s.name == instance)
        (found,) = (h for h in self.admin.compute.hypervisors(details=True) if h.name == server.hypervisor_hostname)
        return str(found.hypervisor_type).lower()


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    plain = Lab(NAME)
    plain.inv("destroy", f"--name={NAME}", "--keep-cache", check=False)
    plain.up("--hypervisor=docker", "--beside=qemu", "--no-database")
    yield Both()
    plain.inv("destroy", f"--name={NAME}", "--keep-cache", check=False)


def test_two_compute_services_stand_on_one_chassis(both: Both) -> None:
    agents = both.ask("status")["agents"]
    assert set(agents.values()) == {"up"}
    assert len([name for name in agents if name.startswith("nova-compute@")]) == 2
    assert len([name for name in agents if name.startswith("ovn-controller@")]) == 1
    kinds = {str(h.hypervisor_type).lower() for h in both.admin.compute.hypervisors(details=True)}
    assert kinds == {"docker", "qemu"}


def test_an_image_chooses_its_hypervisor_and_both_guests_are_reached(both: Both) -> None:
    with Guest("beside-c", NAME) as container, Guest("beside-m", NAME, f"{smoke_server.IMAGE}{VM}") as machine:
        for guest in (container, machine):
            guest.let_in(80)
            guest.until("an open port", guest.address, reached=True)
        found = {s.name: s.hypervisor_hostname for s in both.admin.compute.servers(all_projects=True)}
        assert found["beside-c"] != found["beside-m"]


@pytest.mark.parametrize("suffix", ["", VM])
def test_trove_offers_either(both: Both, suffix: str) -> None:
    name, password = f"both{suffix}", secrets.token_hex(8)
    version = f"{both.trove.newest('mariadb')}{suffix}"
    compute, network = both.admin.compute, both.admin.network
    made = both.trove.create(
        name,
        flavorRef=compute.find_flavor(FLAVOR, ignore_missing=False).id,
        datastore={"type": "mariadb", "version": version},
        nics=[{"net-id": network.find_network(NETWORK, ignore_missing=False).id}],
        databases=[{"name": DATABASE}],
        users=[{"name": USER, "password": password, "databases": [{"name": DATABASE}]}],
    )
    seen = both.trove.wait_active(made, seconds=SECONDS, note=print)
    both.logins[name] = Login("mariadb", seen["addresses"][0]["address"], USER, password, DATABASE)
    with sql.session(both.machine, both.logins[name]) as db:
        db.execute("CREATE TABLE told (id INTEGER PRIMARY KEY)")
        for row in ROWS:
            db.execute("INSERT INTO told VALUES (%s)", *row)
    assert both.rows(name) == ROWS
    assert both.runs(name) == ("qemu" if suffix else "docker")


def test_a_container_keeps_its_ports_through_a_resize(both: Both) -> None:
    """Nova binds them to the compute service's own name then, which Neutron does not know."""
    (made,) = (i for i in both.trove.instances() if i["name"] == "both")
    larger = both.admin.compute.find_flavor("db.medium", ignore_missing=False).id
    both.trove.act(made["id"], "resize", flavorRef=larger)
    waits.until(
        "the larger instance",
        lambda: (i := both.trove.instance(made["id"]))["status"] in ACTIVE and i["flavor"]["id"] == larger,
        seconds=SECONDS,
        setting="-",
        every=2.0,
    )
    assert both.rows("both") == ROWS


def test_both_come_back_after_a_halt(both: Both) -> None:
    both.inv("halt", f"--name={NAME}")
    both.up()
    for name in both.logins:
        waits.until(
            f"{name} with its rows",
            partial(both.has_rows, name),
            seconds=SECONDS,
            setting="-",
            every=2.0,
            transient=sql.ERRORS,
        )


def test_deleted_servers_leave_nothing_allocated(both: Both) -> None:
    for made in both.trove.instances():
        both.trove.delete(made["id"])
    waits.until("Trove to have none", lambda: not both.trove.instances(), seconds=SECONDS, setting="-", every=2.0)
    used = "SELECT count(*) FROM allocations"
    waits.until(
        "Placement to have none",
        lambda: both.machine.run("mysql", "-N", "placement", "-e", used).stdout.strip() == "0",
        seconds=60,
        setting="-",
    )
