"""The density report in a real browser: what a manager sees, not what the file says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.report import density

pytestmark = pytest.mark.integration
webdriver = pytest.importorskip("selenium.webdriver")
WIDTHS = (1200, 420)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's chromium, without a window."""
    browser, helper = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not helper:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("profile")
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(helper))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def page(density_run: Callable[[int], Any]) -> Path:
    """A page from rows whose figures we chose: vm 450 MiB, container 80 MiB, 2 % unexplained."""
    return density.report(density_run(6).folder)


@pytest.fixture
def shown(driver: Any, page: Path) -> Any:
    """The page, opened."""
    driver.set_window_size(WIDTHS[0], 900)
    driver.get(page.as_uri())
    assert not [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]
    return driver


def cells(driver: Any, table: str) -> dict[str, list[str]]:
    """A table's rows by their first cell."""
    found = [[c.text for c in row.find_elements("css selector", "td")]
             for row in driver.find_elements("css selector", f"#{table} tr")]  # fmt: skip
    return {row[0]: row[1:] for row in found if row}


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]


def test_the_answer_comes_first_with_its_figures_and_caveats(shown: Any) -> None:
    answer = shown.find_element("id", "answer-mariadb")
    assert answer.is_displayed()
    assert answer.location["y"] < 400
    costs = {arm: float(mib) for mib, arm in re.findall(r"([\d.]+) MiB \[[\d.]+, [\d.]+\] as ([\w-]+)", answer.text)}
    assert costs == pytest.approx({"vm": 450, "vm-lean": 260, "vm-clone": 120, "container": 80, "shared": 16}, abs=5)
    assert re.search(r"Against a plain container that is vm 5\.\d\d times \[5\.\d\d, 5\.\d\d\]", answer.text)
    assert "in no headline" in answer.text
    assert "an emulator's figure" in shown.find_element("id", "caveats").text


def test_the_tables_show_what_was_measured(shown: Any) -> None:
    memory = cells(shown, "memory-mariadb")
    assert list(memory) == ["vm", "vm-lean", "vm-clone", "container", "shared"]
    point, low, high = numbers(memory["container"][0])
    assert low <= point <= high
    assert abs(point - 80) <= 1
    assert memory["container"][1] == "+5.5%"
    assert memory["container"][3] == "+3.0"
    assert memory["vm"][7] == "32.0"
    assert memory["container"][7] == "–"
    ratios = cells(shown, "ratios-mariadb")
    assert abs(float(ratios["vm, memory for one more database"][0]) - 450 / 80) < 0.15
    assert float(ratios["vm, memory for one more database"][2]) >= float(
        ratios["vm, memory for one more database"][0]
    )
    assert any("idle processor time (emulated)" in name for name in ratios)
    assert cells(shown, "hosts-mariadb")["16 GiB"]
    assert "the guest's <disk> was full" in shown.find_element("id", "failed").text


def test_every_plot_is_drawn_and_says_what_it_must(shown: Any) -> None:
    figures = shown.find_elements("css selector", "figure svg")
    assert len(figures) == 7
    assert all(f.size["width"] > 300 and f.size["height"] > 80 for f in figures)

    def words(plot: str) -> list[str]:
        return [t.text for t in shown.find_elements("css selector", f"#{plot}-mariadb-figure svg text")]

    assert any("unexplained +5.5%" in t for t in words("account"))
    assert any("translation cache, not counted" in t for t in words("account"))
    assert any(t.startswith("objective 20 ms") for t in words("latency"))
    assert any("Boden 2014" in t for t in words("ratios"))
    assert any("Felter 2014" in t for t in words("ratios"))
    assert any("vm (emulated CPU), alone" in t for t in words("start"))


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_a_screen_and_a_phone(shown: Any, width: int) -> None:
    shown.set_window_size(width, 900)
    assert shown.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_no_text_of_a_plot_runs_out_of_it(shown: Any) -> None:
    outside = """
        return [...document.querySelectorAll("figure svg")].flatMap(svg => {
            const room = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("text")].filter(t => {
                const box = t.getBoundingClientRect();
                return box.left < room.left - 1 || box.right > room.right + 1
                    || box.top < room.top - 1 || box.bottom > room.bottom + 1;
            }).map(t => t.textContent);
        });
    """
    assert shown.execute_script(outside) == []
