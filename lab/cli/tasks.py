"""The tasks of labs: parse, call, print. No logic here.

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
    yes: bool = False,
    json: bool = False,
) -> None:
    """Remove the lab and everything that it made (--all: every lab, and what they cached).

    --yes: databases on demand too, with their backups.
    """
    from lab.cli import show
    from lab.cli.sweepers import SWEEPERS
    from lab.lifecycle import destroy as destruction

    names = None if all else [invocation.lab_name(name)]
    show.removed(destruction.destroy(names, SWEEPERS, dry_run=dry_run, keep_cache=keep_cache, yes=yes), dry_run, json)


@invocation.task
def doctor(c: Context, json: bool = False) -> None:
    """Probe what this host can do; each finding with its fix."""
    from lab import doctor
    from lab.cli import show

    show.findings(doctor.probe(), json)


@invocation.task
def releases(c: Context, distro: str = "", release: str = "", json: bool = False) -> None:
    """Print the matrix: which release on which distribution, and how each is proven; --json tells all of it."""
    from lab.cli import show
    from lab.config import matrix

    found = matrix.pairs(distro, release)
    show.matrix(matrix.as_json(found), matrix.table(found), json)


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
def test(
    c: Context, all: bool = False, unit: bool = False, tier: str = "", only: str = "", coverage: bool = False
) -> None:
    """Run the tests: unit and integration (--unit: offline only; --all: the real lab too; --only: pytest's -k).

    --tier: lint, unit, integration or e2e alone; --coverage: how much of lab/ they run, by line and branch.
    """
    from lab.cli import show, test_run

    test_run.run(everything=all, unit=unit, tier=tier, only=only, coverage=coverage, note=show.note)
