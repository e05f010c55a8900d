"""What documents hold that is made from the code, the catalogue and recorded runs."""

import ast
import collections
import io
import json
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from invoke.tasks import Task
from rich.console import Console
from rich.text import Text

from lab.cli import study_tasks, tasks
from lab.config import catalog, settings
from lab.core.resources import PACKAGE, RESOURCES

DOCS = RESOURCES / "docs"
ROOMS = (
    "core", "config", "containers", "host", "engines", "build", "doctor", "machine", "cloud", "guest", "install",
    "lifecycle", "dbod", "density", "report", "cli",
)  # fmt: skip
"""The packages of lab from the lowest layer to the highest, as pyproject.toml's contract has them."""


def commands() -> str:
    """Every task with what it says of itself and its flags; the settings of ``up`` once."""
    parts = []
    for module in (tasks, study_tasks):
        found = {task.name: task for task in vars(module).values() if isinstance(task, Task)}
        parts += [_task(name, found[name]) for name in sorted(found)]
    return "\n".join([*parts, _settings()])


def _task(name: str, task: Any) -> str:
    said = str(task.__doc__ or "").strip()
    arguments = task.get_arguments()
    settled = {field.name for field in settings.FIELDS.values()} if name in ("up", "show_config") else set()
    own = [a for a in arguments if str(a.name) not in settled]
    flags = [_flag(str(a.name), a.default, positional=bool(a.positional)) for a in own]
    more = " and every [setting](#settings)" if name in ("up", "show_config") else ""
    lines = [f"## {name.replace('_', '-')}", "", "\n".join(line.strip() for line in said.splitlines()), ""]
    if flags or more:
        lines += [f"Flags: {', '.join(sorted(flags))}{more}".replace(":  and", ":") + ".", ""]
    return "\n".join(lines)


def _flag(name: str, default: object, *, positional: bool) -> str:
    word = name.replace("_", "-")
    if positional:
        return f"`{word.upper()}` (first word)"
    if isinstance(default, bool):
        return f"`--{word}`" if not default else f"`--no-{word}`"
    shown = f" ({default})" if default not in (None, "") else ""
    return f"`--{word}=`{shown}"


def _settings() -> str:
    rows = ["## Settings", "", "Each is a flag of `up`, a line of `lab.toml` (`memory = 16`), or a variable "
            "(`TROVE_LAB_MEMORY=16`); flags win over variables, variables over the file.", "",
            "| setting | default | what |", "|---|---|---|"]  # fmt: skip
    for row in settings.about():
        choices = f" ({', '.join(row['choices'])})" if row["choices"] else ""
        rows.append(f"| `{row['name'].replace('_', '-')}` | {row['default'] or '–'} | {row['about']}{choices} |")
    return "\n".join(rows)


def picture() -> str:
    """The packages and who imports whom, as a Mermaid graph; arrows to the core are left out, everyone has one."""
    edges = collections.Counter(
        (room, above)
        for room in ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        for above in _rooms_of(path)
        if above not in (room, "core")
    )
    says = {room: ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or "" for room in ROOMS}
    lines = ["```mermaid", "graph TD"]
    lines += [f'    {room}["<b>{room}</b>"]' for room in reversed(ROOMS)]
    lines += [f"    {room} --> {above}" for room, above in sorted(edges)]
    lines += ["```", "", "| room | what it is | modules |", "|---|---|---|"]
    count = {
        room: sum(p.name != "__init__.py" and "templates" not in p.parts for p in (PACKAGE / room).rglob("*.py"))
        for room in ROOMS
    }
    lines += [f"| `{room}` | {says[room].splitlines()[0]} | {count[room]} |" for room in reversed(ROOMS)]
    return "\n".join(lines)


def _rooms_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lab"):
            words = node.module.split(".")
            yield from [words[1]] if len(words) > 1 else [alias.name for alias in node.names if alias.name in ROOMS]


def proof() -> str:
    """What the catalogue says of each combination that was run or is known not to be, and the recorded test runs."""
    lines = ["| installer | release | machine | provider | hypervisor | how | what was seen, and what was not |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in catalog.load().proven:
        where = [row.installer, row.release, row.distro, row.provider, row.hypervisor]
        lines.append("| " + " | ".join([*(word or "–" for word in where), f"**{row.how}**", row.note]) + " |")
    runs = tomllib.loads((DOCS / "test-runs.toml").read_text())["runs"]
    lines += ["", "| tests | command | when | commit | passed | failed | skipped | seconds | where |",
              "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for run in runs:
        counts = [str(run[key]) for key in ("passed", "failed", "skipped", "seconds")]
        lines.append(
            f"| {run['what']} | `{run['command']}` | {run['date']} | {run['commit'][:7]} | "
            + " | ".join(counts)
            + f" | {run['where']} |"
        )
    return "\n".join(lines)


STYLE = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>
{chrome}<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""
"""rich's own frame without the fonts that it would fetch from elsewhere."""


def run_picture() -> str:
    """docs/images/up.svg: the steps of the run that is recorded in docs/images/up.jsonl."""
    rows = [json.loads(line) for line in (DOCS / "images/up.jsonl").read_text().splitlines()]
    began = datetime.fromisoformat(rows[0]["time"])
    titles = {row["step"]: row["title"] for row in rows if row["event"] == "started"}
    console = Console(
        record=True, width=78, file=io.StringIO(), highlight=False, color_system="truecolor", force_terminal=True
    )
    console.print(Text("$ ./inv up", style="bold"))
    for row in rows:
        if row["event"] == "finished" and row["status"] == "done":
            at = int((datetime.fromisoformat(row["time"]) - began).total_seconds())
            clock, took = f"[dim]{at // 60:3d}:{at % 60:02d}[/]", f"[dim]{row['seconds']:.0f} s[/]"
            console.print(f"{clock} [green]✓[/] {titles[row['step']]} {took}")
    return console.export_svg(title="trove-lab", code_format=STYLE, unique_id="up")
