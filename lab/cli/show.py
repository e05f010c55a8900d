"""What tasks print: tables for people on a terminal, JSON on standard output for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lab.cli import invocation
from lab.core.progress import Events, People, Progress, Recorded

if TYPE_CHECKING:
    from lab.dbod.contract import Result  # brings database drivers, for which no other command should wait

_out = Console(highlight=False, soft_wrap=True)
_marks = {"ok": "[green]ok[/]", "info": "[dim]info[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def progress(events: bool) -> Progress:
    """JSON lines, or lines for people; both kept in the run's log."""
    return Recorded(Events() if events else People())


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """A plain table."""
    made = Table(*headings, title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*row)
    _out.print(made)


def plan(report: Mapping[str, Any], json: bool) -> None:
    """What ``up`` would do."""
    if json:
        invocation.emit(report)
        return
    table(["setting", "value", "why"], [(c["setting"], c["value"], c["why"]) for c in report["choices"]])
    _out.print()
    table(["step", "would", "what"], [(s["name"], s["would"], s["title"]) for s in report["steps"]])
    if hindrance := report["hindrance"]:
        _out.print(f"\n[yellow]up would stop before the first step:[/] {hindrance['cause']}\n{hindrance['remedy']}")
    if report["install"]:
        _out.print(f"\nThis host lacks packages; up would run: {report['install']}")


def result(report: Mapping[str, Any], json: bool) -> None:
    """What ``up`` made: how to connect, and where the time went."""
    if json:
        invocation.emit(report)
        return
    rows = [(s["name"], f"{s['seconds']:.0f} s") for s in report["steps"] if s["status"] == "done"]
    if rows:
        table(["step", "seconds"], rows)
        _out.print()
    facts = [("lab", report["name"]), ("clouds.yaml", report["clouds_yaml"]), *report["connect"].items()]
    table(["", ""], [(key, str(value)) for key, value in facts])
    for line in report["differences"]:
        _out.print(f"[yellow]differs from the manifest:[/] {line}")


def status(report: Mapping[str, Any], json: bool) -> None:
    """A lab as it is now."""
    if json:
        invocation.emit(report)
        return
    rows = [("machine", report["machine"])]
    rows += sorted(report["services"].items())
    rows += sorted(report["agents"].items())
    rows += [
        (i["name"], f"{i['datastore']}  {i['status']} {i['operating_status']}  {' '.join(i['addresses'])}")
        for i in report["instances"]
    ]
    table([report["name"], ""], rows)
    for line in report["drift"]:
        _out.print(f"[yellow]drift:[/] {line}")


def labs(rows: Sequence[Mapping[str, str]], json: bool) -> None:
    """All labs of this checkout."""
    if json:
        invocation.emit(rows)
    elif not rows:
        _out.print("There is no lab here yet; make one with ./inv up.")
    else:
        table(["name", "machine", "provider", "release"], [tuple(r.values()) for r in rows])


def job(result: Result, json: bool) -> None:
    """How an operation ended. Raises: what made it fail or missing, when that has been said."""
    if json:
        invocation.emit(result.as_dict())
    elif result.error is None:
        value = result.value
        if isinstance(value, dict):
            table(["", ""], [(key, str(item)) for key, item in value.items()])
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            table(list(value[0]), [[str(item) for item in one.values()] for one in value])
        elif isinstance(value, list):
            _out.print("\n".join(map(str, value)) or "There is none.", markup=False)
        _out.print(f"[dim]{result.job}, {result.outcome}, {result.seconds:.2f} s[/]")
    if result.error:
        raise result.error


def note(text: str) -> None:
    """What is done at the moment, beside the result."""
    print(text, file=sys.stderr, flush=True)


def matrix(rows: Sequence[Mapping[str, Any]], drawn: Table, json: bool) -> None:
    """The support matrix."""
    if json:
        invocation.emit(rows)
    else:
        _out.print(drawn)


def mirror(rows: Sequence[Mapping[str, str]], json: bool) -> None:
    """What a mirror's folder has."""
    if json:
        invocation.emit(rows)
    else:
        table(
            ["release", "what", "ref", "has"],
            [
                (r["release"], r["what"], r["ref"], (r["has"][:12] if r["ref"] else r["has"]) or "[yellow]missing[/]")
                for r in rows
            ],
        )


def line(text: str) -> None:
    """One line, there before anything that follows."""
    print(text, flush=True)


def bundle(path: Path, missing: Sequence[str]) -> None:
    """Where the logs went."""
    for line in missing:
        _out.print(f"[yellow]not in the bundle:[/] {line}")
    _out.print(str(path))


def snapshots(names: Sequence[str], json: bool) -> None:
    """Labels of the snapshots there are now."""
    if json:
        invocation.emit(names)
    else:
        _out.print("\n".join(names) or "There is no snapshot.")


def removed(things: Sequence[str], dry_run: bool, json: bool) -> None:
    """What destroy took away, or would."""
    if json:
        invocation.emit(things)
        return
    for thing in things:
        _out.print(f"{'would remove' if dry_run else 'removed'} {thing}")
    if not things:
        _out.print("There was nothing to remove.")


def findings(found: Sequence[Any], json: bool) -> None:
    """The doctor's table, a fix with each finding that has one."""
    if json:
        invocation.emit([f.as_dict() for f in found])
        return
    rows = [(_marks[f.status], f.title, f.detail + (f"\n[dim]fix: {f.fix}[/]" if f.fix else "")) for f in found]
    table(["", "what", "found"], rows)
