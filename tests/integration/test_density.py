"""The density bench for real: Docker, QEMU, a browser. Small: two levels, a few databases."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import waits
from lab.density import bake, bench, cgroup, fleet, host, journal, profile, rows, summary
from lab.density.arms.base import Ground
from lab.density.arms.containers import Containers
from lab.density.bake import Baked
from lab.density.cgroup import Budget
from lab.density.dockers import PREFIX, Dockers
from lab.density.engine import ALL
from lab.density.profile import Spec
from lab.errors import LabBusy
from lab.home import LABEL
from lab.progress import Events
from lab.report import density

pytestmark = pytest.mark.density
MIB = 1024 * 1024
TINY = dataclasses.replace(
    profile.QUICK, name="tiny", blocks=1, idle_blocks=1, levels=(1, 2), machine_levels=(1, 2), idle_seconds=2,
    window_seconds=4,
    settle_seconds=3, ksm_seconds=5, fit_blocks=0, knee_blocks=0, noise_blocks=0, knee_limit=2, machine_knee_limit=1,
)  # fmt: skip


def spec(*names: str, **changes: Any) -> Spec:
    made = profile.spec(["mariadb"], names, "400MiB", quick=True, seed=3)
    return dataclasses.replace(made, profile=dataclasses.replace(TINY, **changes))


def leftovers() -> list[str]:
    """Whatever of a density run is on this host."""
    client = Dockers("look").client
    left = [c.name for c in client.containers.list(all=True, filters={"label": LABEL}) if _ours(c.labels)]
    left += [n.name for n in client.networks.list(filters={"label": LABEL}) if _ours(n.attrs["Labels"])]
    left += [str(p) for p in (bake.folder() / "runs").glob("*")]
    base = cgroup.ROOT / "memory" if cgroup.version() == 1 else cgroup.ROOT
    left += [str(p) for p in base.glob(f"trove-lab-{PREFIX}*")]
    return [str(name) for name in left]


def _ours(labels: dict[str, str]) -> bool:
    return labels.get(LABEL, "").startswith(PREFIX)


@pytest.fixture
def ground() -> Iterator[tuple[Ground, Baked, Budget]]:
    dockers = Dockers("itest")
    with bake.alone():
        journal.sweep(dockers)
        record = journal.Journal("itest")
        budget = Budget(dockers.name, systemd=dockers.systemd)
        record.cgroup(dockers.name)
        try:
            yield Ground(dockers, record, None, 60), bake.bake(dockers, ALL["mariadb"]), budget
        finally:
            journal.clean(record, dockers)
    assert not leftovers()


def test_the_account_sees_an_allocation_that_we_made(ground: tuple[Ground, Baked, Budget]) -> None:
    """A container that holds 64 MiB of its own: the parts and the cgroup say 64 MiB, within 5 %."""
    base, baked, budget = ground
    budget.open(None)
    before = budget.usage().working
    # tail keeps the end of a pipe that is still open in its own memory
    hold = "{ head -c 67108864 /dev/zero; exec sleep 600; } | exec tail -c 67108864"
    with base.dockers.network("known") as network:
        container = base.dockers.client.containers.run(
            baked.tag, entrypoint=["sh", "-c", hold], detach=True, labels=base.dockers.label, network=network.name,
            cgroup_parent=budget.path,
        )  # fmt: skip
        try:
            pid = int(base.dockers.client.api.inspect_container(str(container.id))["State"]["Pid"])
            arm = Containers(base, baked, budget)
            arm._pids["known"] = pid

            def held() -> int:
                return arm.resident().parts["database"]

            waits.until("64 MiB", lambda: held() > 64 * MIB, seconds=30, setting="x", every=0.2)
            assert held() == pytest.approx(64 * MIB, rel=0.05)
            assert budget.usage().working - before == pytest.approx(64 * MIB, rel=0.1)
        finally:
            container.remove(force=True)


def test_the_budget_is_enforced_and_a_killed_database_is_a_failed_step(tmp_path: Path) -> None:
    bench.bench(spec("container", fit_blocks=1), tmp_path, Events())
    (fit,) = rows.of(rows.read(tmp_path), "fit")
    steps = rows.of(rows.read(tmp_path), "fit-step", phase="ramp")
    assert 2 <= fit["n"] <= 6
    assert [s["passed"] for s in steps] == [True] * fit["found"] + [False]
    assert all(s["cgroup"]["current"] <= 401 * MIB for s in steps)
    assert not leftovers()


def test_two_levels_of_containers_and_machines_end_in_a_report(tmp_path: Path) -> None:
    bench.bench(spec("container", "vm-lean", "vm-clone"), tmp_path, Events())
    raw = rows.read(tmp_path)
    assert {r["arm"]: (r["status"], r["why"]) for r in rows.of(raw, "trial")} == {
        "container": ("done", ""),
        "vm-lean": ("done", ""),
        "vm-clone": ("done", ""),
    }
    told = summary.summarise(raw)
    assert told.same
    cost = {name: arm.slope.point / MIB for (_, name), arm in told.arms.items() if arm.slope}
    if not any(r["loud"] for r in rows.of(raw, "trial")):
        assert 40 < cost["container"] < 150
        assert cost["vm-lean"] > 1.5 * cost["container"]
    page = density.report(tmp_path).read_text()
    assert "One more mariadb database costs" in page
    assert not leftovers()
    # again: everything is done, nothing is measured twice
    bench.bench(spec("container", "vm-lean", "vm-clone"), tmp_path, Events())
    assert len(rows.read(tmp_path)) == len(raw)


CHILD = """
import sys
from pathlib import Path
from tests.integration.test_density import spec
from lab.density import bench
from lab.progress import Events
from lab.errors import LabError
try:
    bench.bench(spec("container", "shared"), Path(sys.argv[1]), Events())
except LabError as error:
    print(error.remedy)
    sys.exit(error.exit_code)
"""


def _child(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-c", CHILD, str(folder)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _until_containers(child: subprocess.Popen[str]) -> None:
    client = Dockers("look").client
    waits.until(
        "its containers",
        lambda: [c for c in client.containers.list(filters={"label": LABEL}) if _ours(c.labels)],
        seconds=90,
        setting="x",
        every=0.1,
        fatal=lambda: None if child.poll() is None else "it ended",
    )


def test_a_killed_run_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    child = _child(tmp_path)
    _until_containers(child)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert leftovers()
    dockers = Dockers("next")
    with bake.alone():
        assert any(line.startswith("container") for line in journal.sweep(dockers))
    assert not leftovers()


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    child = _child(tmp_path)
    _until_containers(child)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f"--out={tmp_path}" in said
    assert not leftovers()


def test_two_runs_at_once_are_refused() -> None:
    with bake.alone(), pytest.raises(LabBusy):
        bench.bench(spec("container"), Path("/nowhere"), Events())


def test_a_small_fleet_answers_and_goes(tmp_path: Path) -> None:
    wanted = tmp_path / "fleet.json"
    wanted.write_text('{"mariadb": 3, "postgresql": 2}')
    fleet.fleet(str(wanted), tmp_path / "out", Events(), settle_seconds=6)
    told = json.loads((tmp_path / "out" / "fleet.json").read_text())
    assert told["answered_at_start"] == told["answered_after_settling"] == 5
    assert not told["dead"]
    assert not leftovers()


def test_the_page_shows_its_figures_in_a_browser(density_run: Callable[[int], Any], tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("needs Debian's chromium")
    selenium = pytest.importorskip("selenium.webdriver")
    page = density.report(density_run(6).folder)
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(shutil.which("chromedriver")))
    try:
        driver.set_window_size(1200, 900)
        driver.get(page.as_uri())
        assert not [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]
        answer = driver.find_element("id", "answer-mariadb")
        assert answer.is_displayed()
        assert "One more mariadb database costs this host" in answer.text
        assert "an emulator's figure" in driver.find_element("id", "caveats").text
        figures = driver.find_elements("css selector", "figure svg")
        assert len(figures) == 7
        assert all(f.size["width"] > 300 and f.size["height"] > 80 for f in figures)
        words = [t.text for t in driver.find_elements("css selector", "#account-mariadb-figure svg text")]
        assert any("residual +2.0%" in t for t in words)
        cells = driver.find_elements("css selector", "#memory-mariadb tr:nth-child(2) td")
        assert cells[0].text == "vm"
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        driver.save_screenshot(str(tmp_path / "page.png"))
    finally:
        driver.quit()
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_what_the_host_does_is_seen() -> None:
    before = host.mark()
    assert 0 <= host.outside() <= host.processors() + 0.5
    assert host.since(before)["swapped"] >= 0  # type: ignore[operator]
