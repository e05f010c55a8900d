"""The provider over Trove, against the shapes of its API: what is asked, and how answers are understood.

No Trove runs here: that these are the answers of a real one is for the evaluation against a lab to show.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1.exceptions import ConnectFailure

from lab.config import settings
from lab.core import errors
from lab.core.home import Home
from lab.dbod import jobs
from lab.dbod.contract import Operation, Outcome, Request, Result
from lab.dbod.providers import table
from lab.dbod.providers.trove import CloudHost
from tests.unit.dbod.faketrove import FakeTrove, access


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home("lab", tmp_path)
    made.make()
    return made


def cloud(home: Home, **given: Any) -> tuple[CloudHost, FakeTrove]:
    opened, fake = access(home, **given)
    return CloudHost(opened), fake


def do(provider: CloudHost, operation: Operation, **given: Any) -> Result:
    return jobs.perform(provider, Request(operation, "sales", **given))


def test_create_asks_for_the_smallest_flavor_with_a_disk_and_gives_every_right(home: Home) -> None:
    provider, fake = cloud(home)
    made = do(provider, Operation.CREATE, memory=100)
    assert made.outcome is Outcome.NATIVE
    assert made.value["host"] == "10.0.0.5"
    assert made.value["state"] == "RUNNING"
    asked = next(body["instance"] for method, path, body in fake.requests if (method, path) == ("POST", "/instances"))
    assert asked == {
        "name": "dbod-sales",
        "flavorRef": "small",
        "datastore": {"type": "mariadb", "version": "11.8"},
        "nics": [{"net-id": "net-private"}],
    }
    root = next(body for _, path, body in fake.requests if path == "/instances/i0/root")
    assert root["password"] == home.secrets["dbod-sales.root"]
    do(provider, Operation.CREATE)
    assert sum((m, p) == ("POST", "/instances") for m, p, _ in fake.requests) == 1


def test_what_has_no_flavor_or_no_port_of_its_own(home: Home) -> None:
    provider, fake = cloud(home)
    with pytest.raises(errors.Refused, match="no flavor"):
        do(provider, Operation.CREATE, memory=10_000)
    assert do(provider, Operation.CREATE, port=5000).outcome is Outcome.MISSING
    assert do(provider, Operation.CREATE, engine="postgresql").outcome is Outcome.MISSING
    assert not fake.instances


def test_settings_become_a_group_and_the_server_restarts_where_it_must(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    done = do(provider, Operation.CONFIG_PUT, settings={"max_connections": "57"})
    assert done.value == {"max_connections": 57}
    assert ("POST", "/instances/i0/action", {"restart": {}}) in fake.requests
    again = do(provider, Operation.CONFIG_PUT, settings={"wait_timeout": "60"})
    assert again.value == {"max_connections": 57, "wait_timeout": 60}
    assert do(provider, Operation.CONFIG_GET).value == again.value


def test_troves_refusal_keeps_its_words(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    with pytest.raises(errors.Refused, match="parameter nonsense is not supported"):
        do(provider, Operation.CONFIG_PUT, settings={"nonsense": "1"})
    assert not fake.groups


@pytest.mark.parametrize(
    "operation", [Operation.BACKUP, Operation.CLONE, Operation.LOGS, Operation.REPLICATE, Operation.PROMOTE]
)
def test_without_swift_nothing_is_asked_of_trove(home: Home, operation: Operation) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    fake.requests.clear()
    done = do(provider, operation, target="copy")
    assert done.outcome is Outcome.MISSING
    assert "object-store" in done.why
    assert all(method == "GET" for method, *_ in fake.requests)


def test_a_replica_takes_after_its_source(home: Home) -> None:
    provider, fake = cloud(home, services=("database", "compute", "object-store"))
    do(provider, Operation.CREATE)
    made = do(provider, Operation.REPLICATE, target="copy")
    assert made.outcome is Outcome.NATIVE, made.why
    assert fake.instances["i1"]["flavor"] == fake.instances["i0"]["flavor"]
    assert home.secrets["dbod-copy.root"] == home.secrets["dbod-sales.root"]


def test_a_backup_that_is_asked_for_again_by_the_same_job_is_the_same(home: Home) -> None:
    provider, fake = cloud(home, services=("database", "compute", "object-store"))
    do(provider, Operation.CREATE)
    made = [do(provider, Operation.BACKUP, id=job).value["id"] for job in ("s-1", "s-1", "s-2")]
    assert made == ["b0", "b0", "b1"]
    assert [b["name"] for b in fake.backups] == ["dbod-sales-s-1", "dbod-sales-s-2"]
    assert do(provider, Operation.BACKUP).value["id"] == "b2"


def test_one_version_is_nothing_to_upgrade_to(home: Home) -> None:
    provider, _ = cloud(home)
    do(provider, Operation.CREATE)
    assert do(provider, Operation.UPGRADE).outcome is Outcome.MISSING
    provider, fake = cloud(home, versions=("11.4", "11.8"))
    do(provider, Operation.CREATE, version="11.4")
    assert do(provider, Operation.UPGRADE).outcome is Outcome.NATIVE
    assert ("PATCH", "/instances/i0", {"instance": {"datastore_version": "11.8"}}) in fake.requests


def test_a_container_is_not_upgraded_to_a_machine(home: Home) -> None:
    provider, fake = cloud(home, versions=("11.8", "11.8-vm"))
    do(provider, Operation.CREATE)
    assert fake.instances["i0"]["datastore"]["version"] == "11.8"
    assert do(provider, Operation.UPGRADE).outcome is Outcome.MISSING


def test_stop_is_an_operators_action_and_start_a_restart(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    stopped = do(provider, Operation.STOP)
    assert (stopped.outcome, stopped.value["state"]) == (Outcome.WITH_WORK, "STOPPED")
    assert ("POST", "/mgmt/instances/i0/action", {"stop": {}}) in fake.requests
    assert do(provider, Operation.START).value["state"] == "RUNNING"


def test_resize_and_destroy(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    before = do(provider, Operation.MONITOR).value["memory"]
    assert do(provider, Operation.RESIZE, memory=1000).value["memory"] > before
    assert fake.instances["i0"]["flavor"] == {"id": "large"}
    do(provider, Operation.CONFIG_PUT, settings={"max_connections": "57"})
    do(provider, Operation.DESTROY)
    assert not fake.instances
    assert not fake.groups
    assert do(provider, Operation.DESTROY).outcome is Outcome.NATIVE


def test_an_instance_in_error_ends_the_wait_with_troves_words(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    fake.instances["i0"].update(status="ERROR", fault={"message": "no valid host"})
    failed = do(provider, Operation.CREATE)
    assert failed.outcome is Outcome.FAILED
    assert "no valid host" in failed.why


def test_the_labs_own_instances_are_not_ours(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    fake.instances["i9"] = {**fake.instances["i0"], "id": "i9", "name": "lab-mariadb"}
    assert [one["name"] for one in do(provider, Operation.LIST).value] == ["sales"]


SWIFT = ("database", "compute", "object-store")


def names(fake: FakeTrove) -> list[str]:
    return [one["name"] for one in fake.instances.values()]


def test_lists_are_read_to_their_end_by_troves_own_links(home: Home) -> None:
    provider, fake = cloud(home, services=SWIFT, page=2)
    do(provider, Operation.CREATE)
    made = [do(provider, Operation.BACKUP).value["id"] for _ in range(5)]
    assert [b["id"] for b in do(provider, Operation.BACKUPS).value] == made
    for number in range(1, 6):
        fake.instances[f"i{number}"] = {**fake.instances["i0"], "id": f"i{number}", "name": f"dbod-s{number}"}
    assert [one["name"] for one in do(provider, Operation.LIST).value] == ["s1", "s2", "s3", "s4", "s5", "sales"]
    fake.groups = {f"g{n}": {"id": f"g{n}", "name": f"other-{n}", "values": {}} for n in range(1, 6)}
    fake.groups["g6"] = {"id": "g6", "name": "dbod-sales", "values": {"wait_timeout": 7}}
    assert do(provider, Operation.CONFIG_GET).value == {"wait_timeout": 7}


def test_a_row_that_slid_to_the_next_page_is_one_row(home: Home) -> None:
    provider, fake = cloud(home, services=SWIFT, page=2)
    do(provider, Operation.CREATE)
    made = [do(provider, Operation.BACKUP).value["id"] for _ in range(3)]
    plain = fake._paged

    def slid(key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Another's backup is made before the second page is asked for."""
        told = plain(key, rows)
        return told if not fake._query or key != "backups" else {key: [rows[1], *told[key]]}

    fake._paged = slid  # type: ignore[method-assign]
    assert [b["id"] for b in do(provider, Operation.BACKUPS).value] == made


def test_settings_have_the_types_of_the_datastores_own_list(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    given = {"max_connections": "57", "autocommit": "off", "ft_query": "12"}
    assert do(provider, Operation.CONFIG_PUT, settings=given).value == {
        "max_connections": 57,
        "autocommit": False,
        "ft_query": "12",
    }
    with pytest.raises(errors.BadValue, match="max_connections=many"):
        do(provider, Operation.CONFIG_PUT, settings={"max_connections": "many"})
    assert fake.groups["g0"]["values"]["max_connections"] == 57


def test_a_clone_is_of_its_sources_engine_version_and_size(home: Home) -> None:
    provider, fake = cloud(home, services=SWIFT, versions=("11.4", "11.8"))
    do(provider, Operation.CREATE, version="11.4", memory=1000)
    do(provider, Operation.BACKUP)
    made = do(provider, Operation.CLONE, target="copy")
    assert made.outcome is Outcome.NATIVE, made.why
    assert fake.instances["i1"]["datastore"] == {"type": "mariadb", "version": "11.4"}
    assert fake.instances["i1"]["flavor"] == {"id": "large"}


def test_a_clone_is_made_once(home: Home) -> None:
    provider, fake = cloud(home, services=SWIFT)
    do(provider, Operation.CREATE)
    do(provider, Operation.BACKUP)
    first, again = (do(provider, Operation.CLONE, target="copy", id="s-1").value for _ in range(2))
    assert first == again
    for repeat in ("", "s-2"):
        with pytest.raises(errors.Refused, match="There is an instance 'copy' already"):
            do(provider, Operation.CLONE, target="copy", id=repeat)
    assert names(fake) == ["dbod-sales", "dbod-copy"]


def test_a_clone_is_of_a_whole_backup_of_its_source(home: Home) -> None:
    provider, fake = cloud(home, services=SWIFT)
    do(provider, Operation.CREATE)
    whole = do(provider, Operation.BACKUP).value["id"]
    fake.backups.append({**fake.backups[0], "id": "b9", "status": "FAILED", "created": "2026-02-01T00:00:00"})
    do(provider, Operation.CLONE, target="copy")
    asked = [body["instance"] for method, path, body in fake.requests if (method, path) == ("POST", "/instances")][-1]
    assert asked["restorePoint"] == {"backupRef": whole}
    with pytest.raises(errors.NoSuch, match="no backup 'b9'"):
        do(provider, Operation.CLONE, target="other", backup="b9")


def test_a_replica_is_made_once(home: Home) -> None:
    provider, fake = cloud(home, services=SWIFT)
    do(provider, Operation.CREATE)
    for _ in range(2):
        do(provider, Operation.REPLICATE, target="copy")
    assert names(fake) == ["dbod-sales", "dbod-copy"]


@pytest.mark.parametrize("operation", [Operation.MONITOR, Operation.DESTROY, Operation.CREATE])
def test_a_name_that_trove_has_twice_is_nobodys(home: Home, operation: Operation) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    fake.instances["i9"] = {**fake.instances["i0"], "id": "i9"}
    with pytest.raises(errors.NameTwice, match=r"2 instances or groups named 'dbod-sales'.*: i0, i9") as caught:
        do(provider, operation)
    assert "openstack database instance update ID --name NEW" in caught.value.remedy
    assert set(fake.instances) == {"i0", "i9"}
    assert len(do(provider, Operation.LIST).value) == 2


def test_of_two_groups_of_a_name_the_instance_has_one(home: Home) -> None:
    provider, fake = cloud(home)
    do(provider, Operation.CREATE)
    fake.groups = {g: {"id": g, "name": "dbod-sales", "values": {"wait_timeout": n}} for n, g in enumerate("ab")}
    with pytest.raises(errors.NameTwice, match="a, b"):
        do(provider, Operation.CONFIG_GET)
    fake.instances["i0"]["configuration"] = {"id": "b"}
    assert do(provider, Operation.CONFIG_GET).value == {"wait_timeout": 1}


def test_a_cloud_that_does_not_answer_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ConnectFailure("Unable to establish connection to http://127.0.0.1:34827/v3/auth/tokens")

    monkeypatch.setattr("lab.lifecycle.labs.home_of", lambda _: home)
    monkeypatch.setattr("lab.lifecycle.labs.machine_of", lambda _: SimpleNamespace(status=lambda: "running"))
    monkeypatch.setattr("lab.cloud.access.connect", refused)
    home.clouds_yaml.write_text("clouds: {}")
    home.state["spec"] = settings.to_dict(settings.LabSpec())
    with pytest.raises(errors.ApiFailed, match="Unable to establish connection"):
        table.trove("unit")
