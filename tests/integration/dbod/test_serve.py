"""dbod-serve over real servers in containers: killed under load, ended, and used through its page by a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.containers import ownership
from lab.core import waits
from lab.core.home import Home
from lab.dbod import database
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.serve import server

from .hosts import opened

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
NAME = "dbod-serve-itest"
JOBS = 1000


class Served:
    """A server process of our own over one home; killed or ended, and started again."""

    def __init__(self, root: Path) -> None:
        self.home = Home(NAME, root)
        self.child: subprocess.Popen[bytes] | None = None
        self.address = ""

    def start(self) -> None:
        with server.listen(0) as free:
            port = free.getsockname()[1]
        words = [sys.executable, "-m", "tests.integration.dbod.hostserve", NAME, str(self.home.root), str(port)]
        self.home.make()
        with (self.home.path / "server.log").open("ab") as log:
            self.child = subprocess.Popen(words, cwd=ROOT, stderr=log)
        self.address = f"http://127.0.0.1:{port}"
        waits.until("the server", self._answers, seconds=60, setting="", every=0.1,
                    transient=(requests.ConnectionError, FileNotFoundError))  # fmt: skip

    def _answers(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, self.log()
        return self("GET", "/service").ok

    def log(self) -> str:
        return (self.home.path / "server.log").read_text()

    @property
    def token(self) -> str:
        return (self.home.path / "serve.token").read_text().strip()

    def __call__(self, method: str, path: str, **given: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **given.pop("headers", {})}
        return requests.request(method, f"{self.address}/api/v1{path}", headers=headers, timeout=90, **given)

    def get(self, path: str) -> Any:
        told = self("GET", path)
        assert told.ok, told.text
        return told.json()["response"]

    def done(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        job: dict[str, Any] = self(method, f"{path}?wait=60", **given).json()["response"]
        assert job["state"] == "FINISHED_OK", job
        return job

    def kill(self) -> None:
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait(10)

    def end(self) -> int:
        assert self.child is not None
        self.child.terminate()
        return self.child.wait(60)

    def host(self) -> DockerHost:
        """A look at the home while no server runs."""
        return opened(NAME, self.home.root)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, databases: None) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("labs"))
    made.start()
    try:
        yield made
    finally:
        if made.child and made.child.poll() is None:
            assert made.end() == 0
        made.host().remove_all()
    assert ownership.labelled(NAME) == []


def sql(served: Served, name: str, *statements: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    with served.host().session(name) as session:
        for statement in statements:
            rows = session.execute(statement)
    return rows


@pytest.fixture(scope="module")
def names(served: Served) -> list[str]:
    found = ["serve_a", "serve_b"]
    for name, kind in zip(found, ("MYSQL", "PG"), strict=True):
        served.done("POST", f"/instance/{name}", json={"db_type": kind, "memory": 256})
        sql(served, name, "CREATE SCHEMA app", "CREATE TABLE app.t (id INTEGER PRIMARY KEY)")
    return found


def _as_if_killed_before_the_end_was_written(served: Served, job: int, *held: str) -> None:
    served.kill()
    with database.of(served.home).write() as change:
        change.execute("UPDATE jobs SET state = 'RUNNING', ended = NULL, value = NULL WHERE id = ?", (job,))
        change.executemany("INSERT INTO holds VALUES (?, ?)", [(name, job) for name in held])
    served.start()


def test_what_was_done_is_not_done_again(served: Served, names: list[str]) -> None:
    for name in names:
        sql(served, name, "DELETE FROM app.t", "INSERT INTO app.t VALUES (1)")  # fmt: skip
        backup = served.done("POST", f"/rundeck/job/BACKUP/{name}")
        sql(served, name, "INSERT INTO app.t VALUES (2)")
        restore = served.done("POST", f"/rundeck/job/RESTORE/{name}", json={"backup": backup["value"]["id"]})
        clone = served.done("POST", f"/rundeck/job/CLONE/{name}", json={"target": f"{name}_twin"})
        sql(served, name, "INSERT INTO app.t VALUES (3)")
        sql(served, f"{name}_twin", "INSERT INTO app.t VALUES (4)")
        for job, *held in ((backup["id"], name), (restore["id"], name), (clone["id"], name, f"{name}_twin")):
            _as_if_killed_before_the_end_was_written(served, job, *held)
            again = served.get(f"/job/{job}?wait=60")
            assert (again["state"], again["attempts"]) == ("FINISHED_OK", 2), again
            assert any("already" in entry["log"] for entry in again["entries"])
        assert sql(served, name, "SELECT id FROM app.t ORDER BY id") == [(1,), (3,)]
        assert sql(served, f"{name}_twin", "SELECT id FROM app.t ORDER BY id") == [(1,), (4,)]
        assert len(served.get(f"/instance/{name}/backup")["backups"]) == 1
        served.done("DELETE", f"/instance/{name}_twin")


def killed_in(served: Served, job: str) -> None:
    """Kill the server in the middle of that job; the next one must end it well."""
    while served.get(f"/job/{job}")["state"] == "PENDING":
        pass
    served.kill()
    served.start()
    ended = served.get(f"/job/{job}?wait=60")
    assert (ended["state"], ended["attempts"]) == ("FINISHED_OK", 2), ended


@pytest.mark.parametrize("kind", ["MYSQL", "PG"])
def test_a_create_that_was_killed_ends_well(served: Served, kind: str) -> None:
    asked = served("POST", "/instance/serve_c", json={"db_type": kind}).json()["response"]["id"]
    killed_in(served, asked)
    assert sql(served, "serve_c", "SELECT 6 * 7") == [(42,)]
    served.done("DELETE", "/instance/serve_c")


def test_a_restore_that_was_killed_ends_well(served: Served, names: list[str]) -> None:
    for name in names:
        sql(served, name, "DELETE FROM app.t", "INSERT INTO app.t VALUES (5)")
        backup = served.done("POST", f"/rundeck/job/BACKUP/{name}")["value"]["id"]
        sql(served, name, "INSERT INTO app.t VALUES (6)")
        asked = served("POST", f"/rundeck/job/RESTORE/{name}", json={"backup": backup}).json()["response"]["id"]
        killed_in(served, asked)
        assert sql(served, name, "SELECT id FROM app.t") == [(5,)]


def test_a_thousand_jobs_across_a_kill(served: Served, names: list[str]) -> None:
    """First backups; the others say how many automatic ones stay, so the last of them shows the order."""
    before = {name: len(served.get(f"/instance/{name}/backup")["backups"]) for name in names}

    def ask(number: int) -> int:
        name, key = names[number % 2], {"Idempotency-Key": f"thousand-{number}"}
        if number < JOBS // 10:
            told = served("POST", f"/rundeck/job/BACKUP/{name}", headers=key)
        else:
            wanted = {"every": 168, "keep": number + 1}
            told = served("POST", f"/rundeck/job/ENABLE_AUTOMATIC_BACKUPS/{name}", json=wanted, headers=key)
        return int(told.json()["response"]["id"])

    accepted = [ask(number) for number in range(JOBS * 3 // 4)]
    assert _left(served) > JOBS // 10
    served.kill()
    served.start()
    # an asker that had no answer asks again, with the same keys
    assert [ask(number) for number in range(JOBS)][: len(accepted)] == accepted
    waits.until("all jobs to end", lambda: not _left(served), seconds=900, setting="", every=1.0)
    ended = served.get(f"/job?limit={JOBS}")
    assert Counter(job["state"] for job in ended) == {"FINISHED_OK": JOBS}
    for name in names:
        shown = served.get(f"/instance/{name}/backup")
        made = [backup["id"] for backup in shown["backups"]]
        assert len(made) == len(set(made)) == before[name] + JOBS // 20
        assert {path.name for path in served.host().instance(name).backups.iterdir()} == set(made)
        assert shown["schedule"]["keep"] == JOBS - 1 + names.index(name)
        of_name = [(job["id"], job["begin_date"]) for job in ended if job["instance"] == name]
        assert of_name == sorted(of_name, reverse=True)
        assert [began for _, began in of_name] == sorted((began for _, began in of_name), reverse=True)
        served.done("POST", f"/rundeck/job/DISABLE_AUTOMATIC_BACKUPS/{name}")


def _left(served: Served) -> int:
    counts = served.get("/service")["jobs"]
    return int(counts["PENDING"] + counts["RUNNING"])


def test_automatic_backups_come_and_go(served: Served, names: list[str]) -> None:
    name = names[0]
    served.done("POST", f"/rundeck/job/ENABLE_AUTOMATIC_BACKUPS/{name}", json={"every": 1, "keep": 2})
    by_hand = {one["id"] for one in served.get(f"/instance/{name}/backup")["backups"]}
    made = []
    for hours in (3, 5, 8):
        assert served.end() == 0
        # as if that many hours had passed with no server
        with database.of(served.home).write() as change:
            due = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).timestamp() - hours * 3600
            change.execute("UPDATE schedules SET last = ?", (datetime.fromtimestamp(due, UTC).isoformat(),))
            change.execute("DELETE FROM runs")
        served.start()
        waits.until("the backup that was missed", lambda: served.get(f"/instance/{name}/backup")["runs"], seconds=20,
                    setting="", every=0.2)  # fmt: skip
        (run,) = served.get(f"/instance/{name}/backup")["runs"]
        assert run["missed"] in {hours - 1, hours}
        job = served.get(f"/job/{run['job']}?wait=30")
        assert (job["state"], job["asker"]) == ("FINISHED_OK", "schedule")
        made.append(job["value"]["id"])
    left = {one["id"] for one in served.get(f"/instance/{name}/backup")["backups"]}
    assert left == by_hand | set(made[1:])
    served.done("POST", f"/rundeck/job/DISABLE_AUTOMATIC_BACKUPS/{name}")


def test_the_state_checker_sees_a_server_that_was_killed(served: Served, names: list[str]) -> None:
    served.host().servers.kill(names[1])
    served.end()
    served.start()
    waits.until("the look", lambda: served.get(f"/instance/{names[1]}")["state"] == "STOPPED", seconds=30,
                setting="", every=0.2)  # fmt: skip
    row = served.get(f"/instance/{names[1]}/state?hours=1")[-1]
    assert row["state"] == "STOPPED"
    served.done("POST", f"/rundeck/job/STARTUP/{names[1]}")


def test_the_page_does_a_backup_and_a_restore_in_a_browser(served: Served, names: list[str], tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if not browser or not shutil.which("chromedriver"):
        pytest.skip("needs Debian's chromium and chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver")
    name = names[0]
    sql(served, name, "DELETE FROM app.t", "INSERT INTO app.t VALUES (10)")
    assert served.end() == 0
    served.start()  # the state checker looks when it starts: there is something to draw
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(shutil.which("chromedriver")))

    def see(selector: str) -> Any:
        return waits.until(selector, lambda: driver.find_elements("css selector", selector), seconds=30, setting="",
                           every=0.1)[0]  # fmt: skip

    def press(selector: str) -> None:
        # what is pressed may be drawn anew at that moment
        see(selector)
        driver.execute_script("document.querySelector(arguments[0]).click()", selector)

    def ended(job: str) -> Any:
        return see(f'#jobs .job[data-job="{job}"][data-instance="{name}"][data-state="FINISHED_OK"]')

    def done_after(number: int) -> Any:
        def newest() -> Any:
            job = served.get(f"/job?instance={name}&limit=1")[0]
            return job if job["id"] > number and job["completion_date"] else None

        return waits.until("the page's job", newest, seconds=60, setting="", every=0.2)

    try:
        driver.set_window_size(1480, 1200)
        driver.get(served.address)
        see("input[name=token]").send_keys("wrong")
        press("button")
        see("input[name=token]").send_keys(served.token)
        press("button")
        press(f'tr[data-name="{name}"]')
        newest = served.get(f"/job?instance={name}&limit=1")[0]["id"]
        press(f'tr[data-name="{name}"] button[data-job=BACKUP]')
        job = done_after(newest)
        ended("BACKUP")
        press(f'#jobs .job[data-id="{job["id"]}"] summary')
        log = f'#jobs .job[data-id="{job["id"]}"] pre'
        waits.until("its log", lambda: "snapshot" in see(log).text, seconds=10, setting="", every=0.1)
        assert (job["job"], job["asker"], job["state"]) == ("BACKUP", "page", "FINISHED_OK")
        sql(served, name, "INSERT INTO app.t VALUES (11)")
        press("#tabs button:nth-child(2)")
        press(f'tr[data-backup="{job["value"]["id"]}"] button[data-job=RESTORE]')
        driver.save_screenshot(str(tmp_path / "restore.png"))
        press("#confirm")
        assert done_after(job["id"])["job"] == "RESTORE"
        ended("RESTORE")
        assert sql(served, name, "SELECT id FROM app.t") == [(10,)]
        assert "256 MiB" in see(f'tr[data-name="{name}"]').text
        press("#tabs button:nth-child(1)")
        see("#tab svg")
        driver.save_screenshot(str(tmp_path / "page.png"))
        for one in names:
            press(f'tr[data-name="{one}"] input')
        press("button[data-many=SHUTDOWN]")
        for one in names:
            see(f'tr[data-name="{one}"][data-state=STOPPED]')
        press(f'tr[data-name="{names[1]}"] button[data-job=STARTUP]')
        see(f'tr[data-name="{names[1]}"][data-state=RUNNING]')
        assert not [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        driver.quit()
