"""Figures and page from rows that we wrote: the numbers are known."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.core import raw_rows
from lab.core.errors import BadFile, Unsupported
from lab.density import arm_names
from lab.density.analysis import runs, summary
from lab.density.planning import plan
from lab.density.planning.plan import Planned
from lab.report import density


@pytest.fixture(scope="module")
def run(density_run: Callable[[int], Any]) -> Any:
    made = density_run(6)
    density.report(made.folder)
    return made


@pytest.fixture(scope="module")
def folder(run: Any) -> Path:
    return Path(run.folder)


def test_slopes_accounts_and_ratios_are_what_was_put_in(run: Any) -> None:
    told = summary.summarise(raw_rows.read(run.folder))
    for name, cost in run.cost.items():
        arm = told.arms["mariadb", name]
        assert arm.slope is not None
        assert arm.unexplained is not None
        assert arm.slope.low <= cost * 1.01
        assert arm.slope.point == pytest.approx(cost, rel=0.01)
        assert arm.unexplained.point == pytest.approx(run.unexplained[name], abs=0.002)
        assert abs(arm.worst) >= abs(arm.unexplained.point)
        assert arm.emulated == (name in run.machines)
    memory = {r.top: r for r in told.ratios if r.what.startswith("memory")}
    assert memory["vm"].estimate.point == pytest.approx(450 / 80, rel=0.02)
    assert memory["vm"].estimate.low < 450 / 80 < memory["vm"].estimate.high
    assert memory["vm"].estimate.how == "t95"
    assert not memory["vm"].emulated
    assert all(r.emulated for r in told.ratios if r.what.startswith("idle") and r.top in run.machines)


def test_the_page_says_what_it_must(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert "an emulator's figure" in page
    assert "Accelerator: tcg" in page
    assert "1 failed (kept below)" in page
    assert "&lt;disk&gt; was full" in page
    assert page.count("<svg") == 7
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "<script" not in page


def test_no_processor_figure_of_an_emulator_is_in_the_answer(folder: Path) -> None:
    told = summary.summarise(raw_rows.read(folder))
    said = " ".join(density.answer("mariadb", told, json.loads((folder / "manifest.json").read_text())))
    assert "in no headline" in said
    assert "latency of" not in said
    assert " ms" not in said


def test_the_same_rows_give_the_same_report(folder: Path) -> None:
    def everything() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in folder.rglob("*") if p.suffix in (".html", ".svg", ".csv", ".json")}

    before = everything()
    density.report(folder)
    assert everything() == before


@pytest.fixture(scope="module")
def meagre(density_run: Callable[[int], Any]) -> Path:
    """A report of two blocks, whose loads had generators of one seed."""
    folder: Path = density_run(2).folder
    rows = raw_rows.read(folder)
    (folder / raw_rows.FILE).write_text(
        "".join(json.dumps({k: v for k, v in row.items() if k != "draw"}) + "\n" for row in rows)
    )
    density.report(folder)
    return folder


def test_loads_whose_generators_had_one_seed_count_in_nothing_and_the_page_says_so(meagre: Path) -> None:
    page = (meagre / "index.html").read_text()
    arms = summary.summarise(raw_rows.read(meagre)).arms.values()
    assert not any(a.knee or a.loads or any(a.noise.values()) for a in arms)
    assert "sysbench's\nclock" in page
    assert page.count("<svg") == 5
    assert json.loads((meagre / "summary.json").read_text())["rows_under_load_withdrawn"] > 0


def test_few_blocks_are_called_a_range(meagre: Path) -> None:
    page = (meagre / "index.html").read_text()
    assert "ranges, not confidence intervals" in page
    assert "95 % t" not in page


def test_of_several_runs_the_interval_is_over_runs(density_run: Callable[[int], Any]) -> None:
    told = [summary.summarise(raw_rows.read(density_run(6).folder)) for _ in range(3)]
    for run, shift in zip(told, (0.9, 1.0, 1.1), strict=True):
        for arm in run.arms.values():
            for account in arm.accounts.values():
                object.__setattr__(account, "slope", account.slope * shift)
    rows = {row["arm"]: row for row in runs.across(told)}
    vm = rows["container"]["bytes_per_database"]
    assert (vm["how"], vm["blocks"]) == ("t95-runs", 3)
    # the runs' means are 10 % apart: t of 2 degrees of freedom gives 4.30 * 0.1 / sqrt(3), or a quarter, either way
    assert (vm["high"] - vm["low"]) / 2 / vm["point"] == pytest.approx(0.248, abs=0.005)
    assert rows["container"]["ratio"] is None
    assert rows["vm"]["ratio"]["point"] == pytest.approx(450 / 80, rel=0.05)
    assert [row["runs"] for row in runs.across(told[:1])] == [1] * 5


def test_a_ladder_that_was_taken_again_counts_by_its_last_attempt_alone(density_run: Callable[[int], Any]) -> None:
    folder = density_run(6).folder
    before = summary.summarise(raw_rows.read(folder)).arms["mariadb", "container"]
    rows = raw_rows.read(folder)
    ladder = raw_rows.of(rows, "memory", arm="container", block=0)
    spoiled = [{**r, "attempt": 1, "meminfo": {**r["meminfo"], "MemAvailable": 9e9}} for r in ladder]
    closures = [
        {"kind": "closure", "trial": ladder[0]["trial"], "arm": "container", "engine": "mariadb", "attempt": n}
        for n in (1, 2)
    ]
    kept = [{**r, "attempt": 2} if r in ladder else r for r in rows]
    (folder / raw_rows.FILE).write_text("".join(json.dumps(r) + "\n" for r in (*spoiled, *closures, *kept)))
    after = summary.summarise(raw_rows.read(folder)).arms["mariadb", "container"]
    assert after.slopes == before.slopes


@pytest.mark.parametrize("kept", sorted(p.parent.name for p in plan.KEPT.glob(f"*/{raw_rows.FILE}")))
def test_a_kept_run_renders_again_byte_for_byte(kept: str, tmp_path: Path) -> None:
    """From its rows and its manifest alone: page, figures, plots with their tables, and nothing else."""
    for name in (raw_rows.FILE, "manifest.json"):
        shutil.copy(plan.KEPT / kept / name, tmp_path)
    density.report(tmp_path)

    def everything(folder: Path) -> dict[str, str]:
        files = [p for p in folder.rglob("*") if p.is_file()]
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    assert everything(tmp_path) == everything(plan.KEPT / kept)


def test_a_folder_without_a_finished_ladder_is_refused(density_run: Callable[[int], Any]) -> None:
    with pytest.raises(BadFile, match="no memory ladder"):
        density.report(density_run(0).folder)


def test_plans_follow_from_the_measured_footprints(folder: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.json"
    fleet.write_text('{"mariadb": 168}')
    planned = {p.arm: p for p in plan.plan(str(fleet), "memory=10GiB,cpus=1000", [folder])}
    best = planned["container"].plan
    assert best is not None
    # 9 GiB of each host, 80 MiB each: 115 to a host; vm: 450 MiB each, 20 to a host
    assert best.best.hosts == 2
    assert best.optimal
    other = planned["vm"].plan
    assert other is not None
    assert other.best.hosts == 9
    assert json.dumps([p.as_dict() for p in planned.values()])


def test_arms_and_engines_without_a_measurement_are_not_guessed(folder: Path) -> None:
    with pytest.raises(Unsupported, match="container-ksm"):
        plan.plan("dbod", "memory=10GiB,cpus=8", [folder], ["container-ksm"])
    nothing = summary.Summary({}, [], True, 0)
    (kind,) = plan.load("dbod")[:1]
    assert plan.one("vm", [kind], (10.0, 8.0), nothing, 1.0).skipped


@pytest.fixture(scope="module")
def kept_plans() -> dict[str, Planned]:
    """The plans of the command that the documentation shows, by arm."""
    return {p.arm: p for p in plan.plan("dbod", "memory=256GiB,cpus=64", plan.folders([]))}


def test_the_documented_plan_is_made_from_what_the_project_keeps_and_says_what_it_assumes(
    kept_plans: dict[str, Planned],
) -> None:
    assert set(kept_plans) == set(arm_names.NAMES)
    for one in (p.as_dict() for p in kept_plans.values()):
        assert one["hosts"] >= 1, one
        assert one["assumed"] == ["postgresql was not measured here, and is planned as mariadb"]
    fullest = kept_plans["container"].fullest
    assert fullest is not None
    assert fullest.low < fullest.point < fullest.high
    assert kept_plans["trove-vm"].fullest is None, "one block gives no interval"


def test_what_an_enforced_budget_held_corrects_a_slope_that_promises_more(kept_plans: dict[str, Planned]) -> None:
    """Merging containers: 1 GiB held 50, and the slope at rest promises over 80."""
    assert kept_plans["container-ksm"].bytes_each["mariadb"] >= 2**30 / 51
    assert kept_plans["container"].bytes_each["mariadb"] == pytest.approx(74.3 * 2**20, rel=0.001)


def test_a_host_that_is_filled_to_the_brim_fits_as_often_as_not_and_one_with_room_does(
    folder: Path, tmp_path: Path
) -> None:
    slope = summary.summarise(raw_rows.read(folder)).arms["mariadb", "container"].slope
    assert slope is not None
    fleet = tmp_path / "fleet.json"
    fleet.write_text('{"mariadb": 20}')

    def fits(memory: float) -> float:
        (one,) = plan.plan(str(fleet), f"memory={round(memory / 0.9 / 1024)}k,cpus=64", [folder], ["container"])
        assert one.plan is not None
        assert one.plan.best.hosts == 1
        assert one.fits is not None
        return one.fits

    assert fits(20 * slope.point + 4096) == pytest.approx(0.5, abs=0.02)
    assert fits(20 * slope.high) == pytest.approx(0.975, abs=0.002)
