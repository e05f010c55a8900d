"""Plots of any report: each an SVG and a PNG beside the CSV that it was drawn from."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

mpl.use("Agg")
mpl.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "density", "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "figure.dpi": 100, "savefig.dpi": 130, "axes.grid": True, "grid.alpha": 0.25,
})  # fmt: skip


class Plots:
    """Draws into a folder; ``made`` maps a plot's name to its SVG text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def _save(self, name: str, figure: Figure, head: Sequence[str], table: Sequence[Sequence[Any]]) -> None:
        figure.savefig(self._folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(self._folder / f"{name}.png")
        text = (self._folder / f"{name}.svg").read_text(encoding="utf-8")
        self.made[name] = text[text.index("<svg") :]
        with (self._folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(table)


def plain(axis: Axis) -> None:
    """Ticks of a logarithmic axis as 1, 2, 5, 10."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def new_axes(height: float = 4.4) -> tuple[Figure, Axes]:
    """A figure of the page's width; ``height`` in inches."""
    figure = Figure(figsize=(9, height), layout="constrained")
    return figure, figure.add_subplot()
