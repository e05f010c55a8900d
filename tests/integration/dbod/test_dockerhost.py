"""Real servers in containers, on a real file system with snapshots: what is written is read back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.containers import client, ownership
from lab.core import process, waits
from lab.core.errors import PortTaken, Refused
from lab.dbod import jobs
from lab.dbod.contract import TIME, Operation, Outcome, Request, State
from lab.dbod.dockerhost import backups, engines, storage
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.evaluation import faults, host_strikes
from lab.dbod.evaluation.faults import Fault
from lab.dbod.evaluation.trial import Trial
from lab.dbod.providers.shared import Shared
from lab.engines import sql
from lab.engines.sql import ERRORS

from .hosts import do, opened, root, say, tabled

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", params=list(engines.ALL))
def name(request: pytest.FixtureRequest, host: DockerHost) -> str:
    return tabled(host, f"it_{request.param}", request.param)


def write(host: DockerHost, name: str, *rows: int) -> None:
    with host.session(name) as session:
        for row in rows:
            session.execute("INSERT INTO app.t VALUES (%s)", row)


def rows(host: DockerHost, name: str) -> list[int]:
    with host.session(name) as session:
        return [int(row[0]) for row in session.execute("SELECT id FROM app.t ORDER BY id")]


def test_to_a_point_in_time_and_on_from_there(host: DockerHost, name: str) -> None:
    write(host, name, 1)
    backup = do(host, Operation.BACKUP, name).value["id"]
    write(host, name, 2)
    # a second log file: the replay goes over its end
    with host.session(name) as session:
        session.execute("FLUSH BINARY LOGS" if "mariadb" in name else "SELECT pg_switch_wal()")
    write(host, name, 3)
    waits.pause(1.1)
    between = datetime.now(UTC).strftime(TIME)
    waits.pause(1.1)
    write(host, name, 4)
    do(host, Operation.RESTORE, name, backup=backup, time=between)
    assert rows(host, name) == [1, 2, 3]
    write(host, name, 5)
    waits.pause(1.1)
    now = datetime.now(UTC).strftime(TIME)
    with pytest.raises(Refused, match="went on from other data"):
        jobs.perform(host, Request(Operation.RESTORE, name, backup=backup, time=now))
    # all of the log is wanted: nothing was committed after that time
    later = do(host, Operation.BACKUP, name).value["id"]
    write(host, name, 6)
    waits.pause(1.1)
    do(host, Operation.RESTORE, name, backup=later, time=datetime.now(UTC).strftime(TIME))
    assert rows(host, name) == [1, 2, 3, 5, 6]
    do(host, Operation.RESTORE, name, backup=backup)
    assert rows(host, name) == [1]


def test_what_a_schedule_no_longer_keeps_goes_with_its_log(host: DockerHost, name: str) -> None:
    found, before = host.instance(name), rows(host, name)
    switch = "FLUSH BINARY LOGS" if "mariadb" in name else "SELECT pg_switch_wal()"

    def logs() -> list[str]:
        listed = process.run(*process.as_root("ls", found.log(host.records.get(name).log))).stdout.split()
        return sorted(one for one in listed if re.fullmatch(r"binlog\.\d+|[0-9A-F]{24}", one))

    def settled(number: int) -> None:
        with host.session(name) as session:
            session.execute("INSERT INTO app.t VALUES (%s)", number)
            session.execute(switch)
        waits.pause(1.1)

    # nothing made by hand may hold the log
    host.records.put(replace(host.records.get(name), backups=()))
    made = []
    for number in (100, 101, 102):
        made.append(do(host, Operation.BACKUP, name, keep=1).value["id"])
        settled(number)
    seen = logs()
    assert [one["id"] for one in do(host, Operation.BACKUPS, name).value] == made[-1:]
    last = do(host, Operation.BACKUP, name, keep=1).value["id"]
    assert len(logs()) < len(seen)
    settled(103)
    between = datetime.now(UTC).strftime(TIME)
    waits.pause(1.1)
    settled(104)
    do(host, Operation.RESTORE, name, backup=last, time=between)
    assert rows(host, name) == [*before, 100, 101, 102, 103]
    with host.session(name) as session:
        session.execute("DELETE FROM app.t WHERE id >= 100")


def test_a_backup_that_will_not_start_is_taken_back(host: DockerHost, name: str) -> None:
    before = rows(host, name)
    backup = do(host, Operation.BACKUP, name).value["id"]
    found = host.instance(name)
    broken = "ibdata1" if "mariadb" in name else "global/pg_control"
    if host.store.kind == storage.BTRFS:
        root("btrfs", "property", "set", "-f", "-ts", found.backups / backup, "ro", "false")
    root("rm", found.backups / backup / broken)
    # without its seal this is not seen before the server meets it
    backups.mark(found, host.records, replace(found.record.backup(backup), seal=""))
    failed = jobs.perform(host, Request(Operation.RESTORE, name, backup=backup))
    assert failed.outcome is Outcome.FAILED
    assert rows(host, name) == before


def test_a_killed_server_is_seen_and_starts_again_with_its_rows(host: DockerHost, name: str) -> None:
    before = rows(host, name)
    host.servers.kill(name)
    assert host.state(host.records.get(name)) == State.STOPPED
    assert {row["name"]: row["state"] for row in do(host, Operation.CHECK, "").value}[name] == State.STOPPED
    do(host, Operation.START, name)
    assert rows(host, name) == before


def test_a_restore_that_was_killed_is_put_back(host: DockerHost, name: str) -> None:
    before = rows(host, name)
    found = host.instance(name)
    # as kill -9 leaves it after the old data were moved away and before the new ones are there
    found.stop()
    found.begin_log(found.record.log + 1)
    found.store.move(found.data, found.folder / "data.old")
    do(host, Operation.START, name)
    assert rows(host, name) == before
    assert not (found.folder / "data.old").exists()
    # and after all was done, but for taking the old data away
    found.store.snapshot(found.data, found.folder / "data.old")
    write(host, name, 77)
    do(host, Operation.START, name)
    assert rows(host, name) == [*before, 77]
    assert not (found.folder / "data.old").exists()


def test_a_server_that_does_not_answer_is_unknown(host: DockerHost, name: str) -> None:
    with host.servers.paused(name):
        assert host.state(host.records.get(name)) == State.UNKNOWN
    assert host.state(host.records.get(name)) == State.RUNNING


def test_a_server_that_a_killed_backup_left_frozen_goes_on(host: DockerHost, name: str) -> None:
    with client.connect() as daemon:
        daemon.containers.get(host.servers._container(name)).pause()
    do(host, Operation.BACKUP, name)
    assert host.state(host.records.get(name)) == State.RUNNING


REFUSED = (
    {"max_connections": "many"},
    {"no_such": "1"},
    {"port": "1"},
    # other ways to what the host keeps: prefixes and abbreviations of MariaDB's, a file of PostgreSQL's
    {"loose_datadir": "/tmp"},
    {"disable_log_bin": "1"},
    {"binlog_ignore_d": "app"},
    {"binlog_ignore_db": "app"},
    {"innodb_log_group_home_dir": "/srv/log"},
    {"include": "/srv/data/x"},
    {"fsync": "off"},
    {"restore_command": "true"},
)


def test_refused_settings_change_nothing(host: DockerHost, name: str) -> None:
    config = (host.instance(name).folder / "server.cnf").read_text()
    for settings in REFUSED:
        with pytest.raises(Refused):
            jobs.perform(host, Request(Operation.CONFIG_PUT, name, settings=settings))
    # parses, and cannot start: other pages than the data have, a certificate that is not there
    lame = {"innodb_page_size": "8192"} if "mariadb" in name else {"ssl": "on"}
    with pytest.raises(Refused, match="does not start"):
        jobs.perform(host, Request(Operation.CONFIG_PUT, name, settings=lame))
    assert (host.instance(name).folder / "server.cnf").read_text() == config
    assert host.instance(name).answers()


def test_a_clone_has_its_own_password_and_port(host: DockerHost, name: str) -> None:
    do(host, Operation.BACKUP, name)
    do(host, Operation.CLONE, name, target="it_clone")
    clone, source = host.instance("it_clone"), host.instance(name)
    assert rows(host, "it_clone") == rows(host, name)
    assert clone.record.port != source.record.port
    for login, password in ((clone.login(), source.password), (clone.service(), source.service_password)):
        with pytest.raises(ERRORS), sql.connect(replace(login, password=password), "127.0.0.1", clone.record.port):
            pass
        with sql.connect(login, "127.0.0.1", clone.record.port) as session:
            assert session.execute("SELECT 1") == [(1,)]
    with pytest.raises(PortTaken):
        jobs.perform(host, Request(Operation.CREATE, "it_other", port=source.record.port))
    folder, backups = clone.folder, clone.backups
    do(host, Operation.DESTROY, "it_clone")
    assert not folder.exists()
    assert not backups.exists()


def test_the_command_by_hand_speaks_json(host: DockerHost, tmp_path: Path) -> None:
    asked = (
        "from lab.cli import show; from lab.dbod import command; from lab.dbod.providers import table; import sys\n"
    )
    asked += "from lab.core.home import Home\n"
    asked += "from pathlib import Path; table.Home = lambda name: Home(sys.argv[2], Path(sys.argv[1]))\n"
    asked += "show.job(command.run(command.request('list', ''), 'docker-host', 'lab', show.note), True)"
    words = [sys.executable, "-c", asked, str(host.home.root), host.home.name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["job"] == "FINISHED_OK"
    assert {one["state"] for one in told["value"]} <= {"RUNNING"}
    assert all(secret not in done.stdout + done.stderr for secret in host.home.secrets.values())


def test_without_snapshots_a_copy_says_that_it_is_one(host: DockerHost, tmp_path: Path) -> None:
    plain = opened("dbod-itest-copy", tmp_path, storage.COPY)
    try:
        write(plain, tabled(plain, "it_copy", "postgresql"), 1)
        assert "PLAIN COPY" in do(plain, Operation.BACKUP, "it_copy").value["how"]
        write(plain, "it_copy", 2)
        do(plain, Operation.RESTORE, "it_copy")
        assert rows(plain, "it_copy") == [1]
    finally:
        plain.remove_all()
    assert ownership.labelled("dbod-itest-copy") == []


@pytest.mark.parametrize("kind", list(engines.ALL))
def test_accounts_of_a_shared_server_do_not_see_each_other(host: DockerHost, kind: str) -> None:
    shared = Shared(DockerHost(host.home, say, owned=True))
    # MariaDB takes _ in a GRANT for any character
    one, other = f"a_{kind[:5]}", f"ax{kind[:5]}"
    for name in (one, other):
        do(shared, Operation.CREATE, name, engine=kind)
        assert do(shared, Operation.PING, name).value == {"answers": True}
    with shared.session(other) as session:
        session.execute("CREATE TABLE t (id INTEGER)")
    strange = replace(shared._login(one), database=other)
    port = do(shared, Operation.CREDENTIALS, one).value["port"]
    with pytest.raises(ERRORS), sql.connect(strange, "127.0.0.1", port) as session:
        session.execute("SELECT * FROM t")
    do(shared, Operation.DESTROY, one)
    assert do(shared, Operation.PING, other).value == {"answers": True}
    with pytest.raises(Refused):
        do(shared, Operation.PING, one)
    with pytest.raises(Refused, match="servers' own"):
        do(shared, Operation.CREATE, "mysql", engine=kind)


@pytest.mark.parametrize("broken", host_strikes.FAULTS, ids=lambda one: one.id)
def test_what_breaks_is_survived(host: DockerHost, name: str, broken: Fault) -> None:
    row = faults.endured(Trial(host, name.removeprefix("it_"), name), broken)
    if not row["tried"]:
        pytest.skip(row["why"])
    assert row["survived"], row
    assert row["why"] == "", row
    assert row["by"] in {"itself", "start"}, row
    if broken.strike is host_strikes.container_killed:
        assert (set(row["noticed"]), row["by"]) == ({"connecting", "provider"}, "start")
    if broken.strike is host_strikes.store_full:
        assert row["user"], "64 MiB were written to a full store"
    if broken.strike is host_strikes.backup_killed:
        assert any("made and restored" in words for words in row["evidence"])
