"""What a user does with a lab, in the order of its life: the order of the tests matters and is the file's."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tarfile
from pathlib import Path

import jsonschema
import pytest

from lab.cloud import access
from lab.cloud.trove import Trove
from lab.core import waits
from lab.core.home import Home
from lab.core.ssh import Remote, free_port
from lab.engines import sql
from lab.engines.sql import Login
from lab.lifecycle import labs
from tests.e2e.conftest import NAME, ROOT, Lab, host
from tests.e2e.guests import Guest

BIN = ROOT / ".venv" / "bin"


def openstack(lab: Lab, cloud: str, *words: str) -> str:
    """The stock client with the lab's clouds.yaml."""
    env = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(lab.path / "clouds.yaml"), "OS_CLOUD": cloud}
    done = subprocess.run(
        [BIN / "openstack", *words], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_up_was_killed_three_times_and_still_ended_well(lab: Lab) -> None:
    status = lab.ask("status")
    assert status["machine"] == "running"
    (instance,) = status["instances"]
    assert instance["status"] in {"ACTIVE", "HEALTHY"}
    assert status["drift"] == []
    assert set(status["services"]) >= {"identity", "image", "compute", "network", "placement", "database"}
    assert all(word.startswith("answers") for word in status["services"].values())
    assert set(status["agents"].values()) == {"up"}
    schema = json.loads((ROOT / "tests/unit/lifecycle/status.schema.json").read_text())
    jsonschema.validate(status, schema)


def test_up_on_a_running_lab_changes_nothing(lab: Lab) -> None:
    before = lab.state
    events = lab.up()
    assert {e["status"] for e in events if e["event"] == "finished"} == {"kept"}
    assert lab.state == before


def test_up_from_its_own_manifest_finds_no_difference(lab: Lab) -> None:
    said = lab.inv("up", f"--name={NAME}", f"--from-manifest={lab.path / 'manifest.json'}")
    assert "differ" not in said.stdout


def test_sql_from_a_stock_client(lab: Lab) -> None:
    port = free_port()
    tunnel = subprocess.Popen(
        [ROOT / "inv", "tunnel", f"--name={NAME}", f"--port={port}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert tunnel.stdout is not None
        assert f"127.0.0.1:{port}" in tunnel.stdout.readline()
        done = subprocess.run(
            [
                "mariadb",
                f"--defaults-extra-file={lab.path / 'my.cnf'}",
                "--host=127.0.0.1",
                f"--port={port}",
                "--batch",
                "--skip-column-names",
                "--execute=SELECT count(*) FROM labdb.proof",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.strip() == "100", done.stderr
    finally:
        tunnel.terminate()
        tunnel.wait()


def test_the_openstack_client_works_for_both_users(lab: Lab) -> None:
    assert "mariadb" in openstack(lab, "demo", "datastore", "list")
    assert "nova-compute" in openstack(lab, "admin", "compute", "service", "list")
    instances = json.loads(openstack(lab, "demo", "database", "instance", "list", "-f", "json"))
    assert [i["Name"] for i in instances] == [f"{NAME}-mariadb"]


def test_openrc_works(lab: Lab) -> None:
    done = subprocess.run(
        ["bash", "-c", f". {lab.path}/openrc-demo && {BIN}/openstack token issue -f value -c id"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("OS_")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_ssh_runs_a_command(lab: Lab) -> None:
    done = lab.inv("ssh", f"--name={NAME}", "-c", "systemctl is-active nova-compute; hostname")
    assert done.stdout.splitlines()[0] == "active"


def test_security_groups_hold_and_a_floating_address_leads_in(lab: Lab) -> None:
    with Guest("e2e-guest", lab.name) as guest:
        assert not guest.reached(guest.address), "its security group lets nothing in"
        rule = guest.let_in(80)
        guest.until("the rule to open port 80", guest.address, reached=True)
        floating = guest.float()
        guest.until("the floating address to lead to it", floating, reached=True)
        guest.cloud.network.delete_security_group_rule(rule)
        guest.until("the closed port to be closed again", floating, reached=False)


def test_secret_files_are_private(lab: Lab) -> None:
    assert lab.path.stat().st_mode & 0o077 == 0
    for name in (
        "secrets.json",
        "clouds.yaml",
        "openrc-admin",
        "openrc-demo",
        "my.cnf",
        "state.json",
        "id_ed25519",
    ):
        assert (lab.path / name).stat().st_mode & 0o077 == 0, name


def test_the_log_bundle_holds_the_logs_and_no_secret(lab: Lab, tmp_path: Path) -> None:
    target = tmp_path / "bundle.tar.gz"
    lab.inv("logs", f"--name={NAME}", f"--out={target}")
    secrets = Home(NAME).secrets.values()
    assert len(secrets) > 5
    names = []
    with tarfile.open(target) as tar:
        for member in tar:
            names.append(member.name)
            file = tar.extractfile(member)
            assert file is not None
            text = file.read().decode(errors="replace")
            assert not [s for s in secrets if s in text], f"a secret is in {member.name}"
    assert target.stat().st_mode & 0o077 == 0
    for part in ("journal.txt", "trove", "nova-compute", "console.log", "state.json", "guest"):
        assert any(part in name for name in names), f"{part} is not in {names}"


def test_a_second_engine(lab: Lab) -> None:
    lab.up("--datastore=postgresql")
    kinds = {i["datastore"].split()[0] for i in lab.ask("status")["instances"]}
    assert kinds == {"mariadb", "postgresql"}


@pytest.mark.parametrize("datastore", ["mariadb", "postgresql"])
def test_databases_users_and_root_by_troves_api(lab: Lab, datastore: str) -> None:
    home = Home(lab.name)
    connection = access.connect(home.clouds_yaml, "demo")
    trove, raw = Trove(connection), connection.database
    seen = next(i for i in trove.instances() if i["name"] == f"{lab.name}-{datastore}")
    instance, address = seen["id"], seen["addresses"][0]["address"]
    root, reader = f"/instances/{instance}/root", f"/instances/{instance}/users/reader"
    remote = Remote(labs.machine_of(home).address())

    def answers(user: str, password: str, database: str, statement: str) -> object:
        login = Login(datastore, str(address), user, password, database)
        try:
            with sql.session(remote, login) as session:
                return session.execute(statement)
        except sql.ERRORS as error:
            return sql.said(error)

    password = secrets.token_hex(12)
    schema = "CREATE SCHEMA reader" if datastore == "postgresql" else "CREATE TABLE notes (id INTEGER PRIMARY KEY)"
    trove.create_database(instance, {"name": "second"})
    trove.create_user(instance, "reader", password, ["second"])
    waits.until(
        "reader to be there", lambda: "reader" in trove.users(instance), seconds=60, setting="here", every=1.0
    )
    assert "second" in trove.databases(instance)
    assert answers("reader", password, "second", schema) == []
    if datastore == "mariadb":
        assert "denied" in str(answers("reader", password, "labdb", "SELECT count(*) FROM proof"))
        assert raw.put(f"{reader}/databases", json={"databases": [{"name": "labdb"}]}).ok
        assert answers("reader", password, "labdb", "SELECT count(*) FROM proof") == [(100,)]
        assert raw.delete(f"{reader}/databases/labdb").ok
        assert "denied" in str(answers("reader", password, "labdb", "SELECT count(*) FROM proof"))
    assert raw.get(root).json() == {"rootEnabled": False}
    administrator = trove.enable_root(instance, password)
    assert raw.get(root).json() == {"rootEnabled": True}
    trove.restart(instance)
    trove.wait_active(instance, seconds=300, note=waits.silent)
    assert answers(administrator, password, "mysql" if datastore == "mariadb" else "postgres", "SELECT 1") == [(1,)]
    if datastore == "postgresql":  # no role is dropped that owns something, and Trove does not say so
        assert answers("reader", password, "second", "DROP SCHEMA reader") == []
    assert raw.delete(reader).ok
    waits.until("reader to be gone", lambda: "reader" not in trove.users(instance), seconds=60, setting="here")
    assert "reader" in str(answers("reader", password, "second", "SELECT 1"))


def test_dbod_is_tried_on_this_trove(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    wanted = ("--providers=trove", "--engines=mariadb", "--no-faults")
    lab.inv("dbod-evaluate", *wanted, f"--name={NAME}", f"--out={out}", timeout=1500)
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    found = {row["requirement"]: row for row in rows if row["kind"] == "scenario"}
    for name in (
        "create",
        "dba-rights",
        "monitor",
        "state-checker",
        "stop-start",
        "configuration-refused",
        "destroy",
    ):
        assert found[name]["outcome"] in {"native", "with work"}, found[name]["why"]
    for name in ("backup", "clone", "logs", "replica"):
        assert (found[name]["outcome"], "object-store" in found[name]["why"]) == ("missing", True), found[name]
    assert {i["name"] for i in lab.ask("status")["instances"]} == {f"{NAME}-mariadb", f"{NAME}-postgresql"}


WRITERS = """
export XDG_CACHE_HOME=$(mktemp -d)
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
ask='import stevedore._cache; print(stevedore._cache.get_group_all("oslo.messaging.drivers") != [])'
for turn in 1 2 3 4; do
    rm -rf "$XDG_CACHE_HOME"/*
    for writer in 1 2 3 4 5 6; do python3 -c "$ask" > /dev/null & done
    wait
    python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["groups"]))' "$XDG_CACHE_HOME"/*/*
done
"""
"""Services' workers start together, and each writes the same cache; what is read later decides what they find."""


def test_the_cache_of_entry_points_stays_whole_when_many_write_it_at_once(lab: Lab) -> None:
    machine = Remote(labs.machine_of(Home(NAME)).address())
    groups = machine.run("bash", "-euc", WRITERS, timeout=120).stdout.split()
    assert len(groups) == 4
    assert len(set(groups)) == 1, "one of them lost groups"


def test_halt_and_up_bring_the_databases_back(lab: Lab) -> None:
    lab.inv("halt", f"--name={NAME}")
    assert lab.ask("status")["machine"] == "halted"
    for datastore in ("mariadb", "postgresql"):
        lab.up(f"--datastore={datastore}")
    after = lab.ask("status")
    assert {i["status"] for i in after["instances"]} <= {"ACTIVE", "HEALTHY"}


def test_destroy_says_first_and_keeps_the_cache_when_told(lab: Lab) -> None:
    before = host()
    said = lab.inv("destroy", f"--name={NAME}", "--dry-run").stdout
    assert f"trove-lab-{NAME}" in said
    assert host()["containers"] == before["containers"], "a dry run changes nothing"
    lab.inv("destroy", f"--name={NAME}", "--keep-cache")
    after = host()
    assert not after["containers"]
    assert not after["networks"]
    assert any(tag.startswith(f"trove-lab/warm:{NAME}-") for tag in after["images"]), "the warm image was to be kept"


def test_a_warm_up_starts_from_the_committed_image(lab: Lab) -> None:
    events = lab.up()
    done = {e["step"] for e in events if e["event"] == "finished" and e["status"] == "done"}
    assert "configure" not in done, "the cloud was installed anew"
    (instance,) = lab.ask("status")["instances"]
    assert instance["status"] in {"ACTIVE", "HEALTHY"}


def test_destroy_leaves_nothing(lab: Lab) -> None:
    bridges = [f"br-{network}" for network in host()["networks"]]
    lab.inv("destroy", f"--name={NAME}")
    after = host()
    for kind in ("containers", "images", "networks", "volumes", "processes"):
        assert not after[kind], kind
    assert not (ROOT / ".lab" / NAME).exists()
    assert bridges
    assert not [rule for rule in after["iptables"] for bridge in bridges if bridge in rule]
    assert not after["interfaces"] & set(bridges)
    again = lab.inv("status", f"--name={NAME}", check=False)
    assert again.returncode == 14
    assert "There is no lab" in again.stderr
