"""The dashboard, as the demo user has it in a browser: added to a lab that runs, a database made, used and deleted.

``LAB_RUNNING=NAME`` takes a lab that runs already; ``LAB_PICTURES=DIR`` keeps what was seen, for docs/dashboard.md.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.cloud import access
from lab.cloud.trove import Trove
from lab.core import waits
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.engines import sql
from lab.engines.sql import Login
from lab.lifecycle import labs
from tests.e2e.conftest import Lab

webdriver = pytest.importorskip("selenium.webdriver")

INSTANCE, DATABASE, USER, GUEST, BACKUP = "orders", "shop", "clerk", "auditor", "before-closing"
WIDTH, HEIGHT = 1280, 860
PAGE_SECONDS, DATABASE_SECONDS = 60, 300


@dataclass
class Browser:
    """Chromium on the dashboard; what is looked for is waited for."""

    driver: Any
    url: str
    pictures: Path | None

    def see(self, selector: str, *, seconds: float = PAGE_SECONDS) -> Any:
        """The first that is shown; its page may be drawn anew at that moment, so it is found by who acts on it."""

        def shown() -> Any:
            found = self.driver.find_elements("css selector", selector)
            return next((one for one in found if one.is_displayed()), None)

        gone = self._gone
        return waits.until(selector, shown, seconds=seconds, setting="-", every=0.2, transient=(gone,))

    @property
    def _gone(self) -> type[Exception]:
        from selenium.common.exceptions import StaleElementReferenceException

        return StaleElementReferenceException

    def press(self, selector: str) -> None:
        self.see(selector)
        script = "[...document.querySelectorAll(arguments[0])].find(one => one.offsetParent).click()"
        self.driver.execute_script(script, selector)

    def write(self, **fields: str) -> None:
        for name, text in fields.items():
            field = self.see(f"[name={name}]")
            field.clear()
            field.send_keys(text)

    def choose(self, selector: str, text: str) -> None:
        """The entry of a list of choices that begins so; Horizon draws its own over the real one."""
        script = (
            "const list = [...document.querySelectorAll(arguments[0])].find(one => one.tagName == 'SELECT' && "
            "(one.offsetParent || one.closest('.themable-select')?.offsetParent));"
            "const entry = [...(list?.options ?? [])].find(one => one.text.trim().startsWith(arguments[1]));"
            "if (!entry) return false; list.value = entry.value; $(list).trigger('change'); return true"
        )
        waits.until(
            f"{text} in {selector}",
            lambda: self.driver.execute_script(script, selector, text),
            seconds=PAGE_SECONDS, setting="-", every=0.2,
        )  # fmt: skip

    def go(self, path: str) -> None:
        self.driver.get(self.url + path)

    def picture(self, name: str) -> None:
        if self.pictures:
            self.driver.execute_script("document.querySelectorAll('.messages').forEach(one => one.remove())")
            self.driver.save_screenshot(str(self.pictures / f"dashboard-{name}.png"))


@pytest.fixture(scope="module")
def chromium() -> tuple[str, str]:
    browser, helper = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not helper:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    return browser, helper


@pytest.fixture(scope="module")
def dashboard(chromium: tuple[str, str], request: pytest.FixtureRequest) -> Lab:
    """A lab that ran without a dashboard, and has one now."""
    name = os.environ.get("LAB_RUNNING")
    lab = Lab(name) if name else request.getfixturevalue("lab")
    assert isinstance(lab, Lab)
    lab.up("--with=dashboard")
    return lab


@pytest.fixture(scope="module")
def browser(dashboard: Lab, chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = chromium[0]
    profile = tmp_path_factory.mktemp("profile")
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromium[1]))
    driver.set_window_size(WIDTH, HEIGHT)
    pictures = os.environ.get("LAB_PICTURES")
    made = Browser(driver, dashboard.state["endpoints"]["dashboard"], Path(pictures) if pictures else None)
    try:
        yield made
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def trove(dashboard: Lab) -> Trove:
    return Trove(access.connect(dashboard.path / "clouds.yaml", "demo"))


def named(trove: Trove) -> dict[str, Any] | None:
    return next((dict(one) for one in trove.instances() if one["name"] == INSTANCE), None)


def test_up_and_status_tell_where_it_is(dashboard: Lab) -> None:
    url = dashboard.state["endpoints"]["dashboard"]
    assert url.startswith("http://127.0.0.1:")
    assert dashboard.ask("status")["services"]["dashboard"] == "answers 200"
    assert url in dashboard.inv("up", f"--name={dashboard.name}").stdout
    assert {e["status"] for e in dashboard.up() if e["event"] == "finished"} == {"kept"}
    assert "dashboard" in dashboard.ask("status")["spec"]["with"]


def test_a_stranger_is_not_let_in(browser: Browser) -> None:
    browser.go("")
    browser.write(username="demo", password=secrets.token_hex(8))
    browser.press("#loginBtn")
    assert "Invalid credentials" in browser.see(".alert-danger, .help-block").text
    browser.go("project/databases/")
    assert browser.see("#loginBtn")


def test_the_demo_user_makes_a_database_uses_and_deletes_it(browser: Browser, dashboard: Lab, trove: Trove) -> None:
    home, password = Home(dashboard.name), secrets.token_hex(12)
    browser.go("")
    browser.write(username="demo", password=home.secrets["demo"])
    browser.press("#loginBtn")
    browser.see("#sidebar-accordion, .sidebar")

    browser.go("project/databases/")
    browser.press("#databases__action_launch")
    browser.write(name=INSTANCE)
    assert browser.see("[name=volume]").get_attribute("value") == "0"
    browser.choose("[name=datastore]", "mariadb")
    browser.choose("select.switched[data-switch-on=datastore]", "db.small")
    browser.picture("launch")
    browser.press(".modal a[href*=setnetworkaction]")
    _take(browser, "private")
    browser.press(".modal a[href*=adddatabasesaction]")
    browser.write(databases=DATABASE, user=USER, password=password)
    browser.picture("launch-users")
    browser.press(".modal input[type=submit]")

    browser.see("#databases tr[data-display]")
    row = f"#databases tr[data-display='{INSTANCE}']"
    _until_row(browser, row, "Active", "Healthy")
    browser.picture("instances")
    made = named(trove)
    assert made is not None
    with sql.session(_machine(home), Login("mariadb", _address(made), USER, password, DATABASE)) as db:
        assert db.execute("SELECT 1") == [(1,)]

    browser.go(f"project/databases/{made['id']}/?tab=instance_details__users_tab")
    browser.see(f"#users tr[data-display='{USER}']")
    browser.press("#users__action_create_user")
    browser.write(name=GUEST, password=password, databases=DATABASE)
    browser.press(".modal input[type=submit]")
    _until(lambda: GUEST in trove.users(made["id"]), f"{GUEST} to be there")
    browser.go(f"project/databases/{made['id']}/?tab=instance_details__users_tab")
    browser.see(f"#users tr[data-display='{GUEST}']")
    browser.picture("users")
    with sql.session(_machine(home), Login("mariadb", _address(made), GUEST, password, DATABASE)) as db:
        assert db.execute("SELECT 1") == [(1,)]

    _delete(browser, "users", GUEST)
    _until(lambda: trove.users(made["id"]) == [USER], f"{GUEST} to be gone")

    if "object-store" in dashboard.ask("status")["services"]:
        _back_up(browser, trove, made["id"])
    browser.go("project/databases/")
    _delete(browser, "databases", INSTANCE)
    _until(lambda: named(trove) is None, f"{INSTANCE} to be gone")
    severe = [e for e in browser.driver.get_log("browser") if e["level"] == "SEVERE"]
    assert severe == []


def _back_up(browser: Browser, trove: Trove, instance: str) -> None:
    """Make a backup and delete it, where the cloud has Swift."""
    browser.go("project/databases/")
    _choose_action(browser, "databases", INSTANCE, "backup")
    browser.write(name=BACKUP)
    browser.press(".modal input[type=submit]")
    _until(lambda: [one["name"] for one in trove.backups(instance)] == [BACKUP], f"{BACKUP} to be there")
    browser.go("project/database_backups/")
    _until_row(browser, f"#backups tr[data-display='{BACKUP}']", "Completed")
    browser.picture("backups")
    _delete(browser, "backups", BACKUP)
    _until(lambda: not trove.backups(instance), f"{BACKUP} to be gone")


def _take(browser: Browser, network: str) -> None:
    """Move a network to the chosen ones; where there is one only, it is there already."""
    script = (
        "const of = list => [...document.querySelectorAll(`#${list}_network li`)].find("
        "one => one.textContent.startsWith(arguments[0])); of('available')?.querySelector('a.btn').click();"
        "return !!of('selected')"
    )
    waits.until(
        f"a network {network}", lambda: browser.driver.execute_script(script, network),
        seconds=PAGE_SECONDS, setting="-", every=0.2,
    )  # fmt: skip


def _until_row(browser: Browser, row: str, *words: str) -> None:
    def seen() -> bool:
        found = browser.driver.find_elements("css selector", row)
        return bool(found) and all(word in found[0].text for word in words)

    waits.until(
        f"{row} to say {words}", seen, seconds=DATABASE_SECONDS, setting="-", every=0.5, transient=(browser._gone,)
    )


def _choose_action(browser: Browser, table: str, name: str, action: str) -> None:
    """From the row's own menu, folded or not."""
    row = f"#{table} tr[data-display='{name}']"
    browser.see(row)
    browser.driver.execute_script(f'document.querySelector("{row} [id$=__action_{action}]").click()')


def _delete(browser: Browser, table: str, name: str) -> None:
    """By the row's menu, and the question whether it is meant."""
    _choose_action(browser, table, name, "delete")
    browser.press(".modal .btn-danger, .modal .btn-primary")


def _until(seen: Callable[[], bool], what: str) -> None:
    waits.until(what, seen, seconds=DATABASE_SECONDS, setting="-", every=0.5)


def _machine(home: Home) -> Remote:
    return Remote(labs.machine_of(home).address())


def _address(instance: dict[str, Any]) -> str:
    return str(instance["addresses"][0]["address"])
