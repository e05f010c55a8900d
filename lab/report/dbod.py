"""The evaluation's page: from raw rows to one self-contained file; its verdict says nothing that no row says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.core import run_manifest
from lab.core.errors import BadFile
from lab.core.raw_rows import Row, finished, of, read
from lab.core.state import write_atomically
from lab.dbod.contract import Outcome
from lab.report.dbod_plots import Times

TEMPLATES = Path(__file__).parent / "templates"
TIMED = ("create", "backup", "restore", "point-in-time", "clone")
SHOWN = 5
"""Titles in one sentence; the matrix has them all."""
CORRESPONDENCE = (
    ("web interface", "", "API"),
    ("DBOD's database", "", "Trove's database"),
    ("daemon that polls it", "", "task manager"),
    ("state checker", "the other way round", "conductor, agents' heartbeats"),
    ("recurrent backups", "never built", "scheduler"),
    ("many servers of mixed engines on a host", "not the same", "one server in each machine"),
)
"""DBOD's part, what to know of the pair, and Trove's part; after Lipp 2014, section 5."""


@dataclass(frozen=True)
class Column:
    """One provider with one engine; ``cells`` is requirement to its row."""

    provider: str
    engine: str
    cells: dict[str, Row]

    def count(self, *outcomes: Outcome) -> int:
        """How many requirements ended so."""
        return sum(row["outcome"] in outcomes for row in self.cells.values())

    def missing(self) -> list[str]:
        """Titles of what it does not have."""
        return [row["title"] for row in self.cells.values() if row["outcome"] == Outcome.MISSING]


def report(folder: Path) -> Path:
    """Render ``folder`` from its rows alone; gives the page. Raises: BadFile."""
    made = run_manifest.read(folder, "dbod-evaluate")
    rows = finished(read(folder))
    columns = tabulate(rows)
    if not columns:
        raise BadFile(
            folder, "no provider was tried to the end in it", "Run ./inv dbod-evaluate with this --out to go on."
        )
    times = Times(folder / "plots")
    times.draw(columns)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    absent = [row for row in of(rows, "absent") if row["provider"] not in {column.provider for column in columns}]
    requirements = {row["requirement"]: row for column in columns for row in column.cells.values()}
    page = environment.get_template("dbod.html.j2").render(
        sittings=made["sittings"],
        columns=columns,
        requirements=requirements,
        verdict=[*verdict(columns, absent), *broken(of(rows, "fault"))],
        absent=absent,
        stores=of(rows, "store"),
        faults=of(rows, "fault"),
        left=of(rows, "left"),
        loads=sorted(row["load"] for row in rows if "load" in row),
        unbroken=of(rows, "unbroken"),
        plots=times.made,
        correspondence=CORRESPONDENCE,
    )
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def tabulate(rows: list[Row]) -> list[Column]:
    """One column per provider and engine, in the order in which they were tried."""
    columns: dict[tuple[str, str], Column] = {}
    for row in of(rows, "scenario"):
        key = row["provider"], row["engine"]
        columns.setdefault(key, Column(*key, {})).cells[row["requirement"]] = row
    return list(columns.values())


def verdict(columns: list[Column], absent: list[Row]) -> list[str]:
    """A few sentences, each counted or measured from the rows."""
    said = ["; ".join(_score(column) for column in columns) + "."]
    for provider in dict.fromkeys(column.provider for column in columns):
        own = [column for column in columns if column.provider == provider]
        lacking = Counter(title for column in own for title in column.missing())
        everywhere = [title for title, times in lacking.items() if times == len(own)]
        if everywhere:
            said.append(f"{provider} does not have, with any engine tried: {_list(everywhere)}.")
    if times := [words for column in columns if (words := _times(column))]:
        said.append("Seconds of the operations, measured once: " + "; ".join(times) + ".")
    failed = [f"{r['title']} ({c.provider}, {c.engine})" for c in columns for r in c.cells.values()
              if r["outcome"] == Outcome.FAILED]  # fmt: skip
    said.append(
        f"Failed: {_list(failed)}." if failed else "No requirement failed where the provider claims to have it."
    )
    if absent:
        said.append("Nothing is said of " + "; nor of ".join(f"{a['provider']}: {a['why']}" for a in absent))
    return said


def broken(faults: list[Row]) -> list[str]:
    """A sentence of the faults, if any were tried: where data survived, and who was the first to notice."""
    tried = [row for row in faults if row["tried"]]
    if not tried:
        return []
    kept = sum(row["survived"] for row in tried)
    unseen = sum(not row["noticed"] for row in tried)
    itself, started, nobody = (
        sum(row["by"] == word and bool(row["noticed"]) for row in tried) for word in ("itself", "start", "nobody")
    )
    missed = sum("connecting" in row["noticed"] and "provider" not in row["noticed"] for row in tried)
    return [
        f"Of {len(tried)} faults that were tried, the data survived {kept}; nothing was seen of {unseen}, "
        f"{itself} healed by themselves, {started} by a start, {nobody} by neither; "
        f"{missed} were noticed by connecting only."
    ]


def _score(column: Column) -> str:
    native, worked = column.count(Outcome.NATIVE), column.count(Outcome.WITH_WORK)
    return (f"{column.provider} with {column.engine} gives {native + worked} of {len(column.cells)} requirements "
            f"({native} native, {worked} with work)")  # fmt: skip


def _list(titles: list[str]) -> str:
    shown = "; ".join(f"“{title}”" for title in titles[:SHOWN])
    return shown + (f" and {len(titles) - SHOWN} more" if len(titles) > SHOWN else "")


def _times(column: Column) -> str:
    said = [
        f"{name} {row['seconds']:.2f} s" for name, row in column.cells.items() if name in TIMED and row["seconds"]
    ]
    return f"{column.provider} with {column.engine}: {', '.join(said)}" if said else ""
