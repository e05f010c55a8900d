"""The tasks of the studies that stand on labs: density, and Database on Demand. No logic here.

Modules are imported inside the tasks: ./inv --help must not wait for libraries that it does not use.
"""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from lab.cli import invocation


@invocation.task
def density_bench(
    c: Context,
    engine: str = "mariadb",
    arms: str = "",
    budget: str = "",
    quick: bool = False,
    seed: int = 1,
    objective: float = 20.0,
    answer_seconds: float = 300.0,
    out: str = "",
    name: str | None = None,
    events: bool = False,
    allow_dirty: bool = False,
) -> None:
    """Measure how many databases fit, as VMs and as containers (--quick: at most 15 minutes, else 60).

    --budget: memory to fit databases into, e.g. 2GiB; --objective: the p95 in ms that databases must keep, as well as
    twice the p95 of one alone; --answer-seconds: how long a database may take to its first answer; --out: a folder,
    new or of a run to continue; --name: the lab of the arms trove-vm and trove-container; --allow-dirty: measure a
    modified checkout.
    """
    from lab.cli import show
    from lab.density.measure import bench, profile
    from lab.report import density

    spec = profile.spec(invocation.words(engine), invocation.words(arms), budget, quick=quick, seed=seed,
                        objective_ms=objective, answer_seconds=answer_seconds)  # fmt: skip
    folder, lab = invocation.folder(out, "density"), invocation.lab_name(name)
    made = bench.bench(spec, folder, show.progress(events), lab=lab, allow_dirty=allow_dirty)
    show.line(str(density.report(made)))


@invocation.task
def density_fleet(c: Context, fleet: str = "dbod", out: str = "", events: bool = False) -> None:
    """Bring a whole fleet up as containers on this host, until every database answers, and take it down again."""
    from lab.cli import show
    from lab.density.measure import fleet as whole

    for line in whole.summary(whole.fleet(fleet, invocation.folder(out, "fleet"), show.progress(events))):
        show.line(line)


@invocation.task
def density_plan(c: Context, fleet: str = "dbod", host: str = "", arms: str = "", results: str = "") -> None:
    """Plan the hosts for a fleet: exactly, with a bound, and by first and best fit (--host=memory=256GiB,cpus=64).

    --results: the bench folders to take footprints from, comma-separated; by default, the project's own run.
    """
    from lab.density.planning import plan

    invocation.emit(
        [p.as_dict() for p in plan.plan(fleet, host, plan.folders(invocation.words(results)), invocation.words(arms))]
    )


@invocation.task
def density_report(c: Context, results: str) -> None:
    """Render a run's page again from its raw rows; for several runs, comma-separated, also what holds across them."""
    from lab.cli import show
    from lab.core import raw_rows
    from lab.density.analysis import runs, summary
    from lab.report import density

    folders = [Path(name) for name in invocation.words(results)]
    for folder in folders:
        show.line(str(density.report(folder)))
    if len(folders) > 1:
        invocation.emit(runs.across([summary.summarise(raw_rows.read(folder)) for folder in folders]))


@invocation.task
def dbod(
    c: Context,
    operation: str,
    instance: str = "",
    provider: str = "docker-host",
    engine: str = "mariadb",
    memory: int = 256,
    port: int = 0,
    owner: str = "",
    category: str = "TEST",
    backup: str = "",
    time: str = "",
    target: str = "",
    version: str = "",
    settings: str = "",
    every: int = 24,
    hour: int = 0,
    day: int = 0,
    keep: int = 0,
    days: int = 0,
    drill: int = 0,
    disk: int = 0,
    off: bool = False,
    name: str | None = None,
    json: bool = False,
) -> None:
    """Run one of DBOD's operations: create, backup, restore, clone, config-put, list … (--name: the lab of Trove).

    --memory: in MiB; --disk: in GiB, for data and log each; --time: e.g. 2026-01-31T23:59:59Z; --settings:
    key=value,key='a,b'. Automatic backups run every --every hours, counted from --hour (UTC) of weekday --day (0:
    Monday); --keep of them are kept, and one is tried every --drill days. --off ends maintenance or automatic
    backups. --days: how long a backup that was asked for is kept.
    """
    from lab.cli import show
    from lab.dbod import command

    wanted = command.request(
        operation, settings, instance=instance, engine=engine, memory=memory, port=port, owner=owner,
        category=category, backup=backup, time=time, target=target, version=version, on=not off,
        every=every, hour=hour, day=day, keep=keep, days=days, drill=drill, disk=disk,
    )  # fmt: skip
    show.job(command.run(wanted, provider, invocation.lab_name(name), show.note), json)


@invocation.task
def dbod_serve(c: Context, provider: str = "docker-host", port: int = 8750, name: str | None = None) -> None:
    """Serve DBOD's REST API and web page on 127.0.0.1 until Ctrl-C: durable jobs, schedules, the state checker."""
    from lab.cli import show
    from lab.dbod.serve import server

    server.serve(provider, invocation.lab_name(name), port, show.note)


@invocation.task
def dbod_evaluate(
    c: Context, providers: str = "", engines: str = "", out: str = "", name: str | None = None,
    faults: bool = True, events: bool = False,
) -> None:  # fmt: skip
    """Try every requirement of DBOD on every provider and engine, then break things; the result is a page."""
    from lab.cli import show
    from lab.dbod.evaluation import evaluate
    from lab.report import dbod as page

    chosen = invocation.words(providers), invocation.words(engines)
    folder = invocation.folder(out, "dbod")
    evaluate.evaluate(*chosen, invocation.lab_name(name), folder, show.progress(events), broken=faults)
    show.line(str(page.report(folder)))
