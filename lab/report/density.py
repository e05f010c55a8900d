"""The density report: from a run's raw rows to one self-contained page, plots with their tables, and summary.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.build.qemu import PROGRAM
from lab.core import raw_rows, run_manifest
from lab.core.errors import BadFile
from lab.core.state import write_atomically
from lab.core.units import GIB, MIB
from lab.density import protocol
from lab.density.analysis import figures, summary
from lab.density.analysis.stats import Estimate
from lab.density.analysis.summary import Arm, Summary
from lab.density.measure import bench, fleet, profile
from lab.density.planning import plan
from lab.density.planning.plan import Kind, Planned
from lab.report.density_plots import DensityPlots

HOSTS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
CORES_PER_GIB = 0.25
"""Hosts of the plan plot have one core for 4 GiB, so that memory decides."""
INSIDE = (
    ("database", "database"), ("agent", "Trove's guest agent"), ("guest_docker", "the guest's own Docker"),
    ("shims", "containerd shims"), ("guest_system", "systemd and the guest's services"),
    ("other_programs", "programs that are not known apart"), ("kernel", "the guest's kernel"),
    ("page_cache", "page cache"), ("free", "free"), ("total", "in all, as the guest sees it"),
)  # fmt: skip
"""Parts of a guest by its own account, in the order of the page."""
SLIM = ("vm-lean", "vm-clone")
"""Arms so small that the emulator's own tables weigh in them: QEMU's private memory was 33 of 74 and 31 of 38 MiB."""
TEMPLATES = Path(__file__).parent / "templates"


def report(folder: Path) -> Path:
    """Render ``folder`` again from its raw rows alone; gives the page. Raises: BadFile."""
    told_by = run_manifest.read(folder)
    raw = raw_rows.read(folder)
    told = summary.summarise(raw)
    if not any(arm.accounts for arm in told.arms.values()):
        raise BadFile(
            folder, "no memory ladder was finished in it", "Run ./inv density-bench again with the same --out."
        )
    wanted = {trial.key for trial in bench.schedule(profile.from_dict(told_by["spec"]))}
    ended = {r["trial"] for r in raw if r["kind"] == "left-out" and r["why"] != bench.TIME}
    ended |= {r["trial"] for r in raw_rows.of(raw_rows.finished(raw), "trial")}
    shutil.rmtree(folder / "plots", ignore_errors=True)  # a figure that is withdrawn leaves no picture behind
    plots = DensityPlots(folder / "plots")
    engines = sorted({engine for engine, _ in told.arms})
    hosts = {engine: _hosts(engine, told) for engine in engines}
    for engine in engines:
        plots.all(engine, told, hosts[engine])
    write_atomically(folder / "summary.json", json.dumps(figures.as_dict(told), indent=1))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )
    environment.filters.update(
        mib=_mib, span=_span, signed=lambda v: f"{v:+.1%}", mean=_mean, median=_median, fitted=fitted
    )
    page = environment.get_template("density.html.j2").render(
        manifest=told_by,
        told=told,
        engines=engines,
        plots=plots.made,
        inside={e: {a.arm: a.guest for (of, _), a in told.arms.items() if of == e and a.guest} for e in engines},
        parts_inside=INSIDE,
        answer={engine: answer(engine, told, told_by) for engine in engines},
        hosts=hosts,
        trials=sum(a.trials for a in told.arms.values()),
        scheduled=len(wanted),
        undone=len(wanted - ended),
        limit=protocol.UNEXPLAINED,
        loud=sum(a.loud for a in told.arms.values()),
        failed=[(a, why) for a in told.arms.values() for why in a.failed],
        emulated=any(a.emulated for a in told.arms.values()),
    )
    target = folder / "index.html"
    write_atomically(target, page)
    return target


def answer(engine: str, figures: Summary, manifest: dict[str, Any]) -> list[str]:
    """The answer in three sentences: memory, what fits a budget, and what may not be read into it."""
    arms = {name: arm for (e, name), arm in figures.arms.items() if e == engine and arm.slope}
    said = []
    if arms:
        costs = [f"{_mib(a.slope)} as {a.arm}" for a in sorted(arms.values(), key=lambda a: -_point(a.slope))]
        said.append(f"One more {engine} database costs this host {', '.join(costs)}.")
    best = [r for r in figures.ratios if r.engine == engine and r.what.startswith("memory")]
    if best:
        told_ratios = [f"{r.top} {r.estimate.point:.2f} times {_span(r.estimate)}" for r in best]
        said.append(f"Against a plain container that is {'; '.join(told_ratios)}.")
    fits = [f"{fitted(a.fit[-1])} as {a.arm}" for a in arms.values() if a.fit]
    if fits:
        budget = next(r["budget"] for a in arms.values() for r in a.fit)
        said.append(f"An enforced budget of {budget / GIB:.1f} GiB holds {', '.join(fits)}.")
    if any(a.emulated for a in arms.values()):
        said.append(
            "Virtual machines ran under emulation here: their memory is valid (the emulator's translation cache is "
            "left out of it and shown apart), their processor time, latency and start times are the emulator's, and "
            "are in no headline."
        )
    if slim := [a.arm for a in arms.values() if a.emulated and a.arm in SLIM]:
        said.append(
            f"The ratios of {' and '.join(slim)} hold under {manifest['tools'].get(PROGRAM) or 'this emulator'}, "
            "TCG, only: much of their memory is QEMU's own, and tables of the emulator are in it."
        )
    if any(a.slope and a.slope.how == "range" for a in arms.values()):
        said.append(
            f"With {manifest['spec']['profile']['blocks']} blocks the brackets are ranges, not confidence intervals."
        )
    return said


def fitted(row: dict[str, Any]) -> str:
    """How many fitted the budget: a number, or what the two attempts found where they did not agree."""
    if row["capped"]:
        return f"{row['n']} or more"
    few, many = sorted((row["found"], row["again"]))
    return str(many) if row["confirmed"] else f"{few} to {many} (not confirmed)"


def _hosts(engine: str, told: Summary) -> list[tuple[float, list[Planned]]]:
    kinds = [Kind(engine, engine, sum(fleet.DBOD.values()), 0.0, (), ())]
    arms = [name for e, name in told.arms if e == engine]
    return [
        (size, [plan.one(arm, kinds, (size * GIB, size * CORES_PER_GIB), told, 10.0) for arm in arms])
        for size in HOSTS
    ]


def _point(estimate: Estimate | None) -> float:
    return estimate.point if estimate else 0.0


def _mib(value: Estimate | float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, Estimate):
        if value.blocks == 1:
            return f"{value.point / MIB:.1f} MiB"
        return f"{value.point / MIB:.1f} MiB [{value.low / MIB:.1f}, {value.high / MIB:.1f}]"
    return f"{value / MIB:.1f}"


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None


def _median(values: Iterable[float], digits: int = 2) -> str:
    found = list(values)
    return f"{median(found):.{digits}f}" if found else "–"


def _span(value: Estimate) -> str:
    if value.blocks == 1:
        return "(one block)"
    if value.how == "range":
        return f"(range {value.low:.2f} to {value.high:.2f})"
    return f"[{value.low:.2f}, {value.high:.2f}]"


__all__ = ["Arm", "answer", "report"]
