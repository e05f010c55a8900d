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

    --budget: memory to fit databases into, as 2GiB; --objective: p95 in ms that databases must keep, beside twice
    what one alone has; --answer-seconds: how long one may take to its first answer; --out: where, or what to go on
    with; --name: the lab of the arms trove-vm and trove-container; --allow-dirty: measure a changed checkout.
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
    """Bring a whole fleet up as containers on this host, every database answering, and take it down again."""
    from lab.cli import show
    from lab.density.measure import fleet as whole

    for line in whole.told(whole.fleet(fleet, invocation.folder(out, "fleet"), show.progress(events))):
        show.line(line)


@invocation.task
def density_plan(c: Context, fleet: str = "dbod", host: str = "", arms: str = "", results: str = "") -> None:
    """Plan the hosts that a fleet needs: exact with its bound, first and best fit (--host=memory=256GiB,cpus=64).

    --results: the bench folders whose measured footprints count, with commas; without it the project's own run.
    """
    from lab.density.planning import plan

    invocation.emit(
        [p.as_dict() for p in plan.plan(fleet, host, plan.folders(invocation.words(results)), invocation.words(arms))]
    )


@invocation.task
def density_report(c: Context, results: str) -> None:
    """Render a bench's page again from its raw rows; of several runs, with commas, also what holds over them."""
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
    """One of DBOD's operations by hand: create, backup, restore, clone, config-put, list … (--name: Trove's lab).

    --memory: MiB; --disk: GiB of data, and of log; --time: as 2026-01-31T23:59:59Z; --settings: key=value,key='a,b';
    --off ends a maintenance or automatic backups: every --every hours from --hour (UTC) of week day --day (0: Monday)
    on, --keep of them stay, one is tried every --drill days. --days: how long a backup made by hand stays.
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
    """Serve DBOD's REST and its page on 127.0.0.1 until Ctrl-C: durable jobs, schedules, the state checker."""
    from lab.cli import show
    from lab.dbod.serve import server

    server.serve(provider, invocation.lab_name(name), port, show.note)


@invocation.task
def dbod_evaluate(
    c: Context, providers: str = "", engines: str = "", out: str = "", name: str | None = None,
    faults: bool = True, events: bool = False,
) -> None:  # fmt: skip
    """Try every requirement of DBOD on every provider and engine, and what breaks; ends in a page."""
    from lab.cli import show
    from lab.dbod.evaluation import evaluate
    from lab.report import dbod as page

    chosen = invocation.words(providers), invocation.words(engines)
    folder = invocation.folder(out, "dbod")
    evaluate.evaluate(*chosen, invocation.lab_name(name), folder, show.progress(events), broken=faults)
    show.line(str(page.report(folder)))
