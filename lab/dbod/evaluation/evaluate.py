"""The evaluation: every requirement tried on every provider with every engine; gives raw rows."""

from __future__ import annotations

import json
import platform
import secrets
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from lab.core import run_manifest, version
from lab.core.errors import BadValue, Interrupted, LabError, NoSuchLab, NotUp
from lab.core.home import cache
from lab.core.progress import Progress
from lab.core.raw_rows import Rows, of, read
from lab.core.state import write_atomically
from lab.dbod import contract, jobs
from lab.dbod.contract import Operation, Outcome, Provider
from lab.dbod.dockerhost import storage
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.evaluation import cloud_strikes, faults, host_strikes, scenarios, trial
from lab.dbod.evaluation.scenario import Scenario
from lab.dbod.evaluation.trial import Trial, Unmet
from lab.dbod.providers import table
from lab.dbod.providers.shared import Shared
from lab.engines import sql
from lab.host import packages

TASK = "dbod-evaluate"
BREAKS = {"docker-host": host_strikes.FAULTS, "trove": cloud_strikes.FAULTS}
"""What can be broken under a provider; one server for all (``shared``) breaks as the container host's does."""
FAULTS = "faults"


def evaluate(
    names: Sequence[str], engines: Sequence[str], lab: str, out: Path, progress: Progress, *,
    broken: bool = True, install: bool = True,
) -> Path:  # fmt: skip
    """Try all, and with ``broken`` the faults; ``out`` then holds rows.jsonl and manifest.json. Nothing else stays.

    What ``out`` holds already as a whole, the requirements or the faults of a provider with an engine, is not tried
    again. A provider that is not there (no lab for Trove) is a row of kind ``absent``. Raises: BadValue, BadFile,
    MissingTools, DockerUnusable, Interrupted.
    """
    names, engines = list(names) or list(table.NAMES), list(engines) or list(contract.ENGINES)
    for name in names:
        table.checked(name)
    for engine in engines:
        if engine not in contract.ENGINES:
            raise BadValue("engines", engine, "of " + ", ".join(contract.ENGINES), "flag")
    begun: dict[str, Any] = {"version": 1, "sittings": []}
    if (out / run_manifest.FILE).exists():
        begun = run_manifest.read(out, TASK)
    if "sittings" not in begun:
        raise BadValue("out", str(out), "a new folder or one of an evaluation: this holds another run", "flag")
    if set(names) - {"trove"}:
        packages.ensure({"docker"}, lambda text: progress.note("host", text), cache() / "dbod-install.log", install)
    command = f"./inv {TASK} --providers={','.join(names)} --engines={','.join(engines)}"
    command += f" --name={lab}" * ("trove" in names) + " --no-faults" * (not broken)
    rows, run = Rows(out), f"dbod-{secrets.token_hex(3)}"
    begun["sittings"].append(sitting(command))
    write_atomically(out / run_manifest.FILE, json.dumps(begun, indent=1))
    try:
        for name in names:
            _provider(name, engines, lab, run, rows, progress, broken)
    except KeyboardInterrupt as stop:
        raise Interrupted(f"{command} --out={out}") from stop
    finally:
        progress.close()
    return out


def _provider(
    name: str, engines: Sequence[str], lab: str, run: str, rows: Rows, progress: Progress, broken: bool
) -> None:
    whole = {row["trial"] for row in of(read(rows.folder), "trial")} if rows.path.exists() else set()
    parts: dict[str, Callable[[Provider], None]] = {}
    for engine in engines:
        parts[_part(name, engine)] = partial(_scenarios, engine=engine, rows=rows, progress=progress)
        if broken and name in BREAKS:
            parts[_part(name, engine, FAULTS)] = partial(_faults, engine=engine, rows=rows, progress=progress)
    for part in [part for part in parts if part in whole]:
        progress.finished(part, "kept", 0)
        del parts[part]
    if not parts:
        return
    try:
        provider = table.provider(name, lab, lambda text: progress.note(name, text), host=run)
    except (NoSuchLab, NotUp) as error:
        rows.add("absent", provider=name, why=error.cause)
        return
    try:
        for part, begin in parts.items():
            rows.add("begin", trial=part)
            begin(provider)
            rows.add("trial", trial=part, status="ok")
        if isinstance(provider, DockerHost):
            rows.add("store", provider=name, how=storage.HOW[provider.store.kind])
    finally:
        _remove(provider, engines, list(parts)[-1], rows)


def _scenarios(provider: Provider, engine: str, rows: Rows, progress: Progress) -> None:
    step, name = _part(provider.name, engine), f"ev_{engine}"
    began, status = monotonic(), "failed"
    progress.started(step, f"trying {provider.name} with {engine}")
    created = False
    try:
        for one in scenarios.ALL:
            progress.note(step, one.title)
            if one is not scenarios.ALL[0] and not created:
                rows.add("scenario", **_row(Trial(provider, engine, name), one),
                         outcome=Outcome.FAILED, why="there is no instance to try it on", seconds=0.0)  # fmt: skip
                continue
            outcome = _scenario(Trial(provider, engine, name), one, rows)
            created = created or outcome in {Outcome.NATIVE, Outcome.WITH_WORK}
        status = "done"
    finally:
        progress.finished(step, status, monotonic() - began)


def _faults(provider: Provider, engine: str, rows: Rows, progress: Progress) -> None:
    step, name = _part(provider.name, engine, FAULTS), f"ev_{engine}"
    began, status = monotonic(), "failed"
    progress.started(step, f"breaking {provider.name} with {engine}")
    try:
        Trial(provider, engine, name).do(Operation.CREATE)
        for one in BREAKS[provider.name]:
            progress.note(step, one.title)
            row = rows.add("fault", trial=step, load=_load(), **faults.endured(Trial(provider, engine, name), one))
            if row["tried"] and row["by"] == "nobody":  # what is broken for good says nothing of the next fault
                Trial(provider, engine, name).do(Operation.DESTROY)
                Trial(provider, engine, name).do(Operation.CREATE)
        Trial(provider, engine, name).do(Operation.DESTROY)
        status = "done"
    except Interrupted:
        raise
    except (LabError, *sql.ERRORS) as error:
        rows.add("unbroken", trial=step, provider=provider.name, engine=engine, why=sql.said(error))
    finally:
        progress.finished(step, status, monotonic() - began)


def _scenario(tried: Trial, one: Scenario, rows: Rows) -> Outcome:
    error: Exception | None = None
    began = monotonic()
    try:
        one.run(tried)
    except Interrupted:
        raise
    except (LabError, Unmet, *sql.ERRORS) as found:
        error = found
    outcome, why, seconds = trial.ended(tried, error, one.operation)
    rows.add("scenario", **_row(tried, one), outcome=outcome, why=why, load=_load(), seconds=round(seconds, 3),
             whole_seconds=round(monotonic() - began, 3))  # fmt: skip
    return outcome


def _row(tried: Trial, one: Scenario) -> dict[str, Any]:
    return {
        "trial": _part(tried.provider.name, tried.engine),
        "provider": tried.provider.name,
        "engine": tried.engine,
        "requirement": one.id,
        "title": one.title,
        "operation": str(one.operation),
        "in_2014": one.in_2014,
        "evidence": tried.evidence,
        "operations": [
            {"operation": str(r.operation), "instance": r.instance, "outcome": str(r.outcome),
             "seconds": round(r.seconds, 3), "log": list(r.log)}
            for r in tried.results
        ],
    }  # fmt: skip


def _remove(provider: Provider, engines: Sequence[str], trial: str, rows: Rows) -> None:
    """Take away what the evaluation made, what a failed scenario left, too; what cannot go is a row of ``trial``."""
    if isinstance(provider, DockerHost | Shared):
        owner = provider if isinstance(provider, DockerHost) else provider.host
        owner.remove_all()
        shutil.rmtree(owner.home.path)
        return
    try:
        listed = jobs.value(provider, Operation.LIST).value
    except LabError as error:
        rows.add("left", trial=trial, provider=provider.name, instance="whatever there is", why=error.cause)
        return
    # the longest first: a replica before its master
    ours = tuple(f"ev_{engine}" for engine in engines)
    for name in sorted((one["name"] for one in listed if one["name"].startswith(ours)), key=len, reverse=True):
        try:
            jobs.value(provider, Operation.DESTROY, name)
        except LabError as error:
            rows.add("left", trial=trial, provider=provider.name, instance=name, why=error.cause)


def _part(provider: str, engine: str, what: str = "") -> str:
    """What is tried as a whole or again."""
    return f"{provider} {engine} {what}".strip()


def sitting(command: str) -> dict[str, Any]:
    """One command's part of an evaluation: when, what, with which commit, on which host."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": version.commit(),
        "kernel": platform.release(),
        "processors": psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
    }


def _load() -> float:
    """What else the host did: its load average over a minute."""
    return round(psutil.getloadavg()[0], 1)
