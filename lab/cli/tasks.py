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
    """Make the lab, or continue making it; ends with a database that answers SQL.

    --dry-run: show what would be done; --events: progress as JSON lines; --from-manifest: repeat a recorded run.
    """
    from lab.cli import show
    from lab.lifecycle import up

    if dry_run:
        show.plan(up.dry_run(merged, from_manifest), json)
        return
    show.result(up.up(merged, from_manifest, show.progress(events)), json)


@invocation.task
def status(c: Context, name: str | None = None, json: bool = False) -> None:
    """Show machine, services, agents and instances as they are now, and where the state file is out of date."""
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
    """Forward a port of 127.0.0.1 to the lab's database, for stock clients, until Ctrl-C."""
    from lab.lifecycle import control

    control.tunnel(invocation.lab_name(name), datastore, port)


@invocation.task
def logs(c: Context, name: str | None = None, out: str = "") -> None:
    """Collect the logs of every part in one bundle, without secrets."""
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
    """Save or restore the whole machine: save, restore or delete --label=LABEL; list."""
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

    --yes: databases on demand as well, with their backups.
    """
    from lab.cli import show
    from lab.cli.sweepers import SWEEPERS
    from lab.lifecycle import destroy as destruction

    names = None if all else [invocation.lab_name(name)]
    show.removed(destruction.destroy(names, SWEEPERS, dry_run=dry_run, keep_cache=keep_cache, yes=yes), dry_run, json)


@invocation.task
def doctor(c: Context, json: bool = False) -> None:
    """Probe what this host can do; every finding comes with its fix."""
    from lab import doctor
    from lab.cli import show

    show.findings(doctor.probe(), json)


@invocation.task
def releases(c: Context, distro: str = "", release: str = "", json: bool = False) -> None:
    """Print which release runs on which distribution, and how each is proven; --json has all the details."""
    from lab.cli import show
    from lab.config import matrix

    found = matrix.pairs(distro, release)
    show.matrix(matrix.as_json(found), matrix.table(found), json)


@invocation.task
def render(c: Context, distro: str, release: str, hypervisor: str = "qemu", out: str = "") -> None:
    """Render DevStack's local.conf with Trove for a release on a distribution (--out: to a file)."""
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
    """Mirror what a host without a git server, or without any network, needs: sync, keep, status, export, import.

    All of them take --mirror=DIR. sync fetches the git repositories of --release (comma-separated) from --source;
    keep takes packages and images from the lab --name, made by DevStack; export and import move all of it as one
    file, --archive.
    """
    from lab.cli import show
    from lab.lifecycle import mirrors

    wanted = mirrors.Request(action, mirror, invocation.words(release), source, archive, invocation.lab_name(name))
    show.mirror(mirrors.command(wanted, show.note), json)


@invocation.task
def image_build(c: Context, distro: str = "debian13") -> None:
    """Build just the Trove guest image (cached by content) and print its path."""
    from lab.cli import show
    from lab.guest import standalone

    show.line(str(standalone.build(distro, show.note)))


@invocation.task
def image_boot(c: Context, distro: str = "debian13") -> None:
    """Boot the Trove guest image in QEMU until its agent calls the message queue."""
    from lab.cli import show
    from lab.guest import standalone

    show.line(standalone.boot(distro, show.note))


@invocation.spec_task
def show_config(c: Context, merged: Merged) -> None:
    """Print every setting, its value, and where the value comes from."""
    invocation.emit(invocation.show_config(merged))


@invocation.task
def lock(c: Context, release: str = "", upgrade: bool = False) -> None:
    """Write requirements.lock and requirements-dev.lock from pyproject.toml (--upgrade: to the newest versions).

    --release: the lock of that OpenStack release instead, locks/RELEASE.lock from locks/RELEASE.in.
    """
    from lab.cli import lock as locks
    from lab.cli import show

    made = [locks.lock_release(release, upgrade=upgrade, note=show.note)] if release else []
    for path in made or locks.lock(upgrade=upgrade, note=show.note):
        show.line(str(path))


@invocation.task
def test(
    c: Context, all: bool = False, unit: bool = False, tier: str = "", only: str = "", coverage: bool = False
) -> None:
    """Run the unit and integration tests (--unit: offline ones only; --all: the real lab too; --only: pytest's -k).

    --tier: just lint, unit, integration or e2e; --coverage: measure how much of lab/ they run, by line and branch.
    """
    from lab.cli import show, test_run

    test_run.run(everything=all, unit=unit, tier=tier, only=only, coverage=coverage, note=show.note)
