"""The evaluation's plot: the seconds of each operation, a mark per provider and engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from lab.dbod.contract import Outcome
from lab.report.plots import Plots, new_axes, plain

COLOURS = {"docker-host": "#2166ac", "shared": "#1b7837", "trove": "#b2182b"}
MARKS = {"mariadb": "o", "postgresql": "s"}


class Column(Protocol):
    """What is drawn of a provider with an engine."""

    @property
    def provider(self) -> str:
        """Its name."""

    @property
    def engine(self) -> str:
        """Its engine."""

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """Requirement to row."""


class Times(Plots):
    """Draws into a folder; ``made`` then has ``times``."""

    def draw(self, columns: Sequence[Column]) -> None:
        """Every operation that was done, with its seconds on a logarithmic axis."""
        given = {Outcome.NATIVE, Outcome.WITH_WORK}
        table = [
            (row["title"], column.provider, column.engine, row["seconds"])
            for column in columns
            for row in column.cells.values()
            if row["outcome"] in given and row["seconds"] > 0
        ]
        if not table:
            return
        titles = list(dict.fromkeys(title for title, *_ in table))
        figure, axes = new_axes(height=1.2 + 0.32 * len(titles))
        for column in columns:
            points = [(s, titles.index(t)) for t, p, e, s in table if (p, e) == (column.provider, column.engine)]
            if points:
                axes.plot(*zip(*points, strict=True), MARKS.get(column.engine, "o"), ms=6, alpha=0.75,
                          color=COLOURS[column.provider], label=f"{column.provider}, {column.engine}")  # fmt: skip
        axes.set_xscale("log")
        plain(axes.xaxis)
        axes.set_yticks(range(len(titles)), titles, fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel("seconds of the operation, one measurement each")
        axes.set_title("Time per operation", loc="left")
        figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
        self._save("times", figure, ("requirement", "provider", "engine", "seconds"), table)
