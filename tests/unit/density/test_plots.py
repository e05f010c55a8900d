"""The report's pictures: what can be told apart, what is drawn where, and what is said beside it."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lab.core import raw_rows
from lab.density.analysis import summary
from lab.density.analysis.account import Account
from lab.density.analysis.stats import Estimate
from lab.density.analysis.summary import Arm, Ratio
from lab.report import density
from lab.report.density_plots import DensityPlots
from lab.report.density_style import PARTS, RESIDUAL, STYLES, direct_labels

MIB = 1024 * 1024
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB."""
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colour: str, seen: np.ndarray) -> np.ndarray:
    """A colour in CIE L*a*b*, seen through ``seen`` (a matrix on linear RGB)."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(XYZ @ np.clip(seen @ linear, 0, 1) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA], ids=["all", "deuteranopia"])
@pytest.mark.parametrize(
    "colours", [[s.colour for s in STYLES.values()], [*(c for _, c in PARTS.values()), RESIDUAL[1]]],
    ids=["arms", "parts"],
)  # fmt: skip
def test_any_two_colours_are_told_apart(colours: list[str], seen: np.ndarray) -> None:
    apart = {
        (a, b): float(np.linalg.norm(lab(a, seen) - lab(b, seen))) for a, b in itertools.combinations(colours, 2)
    }
    least = min(apart, key=lambda pair: apart[pair])
    assert apart[least] >= 15, least


def test_an_arm_is_told_by_its_marker_and_its_line_too() -> None:
    assert len({s.marker for s in STYLES.values()}) == len(STYLES)
    lines = {name: s.line for name, s in STYLES.items()}
    assert len({str(lines[name]) for name in ("vm", "vm-lean", "vm-clone", "trove-vm")}) == 4


class Kept(DensityPlots):
    """Plots whose figures stay at hand."""

    figures: dict[str, Figure]

    def _save(self, name: str, figure: Figure, *more: Any) -> None:
        self.figures = {**getattr(self, "figures", {}), name.removesuffix("-mariadb"): figure}
        super()._save(name, figure, *more)


def arm(name: str, cost: float, residual: float = 0.0) -> Arm:
    """An arm of six blocks at ``cost`` MiB a database, of which ``residual`` MiB are in no part."""
    made = Arm("mariadb", name)
    for block in range(6):
        made.accounts[block] = Account(cost * MIB, {"database": (cost - residual) * MIB}, 0.0, residual * MIB)
        made.ladders += [{"block": block, "level": n, "lost": cost * n * MIB} for n in (1, 2, 4)]
    return made


def test_a_negative_residual_is_drawn_left_of_nothing(tmp_path: Path) -> None:
    plots = Kept(tmp_path)
    plots.account("mariadb", [arm("vm", 400), arm("shared", 16, -1)])
    for axes in plots.figures["account"].axes:
        left = [bar for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_width() < 0]
        assert left
        assert axes.get_xlim()[0] < min(bar.get_x() + bar.get_width() for bar in left)


def test_the_small_arms_have_a_panel_of_their_own_with_decimals(tmp_path: Path) -> None:
    plots = Kept(tmp_path)
    plots.memory("mariadb", [arm("vm", 420.6), arm("container", 74.34), arm("vm-lean", 74.11)])
    every, small = plots.figures["memory"].axes
    assert small.get_ylim()[1] < 400 < every.get_ylim()[1]
    said = [text.get_text() for text in small.texts]
    assert [text.splitlines() for text in said] == [
        ["vm-lean", "74.1 [74.1, 74.1]"],
        ["container", "74.3 [74.3, 74.3]"],
    ]


def test_labels_at_the_lines_ends_do_not_touch() -> None:
    axes = Figure().add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 100))
    direct_labels(axes, [(1, y, str(y), "black") for y in (50.0, 50.1, 50.2, 90.0)], gap=0.1)
    places = [text.xy[1] for text in axes.texts]  # type: ignore[attr-defined]
    assert places == pytest.approx([50, 60, 70, 90])


def ratio(top: str, point: float, how: str) -> Ratio:
    return Ratio("memory for one more database", "mariadb", top, "container",
                 Estimate(point, point * 0.9, point * 1.1, 6, how), point)  # fmt: skip


def test_ratios_are_sorted_ranges_are_dotted_and_throughput_stands_apart(tmp_path: Path) -> None:
    plots = Kept(tmp_path)
    plots.ratios("mariadb", [ratio("vm", 5.7, "t95"), ratio("vm-lean", 1.0, "range"), ratio("shared", 0.2, "t95")])
    ours, theirs = plots.figures["ratios"].axes
    names = [text.get_text() for text in reversed(ours.get_yticklabels())]
    assert [name.split("\n")[1].split(" :")[0] for name in names] == ["shared", "vm-lean", "vm", "KVM"]
    assert all("Felter" in text.get_text() for text in theirs.get_yticklabels())
    spans = [line.get_linestyle() for line in ours.lines if len(set(line.get_xdata())) == 2]  # type: ignore[arg-type]
    assert sorted(spans) == ["-", "-", ":"]
    assert all(text.get_position()[1] > 0 for text in ours.texts), "no figure lies on its line"


def test_a_lost_window_is_no_latency_and_all_arms_have_one_objective(
    density_run: Callable[[int], Any], tmp_path: Path
) -> None:
    told = summary.summarise(raw_rows.read(density_run(2).folder))
    arms = [a for a in told.arms.values() if a.loads]
    lost = {**arms[0].loads[0], "n": 9, "missed": "3.00% of the transactions lost", "worst_p95_upper": 5.0}
    none = {"n": 10, "phase": "ramp", "missed": "1 without data: x", "objective_ms": 15.0}
    arms[0].loads += [lost, none]
    plots = Kept(tmp_path)
    plots._latency("mariadb", arms)
    with (tmp_path / "latency-mariadb.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["verdict"] for r in rows if r["databases"] in ("9", "10")} == {"lost, or no data"}
    for row in rows:
        if row["verdict"] in ("kept", "missed"):
            assert (float(row["worst_p95_upper_ms"]) <= 20) == (row["verdict"] == "kept")
    assert {line.get_ydata()[0] for axes in plots.figures["latency"].axes for line in axes.lines} == {20.0}  # type: ignore[index]


def test_a_host_with_one_to_spare_is_in_the_table(density_run: Callable[[int], Any], tmp_path: Path) -> None:
    told = summary.summarise(raw_rows.read(density_run(2).folder))
    Kept(tmp_path).hosts("mariadb", density._hosts("mariadb", told))
    with (tmp_path / "hosts-mariadb.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert int(row["hosts_with_one_to_spare"]) == int(row["hosts"]) + 1
        assert int(row["databases_a_host"]) * int(row["hosts"]) >= 168
