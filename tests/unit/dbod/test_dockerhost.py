"""The contract of databases on demand: requests, outcomes, refusals, where a replay stops, and what the page says."""

from __future__ import annotations

import errno
import json
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pg8000.dbapi
import pymysql
import pytest

from lab.core import errors, run_manifest
from lab.core.home import Home
from lab.core.progress import People
from lab.core.raw_rows import Rows, finished, read
from lab.dbod import command, contract, jobs
from lab.dbod.contract import Handler, Operation, Outcome, Provider, Request, State
from lab.dbod.dockerhost import engines, recovery, servers
from lab.dbod.dockerhost.instances import Instance
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.dockerhost.records import Backup, Record, Records
from lab.dbod.dockerhost.servers import Servers
from lab.dbod.evaluation import evaluate, scenarios, trial
from lab.dbod.evaluation.trial import Trial, Unmet
from lab.dbod.providers import table as providers
from lab.dbod.providers.shared import Shared
from lab.dbod.providers.trove import CloudHost
from lab.engines.sql import Session
from lab.report import dbod as page
from tests.unit.dbod.faketrove import access


def say(_: str) -> None:
    pass


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home("dbod-unit", tmp_path)
    made.make()
    return made


@pytest.fixture(params=["docker-host", "shared", "trove"])
def provider(request: pytest.FixtureRequest, home: Home) -> Provider:
    if request.param == "trove":
        return CloudHost(access(home)[0])
    host = DockerHost(home, say, owned=request.param == "shared")
    return host if request.param == "docker-host" else Shared(host)


def test_every_operation_is_there_or_said_to_be_missing(provider: Provider) -> None:
    assert set(provider.does) | set(provider.lacks) == set(Operation)
    assert not set(provider.does) & set(provider.lacks)
    assert set(provider.work) <= set(provider.does)
    assert all(why and why[0].islower() is not why.startswith("Trove") for why in provider.lacks.values())


class Fake:
    """A provider whose operations are the test's."""

    name = "fake"

    def __init__(self, does: dict[Operation, Handler], work: dict[Operation, str] | None = None) -> None:
        self.does = does
        self.work = work or {}
        self.lacks = {operation: "it is a fake" for operation in Operation if operation not in does}
        self.rows: list[tuple[object, ...]] = []

    def session(self, name: str) -> AbstractContextManager[Session]:
        return Answers(self.rows)  # type: ignore[return-value]


class Answers:
    def __init__(self, rows: list[tuple[object, ...]]) -> None:
        self.rows = rows

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, *_: object) -> list[tuple[object, ...]]:
        return [(1,)] if statement == "SELECT 1" else self.rows


def _raise(error: Exception) -> Handler:
    def handler(_request: Request, _note: Any) -> None:
        raise error

    return handler


def _noting(_request: Request, note: Any) -> int:
    note("hello")
    return 7


def test_an_operation_ends_as_native_with_work_missing_or_failed() -> None:
    ping = Request(Operation.PING, "x")
    native = jobs.perform(Fake({Operation.PING: _noting}), ping)
    assert (native.outcome, native.value, native.job) == (Outcome.NATIVE, 7, "FINISHED_OK")
    assert native.log[0].endswith("hello")
    worked = jobs.perform(Fake({Operation.PING: lambda _r, _n: 7}, {Operation.PING: "glue"}), ping)
    assert (worked.outcome, worked.why) == (Outcome.WITH_WORK, "glue")
    missing = jobs.perform(Fake({}), ping)
    assert (missing.outcome, missing.why, missing.job) == (Outcome.MISSING, "it is a fake", "FINISHED_FAIL")
    failed = jobs.perform(Fake({Operation.PING: _raise(errors.GaveUp("it", "broken"))}), ping)
    assert (failed.outcome, failed.job) == (Outcome.FAILED, "FINISHED_FAIL")
    assert json.loads(json.dumps(failed.as_dict()))["error"]["exit_code"] == errors.GaveUp.exit_code


@pytest.mark.parametrize("error", [errors.Refused("No.", "Yes."), errors.PortTaken(5000, "x")])
def test_the_askers_mistake_is_nobodys_failure(error: errors.LabError) -> None:
    with pytest.raises(type(error)):
        jobs.perform(Fake({Operation.PING: _raise(error)}), Request(Operation.PING, "x"))


@pytest.mark.parametrize(
    ("met", "error"),
    [
        (pg8000.dbapi.InterfaceError("network error"), errors.DatabaseFailed),
        (pymysql.err.OperationalError(2013, "Lost connection"), errors.DatabaseFailed),
        (ConnectionResetError(), errors.DatabaseFailed),
        (OSError(errno.ENOSPC, "No space left on device", "/store/x"), errors.DiskFull),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_server_that_dies_within_an_operation_and_a_full_disk_are_told(met: Exception, error: type) -> None:
    done = jobs.perform(Fake({Operation.PING: _raise(met)}), Request(Operation.PING, "x"))
    assert (done.outcome, type(done.error)) == (Outcome.FAILED, error)


def test_what_is_no_servers_fault_is_not_called_one() -> None:
    with pytest.raises(PermissionError):
        jobs.perform(Fake({Operation.PING: _raise(PermissionError())}), Request(Operation.PING, "x"))


def test_settings_are_words_with_an_equals_sign() -> None:
    asked = command.request("config-put", "max_connections=50, wait_timeout=9", instance="x")
    assert asked.settings == {"max_connections": "50", "wait_timeout": "9"}
    asked = command.request("config-put", """sql_mode='ANSI,TRADITIONAL',search_path="a, b" """, instance="x")
    assert asked.settings == {"sql_mode": "ANSI,TRADITIONAL", "search_path": "a, b"}
    with pytest.raises(errors.BadValue, match="sql_mode"):
        command.request("config-put", "sql_mode='ANSI", instance="x")
    with pytest.raises(errors.BadValue, match="bakcup"):
        command.request("bakcup", "", instance="x")


@pytest.mark.parametrize("engine", engines.ALL.values(), ids=lambda e: e.name)
def test_what_the_host_needs_wins_over_the_users_settings(engine: engines.Engine) -> None:
    text = engine.config({"port": "1", "max_connections": "7"}, 256, {})
    lines = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    assert lines["port"].strip("'") == str(engine.port)
    assert lines["max_connections"].strip("'") == "7"
    assert engine.kept.fullmatch("port")


REFUSED = [
    (engines.MARIADB, 0, "[Warning] Buffered warning: option 'max_connections': unsigned value 0 adjusted to 10",
     "option 'max_connections': unsigned value 0 adjusted to 10"),
    (engines.MARIADB, 7, "[Warning] x\n[ERROR] mariadbd: unknown variable 'no=1'", "unknown variable 'no=1'"),
    (engines.POSTGRESQL, 1, '2026 GMT [1] LOG:  invalid value for parameter "max_connections": "many"\n'
     '2026 GMT [1] FATAL:  configuration file "x" contains errors',
     'invalid value for parameter "max_connections": "many"'),
    (engines.MARIADB, 9, "", "exit code 9"),
]  # fmt: skip
"""What MariaDB 11.8 and PostgreSQL 17 said."""


@pytest.mark.parametrize(("engine", "code", "said", "why"), REFUSED)
def test_the_engines_refusal_is_one_sentence(engine: engines.Engine, code: int, said: str, why: str) -> None:
    assert engine.refusal(code, said, {"max_connections": "many"}) == why


def test_warnings_of_other_settings_are_no_refusal() -> None:
    said = "[Warning] option 'table_cache': unsigned value 0 adjusted to 10\n[ERROR] mariadbd: /srv/data is read-only"
    assert engines.MARIADB.refusal(0, said, {"max_connections": "5"}) is None


# --- what may be restored ----------------------------------------------------------------------------------

NOW = datetime.now(UTC)


def at(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


BACKUP = Backup("b1", at(-5), "11.8", 1, {})
RECORD = Record("x", "mariadb", "11.8", 3307, 256, "", "TEST", at(-9), backups=(BACKUP,), log=2, ends=(at(-2),))


@pytest.mark.parametrize(
    ("backup", "hours", "why"),
    [
        (replace(BACKUP, version="10.11"), None, "of version 10.11"),
        (BACKUP, -6, "is before backup"),
        (BACKUP, 1, "has not come yet"),
        (BACKUP, -1, "went on from other data"),
    ],
)
def test_what_cannot_be_restored_is_refused(backup: Backup, hours: float | None, why: str) -> None:
    time = NOW + timedelta(hours=hours) if hours is not None else None
    with pytest.raises(errors.Refused, match=why):
        recovery.allow(RECORD, backup, time)


def test_what_can_be_restored_is_allowed() -> None:
    recovery.allow(RECORD, BACKUP, None)
    recovery.allow(RECORD, BACKUP, NOW - timedelta(hours=3))
    recovery.allow(RECORD, replace(BACKUP, log=2), NOW - timedelta(hours=1))


def test_the_newest_backup_from_which_a_time_can_be_reached_is_taken() -> None:
    older = replace(BACKUP, id="b0", at=at(-7))
    last = replace(BACKUP, id="b2", at=at(-1), log=2)
    record = replace(RECORD, backups=(older, BACKUP, last))
    assert recovery.newest(record, NOW - timedelta(hours=6)) == older
    assert recovery.newest(record, NOW - timedelta(hours=3)) == BACKUP
    assert recovery.newest(record, NOW - timedelta(minutes=30)) == last
    with pytest.raises(errors.Refused, match="is before backup"):
        recovery.newest(record, NOW - timedelta(hours=8))


def test_records_are_there_after_a_restart(home: Home) -> None:
    store = home.path / "store"
    store.mkdir()
    home.state["store"] = "copy"
    Records(home, lambda: store).put(RECORD)
    again = Records(Home(home.name, home.root), lambda: store)
    assert again.names() == ["x"]
    assert again.get("x") == RECORD
    again.remove("x")
    assert again.find("x") is None
    with pytest.raises(errors.Refused, match="no instance 'x'"):
        again.get("x")


def test_a_maintenance_forbids_what_users_ask(home: Home) -> None:
    home.state["store"] = "copy"
    host = DockerHost(home, say)
    host.records.put(replace(RECORD, maintenance=True))
    with pytest.raises(errors.Refused, match="maintenance"):
        jobs.perform(host, Request(Operation.STOP, "x"))


def test_a_look_at_a_server_that_dies_meanwhile_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.state["store"] = "copy"
    host = DockerHost(home, say)
    host.records.put(RECORD)
    answers = iter([True, False])
    monkeypatch.setattr(Instance, "answers", lambda _: next(answers))
    monkeypatch.setattr(Servers, "running", lambda _self, _name: False)

    def gone(_: Instance) -> Session:
        raise pg8000.dbapi.InterfaceError("network error")

    monkeypatch.setattr(Instance, "session", gone)
    assert jobs.value(host, Operation.MONITOR, RECORD.name).value["state"] == State.STOPPED


def test_a_port_of_another_instance_is_refused(home: Home) -> None:
    home.state["store"] = "copy"
    host = DockerHost(home, say)
    host.records.put(RECORD)
    with pytest.raises(errors.PortTaken):
        host._creation.port(3307, "y")
    assert host._creation.port(0, "y") != 3307


# --- the evaluation ----------------------------------------------------------------------------------------


def test_rows_that_differ_are_a_failure() -> None:
    fake = Fake({})
    tried = Trial(fake, "mariadb", "ev")
    fake.rows = [(1, "word-1")]
    tried.reads(1)
    with pytest.raises(Unmet, match=r"rows \[1, 2\] should be there, rows \[1\] are"):
        tried.reads(1, 2)
    with pytest.raises(Unmet, match="should have been refused"):
        Trial(Fake({Operation.STOP: lambda _r, _n: None}), "mariadb", "ev").refused(Operation.STOP)


def test_a_scenario_is_as_good_as_its_operation() -> None:
    tried = Trial(Fake({Operation.PING: lambda _r, _n: 1}, {Operation.PING: "glue"}), "mariadb", "ev")
    tried.do(Operation.PING)
    assert trial.ended(tried, None, Operation.PING)[:2] == (Outcome.WITH_WORK, "glue")
    assert trial.ended(tried, errors.Missing("fake", "ping", "gone"), Operation.PING)[:2] == (Outcome.MISSING, "gone")
    assert trial.ended(tried, Unmet("rows"), Operation.PING)[:2] == (Outcome.FAILED, "rows")
    assert trial.ended(tried, None, Operation.STOP) == (Outcome.NATIVE, "", 0.0)


def test_scenarios_cover_every_operation_of_the_contract() -> None:
    asked = {one.operation for one in scenarios.ALL} | {
        Operation.LIST, Operation.PING, Operation.STOP, Operation.CONFIG_GET, Operation.BACKUPS, Operation.REPLICATE,
        Operation.REPAIR, Operation.ADOPT,
    }  # fmt: skip
    assert asked == set(Operation)
    assert scenarios.ALL[0].id == "create"
    assert scenarios.ALL[-1].id == "destroy"
    assert len({one.id for one in scenarios.ALL}) == len(scenarios.ALL)


def _folder(path: Path, *outcomes: tuple[str, str, str]) -> Path:
    made = {"version": 1, "sittings": [evaluate.sitting("./inv dbod-evaluate")]}
    (path / run_manifest.FILE).write_text(json.dumps(made))
    rows: list[dict[str, Any]] = [
        {"kind": "scenario", "provider": "docker-host", "engine": "mariadb", "requirement": name,
         "title": name.title(), "operation": name, "in_2014": "not answered", "outcome": outcome, "why": why,
         "seconds": 1.25, "evidence": ["rows <1>"], "operations": []}
        for name, outcome, why in outcomes
    ]  # fmt: skip
    rows.append({"kind": "absent", "provider": "trove", "why": "There is no lab named 'lab'."})
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_page_says_what_the_rows_say(tmp_path: Path) -> None:
    folder = _folder(tmp_path, ("create", "native", ""), ("backup", "with work", "a snapshot"),
                     ("clone", "missing", "no"), ("restore", "failed", "rows differ"))  # fmt: skip
    text = page.report(folder).read_text()
    assert "docker-host with mariadb gives 2 of 4 requirements (1 native, 1 with work)" in text
    assert "docker-host does not have, with any engine tried: “Clone”" in text
    assert "Failed: “Restore (docker-host, mariadb)”" in text
    assert "Nothing is said of trove" in text
    assert "rows &lt;1&gt;" in text
    assert "<svg" in text
    table = (folder / "plots" / "times.csv").read_text()
    assert "Backup,docker-host,mariadb,1.25" in table
    assert "Clone" not in table


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadFile):
        page.report(tmp_path)
    with pytest.raises(errors.BadFile, match="no provider"):
        page.report(_folder(tmp_path))
    (tmp_path / run_manifest.FILE).write_text(json.dumps({"version": 1, "seed": 1}))
    with pytest.raises(errors.BadValue) as refused:
        evaluate.evaluate(["shared"], ["mariadb"], "lab", tmp_path, None, install=False)  # type: ignore[arg-type]
    assert "another run" in refused.value.remedy


def test_an_evaluation_goes_on_with_what_is_not_whole(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    tried: list[tuple[str, int]] = []

    class Lone(Fake):
        work, does, lacks = {}, {}, {}

        def __init__(self, name: str) -> None:
            self.name = name

    def scenario(one: Trial, _: object, rows: Rows) -> Outcome:
        tried.append((one.engine, len(tried)))
        if len(tried) == 2 * len(scenarios.ALL):  # the last of the second engine, the first time
            raise KeyboardInterrupt
        rows.add("scenario", **evaluate._row(one, scenarios.ALL[0]), outcome="native", why="", seconds=1.0)
        return Outcome.NATIVE

    monkeypatch.setattr(evaluate, "_scenario", scenario)
    monkeypatch.setattr(evaluate, "_remove", lambda *_: None)
    monkeypatch.setattr(providers, "provider", lambda name, *_, **__: Lone(name))

    def run(broken: bool = False) -> None:
        evaluate.evaluate(["trove"], contract.ENGINES, "lab", out, People(), broken=broken, install=False)

    with pytest.raises(errors.Interrupted) as stopped:
        run()
    assert f"--out={out}" in stopped.value.remedy
    assert "trove with postgresql" not in page.report(out).read_text()
    run()
    assert [engine for engine, _ in tried].count("mariadb") == len(scenarios.ALL)
    assert "trove mariadb already there" in capsys.readouterr().err
    columns = page.tabulate(finished(read(out)))
    assert [column.engine for column in columns] == ["mariadb", "postgresql"]
    assert len(json.loads((out / run_manifest.FILE).read_text())["sittings"]) == 2
    run()
    assert len(tried) == 3 * len(scenarios.ALL)

    def create(_: Trial, operation: Operation, **__: object) -> None:
        struck.append(operation)
        raise errors.GaveUp("there is none", "")

    struck: list[Operation] = []
    monkeypatch.setattr(Trial, "do", create)
    run(broken=True)
    assert (len(tried), struck) == (3 * len(scenarios.ALL), [Operation.CREATE] * 2), "only the faults were missing"
    run(broken=True)
    assert len(struck) == 2


def test_versions_are_compared_as_versions() -> None:
    assert servers.numbered(["10.6", "11.8", "10.11", "9f8e7d6c5b4a3210", "lab-x", "10.11"]) == [
        "10.6",
        "10.11",
        "11.8",
    ]
