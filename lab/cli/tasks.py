"""The tasks: parse, call, print. No logic here.

Modules are imported inside the tasks: ./inv --help must not wait for libraries that it does not use.
"""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from lab.cli import invocation
from lab.config.settings import Merged


@invocation.spec_task
def up(
    c: Context,
    merged: Merged,
    dry_run: bool = False,
    events: bool = False,
    json: bool = False,
    from_manifest: str = "",
) -> None:
    """Make the lab, or go on making it: ends with a database that answers SQL.

    --dry-run says what would be done; --events tells progress as JSON lines; --from-manifest repeats a recorded run.
    """
    from lab.cli import show
    from lab.lifecycle import up

    if dry_run:
        show.plan(up.dry_run(merged, from_manifest), json)
        return
    show.result(up.up(merged, from_manifest, show.progress(events)), json)


@invocation.task
def status(c: Context, name: str | None = None, json: bool = False) -> None:
    """Say what is: machine, services, agents, instances, and where the state file is behind."""
    from lab.cli import show
    from lab.lifecycle import labs

    show.status(labs.status(invocation.lab_name(name)), json)


@invocation.task
def list(c: Context, json: bool = False) -> None:
    """List the labs on this host."""
    from lab.cli import show
    from lab.lifecycle import labs

    show.labs(labs.labs(), json)


@invocation.task
def ssh(c: Context, name: str | None = None, command: str = "") -> None:
    """Open a shell on the lab's machine, or run one command there (-c)."""
    from lab.lifecycle import control

    control.ssh(invocation.lab_name(name), command)


@invocation.task
def tunnel(c: Context, name: str | None = None, datastore: str = "mariadb", port: int = 0) -> None:
    """Lead a port of 127.0.0.1 to the lab's database, for stock clients, until Ctrl-C."""
    from lab.lifecycle import control

    control.tunnel(invocation.lab_name(name), datastore, port)


@invocation.task
def logs(c: Context, name: str | None = None, out: str = "") -> None:
    """Collect one bundle of what every part said, without secrets."""
    from lab.cli import show
    from lab.lifecycle import logs as log_bundle

    show.bundle(*log_bundle.of_lab(invocation.lab_name(name), Path(out) if out else None))


@invocation.task
def halt(c: Context, name: str | None = None) -> None:
    """Stop the machine; ./inv up starts it again."""
    from lab.lifecycle import control

    control.halt(invocation.lab_name(name))


@invocation.task
def snapshot(c: Context, action: str, label: str = "", name: str | None = None, json: bool = False) -> None:
    """Keep or bring back the whole machine: save, restore or delete --label=LABEL; list."""
    from lab.cli import show
    from lab.lifecycle import control

    show.snapshots(control.snapshot(invocation.lab_name(name), action, label), json)


@invocation.task
def destroy(
    c: Context,
    name: str | None = None,
    all: bool = False,
    dry_run: bool = False,
    keep_cache: bool = False,
    json: bool = False,
) -> None:
    """Remove the lab and everything that it made (--all: every lab, and what they cached)."""
    from lab.cli import show
    from lab.cli.sweepers import SWEEPERS
    from lab.lifecycle import destroy as destruction

    names = None if all else [invocation.lab_name(name)]
    show.removed(destruction.destroy(names, SWEEPERS, dry_run=dry_run, keep_cache=keep_cache), dry_run, json)


@invocation.task
def doctor(c: Context, json: bool = False) -> None:
    """Probe what this host can do; each finding with its fix."""
    from lab import doctor
    from lab.cli import show

    show.findings(doctor.probe(), json)


@invocation.task
def releases(c: Context, json: bool = False) -> None:
    """Print the matrix: release, distributions, Trove, nova-docker, and how each pair is proven."""
    from lab.cli import show
    from lab.config import matrix

    show.matrix(matrix.as_json(), matrix.table(), json)


@invocation.task
def render(c: Context, distro: str, release: str, hypervisor: str = "qemu", out: str = "") -> None:
    """Render DevStack's local.conf with Trove for a release on a distribution (--out: into a file)."""
    from lab.cli import show
    from lab.install.devstack import localconf

    show.line(localconf.render_command(distro, release, hypervisor, out).rstrip("\n"))


@invocation.task
def mirror(
    c: Context,
    action: str,
    mirror: str = "",
    release: str = "",
    source: str = "",
    archive: str = "",
    name: str | None = None,
    json: bool = False,
) -> None:
    """What a host needs that reaches no git server, or nothing: sync, keep, status, export, import (--mirror=DIR).

    sync takes git's part of --release (one or several, with commas) from --source; keep takes packages and images
    from the lab --name, made by DevStack; export and import carry all of it in one file, --archive.
    """
    from lab.cli import show
    from lab.lifecycle import mirrors

    wanted = mirrors.Request(action, mirror, invocation.words(release), source, archive, invocation.lab_name(name))
    show.mirror(mirrors.command(wanted, show.note), json)


@invocation.task
def image_build(c: Context, distro: str = "debian13") -> None:
    """Build the Trove guest image alone (cached by content); prints its path."""
    from lab.cli import show
    from lab.guest import standalone

    show.line(str(standalone.build(distro, show.note)))


@invocation.task
def image_boot(c: Context, distro: str = "debian13") -> None:
    """Boot the Trove guest image in QEMU until its agent dials the message queue."""
    from lab.cli import show
    from lab.guest import standalone

    show.line(standalone.boot(distro, show.note))


@invocation.task
def density_bench(
    c: Context,
    engine: str = "mariadb",
    arms: str = "",
    budget: str = "",
    quick: bool = False,
    seed: int = 1,
    objective: float = 0.0,
    answer_seconds: float = 300.0,
    out: str = "",
    name: str | None = None,
    events: bool = False,
) -> None:
    """Measure how many databases fit, as VMs and as containers (--quick: at most 15 minutes, else 60).

    --budget: memory to fit databases into, as 2GiB; --objective: p95 in ms that databases must keep (0: twice what
    one alone has); --answer-seconds: how long one may take to its first answer; --out: where, or what to go on with;
    --name: the lab that the arms trove-vm and trove-container are measured in.
    """
    from lab.cli import show
    from lab.density.measure import bench, profile
    from lab.report import density

    spec = profile.spec(invocation.words(engine), invocation.words(arms), budget, quick=quick, seed=seed,
                        objective_ms=objective, answer_seconds=answer_seconds)  # fmt: skip
    folder, lab = invocation.folder(out, "density"), invocation.lab_name(name)
    show.line(str(density.report(bench.bench(spec, folder, show.progress(events), lab=lab))))


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
    """Render a bench's page and plots again from its raw rows alone."""
    from lab.cli import show
    from lab.report import density

    show.line(str(density.report(Path(results))))


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
    off: bool = False,
    name: str | None = None,
    json: bool = False,
) -> None:
    """One of DBOD's operations by hand: create, backup, restore, clone, config-put, list … (--name: Trove's lab).

    --memory: MiB; --time: UTC, as 2026-01-31_23:59:59; --settings: key=value,key=value; --off ends a maintenance or
    automatic backups; --every hours from --hour (UTC) of week day --day (0: Monday) on, of which --keep stay.
    """
    from lab.cli import show
    from lab.dbod import command

    wanted = command.request(
        operation, settings, instance=instance, engine=engine, memory=memory, port=port, owner=owner,
        category=category, backup=backup, time=time, target=target, version=version, on=not off,
        every=every, hour=hour, day=day, keep=keep,
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


@invocation.spec_task
def show_config(c: Context, merged: Merged) -> None:
    """Print every setting, its value and where that came from."""
    invocation.emit(invocation.show_config(merged))


@invocation.task
def lock(c: Context, upgrade: bool = False) -> None:
    """Write requirements.lock and requirements-dev.lock from pyproject.toml (--upgrade: newest versions)."""
    from lab.cli import lock as locks
    from lab.cli import show

    for path in locks.lock(upgrade=upgrade, note=show.note):
        show.line(str(path))


@invocation.task
def test(c: Context, all: bool = False, unit: bool = False, only: str = "") -> None:
    """Run the tests: unit and integration (--unit: offline only; --all: the real lab too; --only: pytest's -k)."""
    from lab.cli import show, test_run

    test_run.run(everything=all, unit=unit, only=only, note=show.note)
