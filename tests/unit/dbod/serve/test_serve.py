"""dbod-serve as its askers meet it: a real server on a real port, over a provider that really does things."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from lab.core import errors, state, waits
from lab.core.home import Home
from lab.dbod import command, database
from lab.dbod.contract import Operation, Provider, Request
from lab.dbod.database import Database
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.providers import table
from lab.dbod.providers.shared import Shared
from lab.dbod.providers.trove import CloudHost
from lab.dbod.serve import auth, connections, server
from lab.dbod.serve.queue import JobState, Queue
from lab.dbod.serve.service import Service
from tests.unit.dbod.faketrove import access
from tests.unit.dbod.serve import tinyserve
from tests.unit.dbod.tinyhost import TinyHost

ROOT = Path(__file__).resolve().parents[4]


@dataclass
class Asker:
    """One with the token."""

    address: str
    service: Service | None = None
    token: str = tinyserve.TOKEN

    def __call__(self, method: str, path: str, **given: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **given.pop("headers", {})}
        return requests.request(method, f"{self.address}/api/v1{path}", headers=headers, timeout=30, **given)

    def done(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """A job, ended well."""
        told = self(method, f"{path}?wait=20", **given)
        assert told.status_code == 200, told.text
        job: dict[str, Any] = told.json()["response"]
        assert job["state"] == "FINISHED_OK", job
        return job

    def job(self, name: str, instance: str, **arguments: Any) -> dict[str, Any]:
        return self.done("POST", f"/rundeck/job/{name}/{instance}", json=arguments)

    def get(self, path: str) -> Any:
        told = self("GET", path)
        assert told.status_code == 200, told.text
        return told.json()["response"]


@contextlib.contextmanager
def serving(service: Service) -> Iterator[Asker]:
    """A server of it on a free port, in a thread of this process."""
    service.start()
    listening, running = server.listen(0), server.server(service, tinyserve.TOKEN)
    thread = threading.Thread(target=lambda: running.run(sockets=[listening]))
    thread.start()
    waits.until("the server", lambda: running.started, seconds=10, setting="", every=0.01)
    yield Asker(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
    running.should_exit = True
    thread.join(10)
    service.stop()
    waits.cancelled.clear()


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with serving(tinyserve.service(tmp_path_factory.mktemp("tiny"))) as asker:
        asker.done(
            "POST", "/instance/orders", json={"db_type": "MYSQL", "class": "PROD", "username": "ada", "project": "x"}
        )
        yield asker


# --- DBOD's shapes -----------------------------------------------------------------------------------------


def test_an_instance_has_dbods_keys(ask: Asker) -> None:
    one = ask.get("/instance/orders")
    assert {
        "class",
        "creation_date",
        "db_name",
        "db_size",
        "db_type",
        "description",
        "e_group",
        "expiry_date",
        "host",
        "id",
        "master",
        "no_connections",
        "project",
        "slave",
        "state",
        "status",
        "username",
        "version",
    } <= set(one)
    assert (one["class"], one["db_type"], one["username"], one["project"]) == ("PROD", "MYSQL", "ada", "x")
    assert one["state"] == "RUNNING"
    assert one in ask.get("/instance")
    assert ask.get("/instance/alias/orders") == {"alias": "orders", "dns_name": f"127.0.0.1:{one['port']}"}


def test_metadata_has_dbods_keys(ask: Asker) -> None:
    ask("PUT", "/instance/orders/attribute/buffer_pool_size", json={"value": "1G"})
    found = ask.get("/instance/orders/metadata")
    assert {
        "attributes",
        "basedir",
        "bindir",
        "class",
        "datadir",
        "logdir",
        "db_name",
        "db_type",
        "hosts",
        "id",
        "port",
        "socket",
        "username",
        "version",
        "volumes",
    } == set(found)
    assert found["attributes"]["buffer_pool_size"] == "1G"
    assert found["attributes"]["port"] == str(found["port"])
    assert found in ask.get("/metadata/host/127.0.0.1")
    assert ask.get("/metadata/host/elsewhere") == []


def test_changes_are_kept_and_recorded(ask: Asker) -> None:
    assert ask("PUT", "/instance/orders", json={"description": "the shop's", "class": "REF"}).status_code == 200
    assert ask("PUT", "/instance/orders", json={"description": None}).json()["response"]["description"] is None
    assert ask.get("/instance/orders")["class"] == "REF"
    changes = [(c["who"], c["attribute"], c["old"], c["new"]) for c in ask.get("/instance/orders/history")]
    assert changes[0] == ("api", "description", "the shop's", None)
    assert ("api", "class", None, "REF") in changes
    path = "/instance/orders/attribute/shape"
    assert ask("POST", path, json={"value": "round"}).json() == {"response": "round"}
    assert ask.get(path) == "round"
    assert ask.get("/instance/orders/attribute")["shape"] == "round"
    assert ask("DELETE", path).status_code == 204
    assert ask("GET", path).status_code == 404


# --- jobs --------------------------------------------------------------------------------------------------


def test_a_life_through_jobs(ask: Asker) -> None:
    made = ask.done("POST", "/instance/life", json={"db_type": "PG", "memory": 128})
    assert (made["job"], made["execState"], made["asker"]) == ("CREATE", "succeeded", "api")
    assert any("made" in entry["log"] for entry in made["entries"])
    backup = ask.job("BACKUP", "life")
    assert ask.get("/instance/life/backup")["backups"][0]["id"] == backup["value"]["id"]
    ask.job("UPLOAD_CONFIG", "life", settings={"max_connections": "50"})
    assert ask.get("/instance/life/config") == {"max_connections": "50"}
    ask.job("SHUTDOWN", "life")
    assert ask.get("/instance/life")["state"] == "STOPPED"
    ask.job("STARTUP", "life")
    ask.job("RESIZE", "life", memory=512)
    assert ask.get("/instance/life")["memory"] == 512
    restored = ask.job("RESTORE", "life", backup=backup["value"]["id"])
    assert restored["arguments"] == {"backup": backup["value"]["id"]}
    ask.job("CLONE", "life", target="life_b")
    ask.job("ENABLE_AUTOMATIC_BACKUPS", "life", every=6, keep=2)
    assert ask.get("/instance/life")["automatic_backups"] is True
    assert ask.get("/instance/life/backup")["schedule"]["every"] == 6
    ask.job("DISABLE_AUTOMATIC_BACKUPS", "life")
    assert ask.get("/instance/life/backup")["schedule"] is None
    ask.job("BEGIN_MAINTENANCE", "life")
    assert ask.get("/instance/life")["state"] == "MAINTENANCE"
    ask.done("DELETE", "/instance/life")
    ask.done("DELETE", "/instance/life_b")
    assert ask("GET", "/instance/life").status_code == 404
    assert ask.get("/instance/life/history")[0]["attribute"] == "instance"
    names = [job["job"] for job in ask.get("/job?instance=life")]
    assert (names[0], names[-1]) == ("DESTROY", "CREATE")
    assert ask.get(f"/job/{backup['id']}") == backup
    assert ask.get("/backups-per-day?instance=life")[0]["n"] == 1


def test_what_is_accepted_twice_under_one_key_is_one_job(ask: Asker) -> None:
    key = {"Idempotency-Key": "monday"}
    first, again = (ask("POST", "/rundeck/job/BACKUP/orders", headers=key).json()["response"]["id"] for _ in "12")
    assert first == again
    other = ask("POST", "/rundeck/job/SHUTDOWN/orders", headers=key)
    assert other.status_code == 409


def test_credentials_are_told_to_who_asks_and_kept_nowhere(ask: Asker) -> None:
    told = ask("GET", "/instance/orders/credentials")
    assert told.json()["response"]["password"] == "tiny-secret"
    assert told.headers["cache-control"] == "no-store"
    assert ask.service is not None
    root = ask.service.provider.root  # type: ignore[attr-defined]
    for path in root.iterdir():
        with contextlib.suppress(FileNotFoundError):  # what is about to be renamed
            assert b"tiny-secret" not in path.read_bytes()


# --- bad input ---------------------------------------------------------------------------------------------

BAD: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/instance/nobody", None, 404, "There is no instance 'nobody'."),
    ("GET", "/instance/Not%20a%20name", None, 422, "name cannot be used"),
    ("GET", "/job/99999", None, 404, "There is no job 99999."),
    ("GET", "/job/-1", None, 422, "greater than or equal to 1"),
    ("GET", "/job?limit=0", None, 422, "limit cannot be used"),
    ("GET", "/nowhere", None, 404, "Not Found."),
    ("PATCH", "/instance", None, 405, "Method Not Allowed."),
    ("POST", "/instance/x", {"db_type": "ORACLE"}, 422, "db_type cannot be used"),
    ("POST", "/instance/x", {"db_type": "PG", "memory": 1}, 422, "memory cannot be used"),
    ("POST", "/instance/x", {"db_type": "PG", "port": 80}, 422, "port cannot be used"),
    ("POST", "/instance/x", {"db_type": "PG", "colour": "red"}, 422, "colour cannot be used"),
    ("POST", "/instance/x", None, 422, "body cannot be used"),
    ("DELETE", "/instance/nobody", None, 404, "There is no instance"),
    ("PUT", "/instance/orders", {"expiry_date": "tomorrow"}, 422, "expiry_date cannot be used"),
    ("POST", "/rundeck/job/MAKE_COFFEE/orders", None, 404, "Not Found."),
    ("POST", "/rundeck/job/BACKUP/nobody", None, 404, "There is no instance"),
    ("POST", "/rundeck/job/BACKUP/orders", {"memory": 512}, 422, "memory cannot be used"),
    ("POST", "/rundeck/job/RESTORE/orders", {"time": "yesterday"}, 422, "time cannot be used"),
    ("POST", "/rundeck/job/RESTORE/orders", {"time": "2026-02-31_00:00:00"}, 422, "time = "),
    ("POST", "/rundeck/job/CLONE/orders", {"target": "orders"}, 422, "another name"),
    ("POST", "/rundeck/job/CLONE/orders", None, 422, "body cannot be used"),
    ("POST", "/rundeck/job/UPLOAD_CONFIG/orders", {"settings": {}}, 422, "settings cannot be used"),
    ("POST", "/rundeck/job/UPLOAD_CONFIG/orders", {"settings": {"a": "b'c"}}, 422, "settings"),
    ("POST", "/rundeck/job/UPGRADE/orders", None, 409, "does not have 'upgrade'"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "said"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_one_sentence(ask: Asker, method: str, path: str, body: Any, status: int, said: str) -> None:
    before = len(ask.get("/job?limit=1000"))
    told = ask(method, path, json=body)
    assert told.status_code == status, told.text
    error = told.json()["error"]
    assert said in f"{error['cause']} {error['remedy']}"
    assert "\n" not in error["cause"]
    assert len(ask.get("/job?limit=1000")) == before


@pytest.mark.parametrize(
    ("job", "arguments", "said"),
    [
        ("RESTORE", {"backup": "nothing-1"}, "nothing-1"),
        ("RESTORE", {"time": "2001-01-01_00:00:00"}, "is before backup"),
        ("UPLOAD_CONFIG", {"settings": {"port": "1"}}, "port cannot be set"),
        ("CLONE", {"target": "twin"}, "There is an instance 'twin' already."),
    ],
)
def test_what_only_the_job_can_refuse_ends_it_with_the_sentence(
    ask: Asker, job: str, arguments: dict[str, Any], said: str
) -> None:
    for name in ("refuser", "twin"):
        ask.done("POST", f"/instance/{name}", json={"db_type": "PG"})
    ask.job("BACKUP", "refuser")
    told = ask("POST", f"/rundeck/job/{job}/refuser?wait=20", json=arguments).json()["response"]
    assert told["state"] == "FINISHED_FAIL"
    assert said in told["error"]["cause"]
    assert said in told["entries"][-1]["log"]


# --- who may ask -------------------------------------------------------------------------------------------


def test_only_who_has_the_token_is_answered(ask: Asker) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer t\u00f6ken".encode()},
        {"Authorization": "Basic x"},
    ):
        for path in ("/instance", "/service", "/job", "/instance/orders/credentials"):
            told = requests.get(f"{ask.address}/api/v1{path}", headers=headers, timeout=10)
            assert told.status_code == 401, headers
            assert "token" in told.json()["error"]["cause"]
    # a page elsewhere whose name points here (DNS rebinding)
    assert ask("GET", "/instance", headers={"Host": "evil.example"}).status_code == 400


def test_a_browser_logs_in_and_other_sites_pages_cannot_use_that(ask: Asker) -> None:
    browser = requests.Session()
    wrong = browser.post(f"{ask.address}/login", data={"token": "no"}, timeout=10, allow_redirects=False)
    assert (wrong.headers["location"], browser.cookies.get_dict()) == ("/?wrong", {})
    right = browser.post(f"{ask.address}/login", data={"token": tinyserve.TOKEN}, timeout=10, allow_redirects=False)
    assert "HttpOnly" in right.headers["set-cookie"]
    assert "SameSite=strict" in right.headers["set-cookie"]
    url = f"{ask.address}/api/v1/rundeck/job/BACKUP/orders"
    assert browser.get(f"{ask.address}/api/v1/instance", timeout=10).status_code == 200
    assert browser.post(url, headers={"Origin": ask.address}, timeout=10).json()["response"]["asker"] == "page"
    assert browser.post(url, headers={"Origin": "http://127.0.0.1:1"}, timeout=10).status_code == 401


def test_the_page_is_for_who_logged_in_and_asks_nobody_else(ask: Asker) -> None:
    stranger = requests.get(ask.address, timeout=10)
    assert 'name="token"' in stranger.text
    browser = requests.Session()
    browser.post(f"{ask.address}/login", data={"token": tinyserve.TOKEN}, timeout=10)
    known = browser.get(ask.address, timeout=10)
    assert 'id="instances"' in known.text
    assert "default-src 'none'" in known.headers["content-security-policy"]
    for name in re.findall(r'(?:src|href)="([a-z.]+)"', known.text):
        part = requests.get(f"{ask.address}/{name}", timeout=10)
        assert part.ok, name
        # SVG's name of itself is no address that is asked
        assert "://" not in part.text.replace("http://www.w3.org/2000/svg", ""), name


def test_a_session_is_not_the_token_and_is_good_at_its_server_only(ask: Asker) -> None:
    browser = requests.Session()
    browser.post(f"{ask.address}/login", data={"token": tinyserve.TOKEN}, timeout=10)
    ((name, value),) = browser.cookies.get_dict().items()
    assert value != tinyserve.TOKEN
    url = f"{ask.address}/api/v1/instance"
    assert requests.get(url, headers={"Authorization": f"Bearer {value}"}, timeout=10).status_code == 401
    assert requests.get(url, cookies={name: tinyserve.TOKEN}, timeout=10).status_code == 401
    assert requests.get(url, cookies={"dbod": value}, timeout=10).status_code == 401
    assert requests.get(url, cookies={name: value}, timeout=10).status_code == 200


def test_a_token_that_somebody_shortened_opens_nothing(tmp_path: Path) -> None:
    home = Home("x", tmp_path)
    home.make()
    _, path = auth.token(home)
    path.write_text("\n")
    with pytest.raises(errors.BadFile, match="0 characters"):
        auth.token(home)


def resident() -> int:
    """Bytes of memory that this process holds, in which the server runs."""
    return int(psutil.Process().memory_info().rss)


def test_who_has_no_token_is_answered_before_the_body(ask: Asker) -> None:
    before = resident()
    host, port = ask.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        head = "POST /api/v1/rundeck/job/BACKUP/o HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1073741824\r\n\r\n"
        wire.sendall(head.encode())
        assert b" 401 " in wire.recv(4096)  # and no byte of the gigabyte was sent
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(head.encode())
        for _ in range(200):
            wire.sendall(bytes(1 << 20))
    assert resident() - before < 64 << 20


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_limit_with_the_token_too(ask: Asker, chunked: bool) -> None:
    body = bytes(3 << 20)
    data = (body[at : at + 65536] for at in range(0, len(body), 65536)) if chunked else body
    try:
        told = requests.post(f"{ask.address}/api/v1/rundeck/job/BACKUP/orders", data=data, timeout=10,
                             headers={"Authorization": f"Bearer {tinyserve.TOKEN}"})  # fmt: skip
    except requests.ConnectionError:
        return  # closed while we still sent: the answer was lost on the way
    assert told.status_code == 413
    assert "nothing was changed" in told.json()["error"]["remedy"]


def test_half_requests_a_flood_and_waiting_askers_keep_nobody_out(tmp_path: Path) -> None:
    """Slow-loris: heads that never end, more than the server takes; and 45 who wait for a job of five seconds."""
    with serving(tinyserve.service(tmp_path, slow=5.0)) as ask, contextlib.ExitStack() as wires:
        host, port = ask.address.removeprefix("http://").split(":")
        for _ in range(connections.MOST + 50):
            wire = wires.enter_context(socket.create_connection((host, int(port)), timeout=10))
            with contextlib.suppress(OSError):
                wire.sendall(b"GET /api/v1/instance HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        made = ask("POST", "/instance/slow", json={"db_type": "MYSQL", "class": "PROD", "username": "ada"})
        number = made.json()["response"]["id"]
        with ThreadPoolExecutor(45) as pool:
            waiting = [pool.submit(ask, "GET", f"/job/{number}?wait=20") for _ in range(45)]
            while not all(one.done() for one in waiting):
                began = time.monotonic()
                assert ask("GET", "/instance").status_code == 200
                assert requests.get(ask.address, timeout=10).ok
                assert time.monotonic() - began < 3
                time.sleep(0.1)
            ended = [one.result().json()["response"]["state"] for one in waiting]
        assert set(ended) == {"FINISHED_OK"}


def test_an_address_that_is_not_there_says_where_it_is_written(ask: Asker) -> None:
    told = ask("GET", "/nothing")
    assert told.status_code == 404
    assert "/openapi.json" in told.json()["error"]["remedy"]
    assert requests.get(f"{ask.address}/openapi.json", timeout=10).ok


def test_the_token_is_the_owners_alone(tmp_path: Path) -> None:
    home = Home("x", tmp_path)
    home.make()
    made, path = auth.token(home)
    assert path.stat().st_mode & 0o777 == 0o600
    assert auth.token(home)[0] == made
    assert len(made) >= 32


# --- the OpenAPI -------------------------------------------------------------------------------------------


def test_the_openapi_holds_against_whatever_is_asked(ask: Asker) -> None:
    quick = settings(max_examples=5, deadline=None, phases=[Phase.generate], derandomize=True, database=None,
                     suppress_health_check=list(HealthCheck))  # fmt: skip
    schema = schemathesis.openapi.from_url(f"{ask.address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 20
    for operation in operations:

        @quick
        @given(case=operation.as_strategy())
        def holds(case: schemathesis.Case[Any]) -> None:
            # a calendar's dates are no regular expression, and a twin's name not its own: no schema says that
            more = case.path.startswith(
                tuple(f"/api/v1/rundeck/job/{name}/" for name in ("RESTORE", "CLONE", "REPLICATE"))
            )
            beyond: list[Any] = [positive_data_acceptance] if more else []
            token = {"Authorization": f"Bearer {tinyserve.TOKEN}"}
            case.call_and_validate(headers=token, excluded_checks=beyond)

        holds()


# --- the process -------------------------------------------------------------------------------------------


def start(root: Path, slow: float = 0.0) -> tuple[subprocess.Popen[bytes], Asker]:
    with server.listen(0) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "tests.unit.dbod.serve.tinyserve", str(root), str(port), str(slow)]
    with (root / "server.log").open("ab") as log:
        child = subprocess.Popen(words, cwd=ROOT, stderr=log)
    asker = Asker(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        assert child.poll() is None, (root / "server.log").read_text()
        return asker("GET", "/service").ok

    waits.until("the server", answers, seconds=20, setting="", every=0.05, transient=(requests.ConnectionError,))
    return child, asker


def test_killed_under_load_it_loses_nothing_that_it_accepted(tmp_path: Path) -> None:
    child, ask = start(tmp_path)
    names = [f"i{n}" for n in range(6)]
    for name in names:
        ask.done("POST", f"/instance/{name}", json={"db_type": "PG"})
    accepted: dict[str, int] = {}
    guard = threading.Lock()

    def backup(number: int) -> None:
        key = f"k{number}"
        told = ask("POST", f"/rundeck/job/BACKUP/{names[number % 6]}", headers={"Idempotency-Key": key})
        with guard:
            accepted[key] = told.json()["response"]["id"]
        if len(accepted) == 30:
            os.kill(child.pid, signal.SIGKILL)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(backup, number) for number in range(60)]
    assert any(isinstance(one.exception(), requests.ConnectionError) for one in asked)
    child.wait(10)
    again, ask = start(tmp_path)
    try:
        told = {}
        for number in range(60):
            key = f"k{number}"
            job = ask("POST", f"/rundeck/job/BACKUP/{names[number % 6]}", headers={"Idempotency-Key": key}).json()
            told[key] = job["response"]["id"]
        assert all(told[key] == job for key, job in accepted.items())
        for job in told.values():
            ended = ask.get(f"/job/{job}?wait=30")
            assert ended["state"] == "FINISHED_OK"
        assert len(set(told.values())) == 60
    finally:
        again.terminate()
        assert again.wait(20) == 0
    effects = [word for name in names for word in TinyHost(tmp_path).read(name)["effects"] if word != "create"]
    assert len(effects) == len(set(effects)) == 60


def test_sigterm_ends_it_in_order_and_the_rest_is_kept(tmp_path: Path) -> None:
    child, ask = start(tmp_path, slow=0.3)
    for n in range(4):
        assert ask("POST", f"/instance/same?key={n}", json={"db_type": "PG"}).status_code == 202
    child.terminate()
    assert child.wait(20) == 0
    states = [job.state for job in Queue(Database(tmp_path / "dbod.db", "tiny")).newest()]
    assert len(states) == 4
    assert set(states) <= {JobState.PENDING, JobState.FINISHED_OK}


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's heart beats twenty times a second, not once: so soon it sees what commands put into its queue."""
    monkeypatch.setattr("lab.dbod.serve.service.BEAT_SECONDS", 0.05)


@pytest.fixture
def owned(tmp_path: Path, beating: None) -> Iterator[Service]:
    """A server's part without its port: it has the home."""
    home = Home("dbod", tmp_path)
    home.make()
    found = database.of(home)
    made = Service(TinyHost(tmp_path, found), found, 2, lambda _: None)
    with state.lock(home.path, home.name, "dbod-serve at http://127.0.0.1:1/"):
        made.start()
        yield made
        made.stop()
        waits.cancelled.clear()


def test_while_it_runs_commands_leave_their_work_to_it(owned: Service, tmp_path: Path) -> None:
    home, said = Home("dbod", tmp_path), list[str]()
    by_hand = DockerHost(home, said.append)
    made = command.perform(by_hand, home, Request(Operation.CREATE, "a", engine="postgresql"), said.append)
    assert (made.job, made.value["name"]) == ("FINISHED_OK", "a")
    assert said == ["dbod-serve has dbod: job 1 is accepted"]
    assert owned.queue.newest()[0].asker == "command"
    with pytest.raises(errors.Refused, match="a has no backup"):
        command.perform(by_hand, home, Request(Operation.RESTORE, "a"), said.append)
    lacking = command.perform(by_hand, home, Request(Operation.UPGRADE, "a"), said.append)
    assert isinstance(lacking.error, errors.Missing)
    assert lacking.error.exit_code == errors.Missing.exit_code


@pytest.mark.parametrize("name", ["shared", "trove"])
@pytest.mark.usefixtures("beating")
def test_every_provider_leaves_its_work_to_the_server_that_has_it(name: str, tmp_path: Path) -> None:
    home, said = Home("lab", tmp_path), list[str]()
    home.make()
    by_hand: Provider = (
        CloudHost(access(home)[0]) if name == "trove" else Shared(DockerHost(home, said.append, owned=True))
    )
    found = database.of(home)
    served = Service(TinyHost(tmp_path, found), found, 1, said.append)
    wanted = Request(Operation.CREATE, "a", engine="postgresql")
    with state.lock(table.lock_of(name, home), home.name, "dbod-serve at http://127.0.0.1:1/"):
        served.start()
        made = command.perform(by_hand, home, wanted, said.append)
        served.stop()
        waits.cancelled.clear()
    assert (made.job, made.value["name"]) == ("FINISHED_OK", "a")
    assert TinyHost(tmp_path).names() == ["a"]
    with state.lock(table.lock_of(name, home), home.name):
        assert isinstance(command.perform(by_hand, home, wanted, said.append).error, errors.LabBusy)
        looked = command.perform(by_hand, home, Request(Operation.LIST), said.append)
    assert looked.value == []


def test_another_command_is_not_asked(tmp_path: Path) -> None:
    home = Home("dbod", tmp_path)
    home.make()
    with state.lock(home.path, home.name):
        busy = command.perform(DockerHost(home, print), home, Request(Operation.CREATE, "a"), print)
    assert isinstance(busy.error, errors.LabBusy)


def test_a_port_in_use_is_refused() -> None:
    with server.listen(0) as taken, pytest.raises(errors.PortTaken):
        server.listen(taken.getsockname()[1])
    with pytest.raises(errors.BadValue):
        server.serve("docker-host", "lab", 99999, lambda _: None)
    with pytest.raises(errors.BadValue):
        table.home_of("vmware", "lab")
