"""What is done with a lab that is there: ask it, enter it, stop it, keep it, remove it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

from lab.config import settings
from lab.containers import client, ownership
from lab.core import process, state
from lab.core.errors import BadValue, GaveUp, NoSuchLab
from lab.core.home import Home, cache
from lab.core.ssh import Remote, free_port
from lab.core.waits import silent
from lab.dbod.dockerhost import storage
from lab.density.dockers import Dockers
from lab.density.measure import journal
from lab.engines.sql import PORTS
from lab.host import dockerd
from lab.lifecycle import leftovers
from lab.lifecycle import logs as log_bundle
from lab.lifecycle import status as status_now
from lab.lifecycle.first_database import client_file
from lab.machine import providers
from lab.machine.contract import Machine


def home_of(name: str) -> Home:
    """The lab ``name``. Raises: NoSuchLab."""
    home = Home(name)
    if not (home.path / "state.json").exists():
        raise NoSuchLab(name, [h.name for h in Home.all()])
    return home


def machine_of(home: Home) -> Machine:
    """The lab's machine, whatever its provider. Raises: GaveUp, where the lab was never started."""
    recorded = home.state.get("spec")
    if not recorded:
        raise GaveUp("the machine", "./inv up has not made it yet", f"./inv up --name={home.name}")
    spec = settings.from_dict(recorded, "the lab's state")
    return providers.of(home, spec.provider, spec.machine_timeout)


def status(name: str) -> dict[str, Any]:
    """The lab's status, asked now. Raises: NoSuchLab."""
    home = home_of(name)
    where = machine_of(home).status() if home.state.get("spec") else "absent"
    return status_now.of(home, where)


def labs() -> list[dict[str, str]]:
    """Every lab of this checkout."""
    rows = []
    for home in Home.all():
        spec = home.state.get("spec", {})
        where = machine_of(home).status() if spec else "absent"
        rows.append(
            {
                "name": home.name,
                "machine": where,
                "provider": spec.get("provider", ""),
                "release": spec.get("release", ""),
            }
        )
    return rows


def ssh(name: str, command: str) -> None:
    """Become the stock ssh client on the machine; with ``command``, run it there and end with its exit code."""
    home = home_of(name)
    process.replace(*machine_of(home).address().ssh_argv(*([command] if command else [])))


def tunnel(name: str, datastore: str, port: int) -> None:
    """Become the ssh that leads 127.0.0.1:``port`` to the database, and says so once it does.

    Raises: BadValue, GaveUp.
    """
    if datastore not in PORTS:
        raise BadValue("datastore", datastore, "one of " + ", ".join(PORTS), "flag")
    home = home_of(name)
    known = home.state.get(f"database.{datastore}")
    if not known or "address" not in known:
        raise GaveUp("the tunnel", f"there is no {datastore} instance", f"./inv up --datastore={datastore}")
    port = port or free_port()
    where = f"127.0.0.1:{port}"
    credentials = client_file(home, datastore)
    command = (
        f"PGPASSFILE={credentials} psql -h 127.0.0.1 -p {port} -U labuser labdb"
        if datastore == "postgresql"
        else f"mariadb --defaults-extra-file={credentials} -h 127.0.0.1 -P {port} labdb"
    )
    there = f"{known['address']}:{PORTS[datastore]}"
    said = f"{where} leads to {there} until Ctrl-C; try: {command}"
    options = ["ExitOnForwardFailure=yes", "PermitLocalCommand=yes", f"LocalCommand=echo {shlex.quote(said)}"]
    forward = [word for option in options for word in ("-o", option)]
    process.replace(*machine_of(home).address().ssh_argv("-N", *forward, "-L", f"{where}:{there}"))


def bundle(name: str, target: Path | None) -> tuple[Path, list[str]]:
    """The log bundle; works without a machine too. Raises: NoSuchLab."""
    home = home_of(name)
    remote = None
    if home.state.get("spec") and machine_of(home).status() == "running":
        remote = Remote(machine_of(home).address())
    return log_bundle.bundle(home, remote if remote and remote.answers() else None, target)


def halt(name: str) -> None:
    """Stop the machine. Raises: NoSuchLab, LabBusy."""
    home = home_of(name)
    with state.lock(home.path, name):
        machine_of(home).halt(silent)


def snapshot(name: str, action: str, label: str) -> list[str]:
    """``save``, ``restore`` or ``delete`` a snapshot; the labels there are afterwards. Raises: BadValue."""
    home = home_of(name)
    there = machine_of(home)
    with state.lock(home.path, name):
        if action == "save":
            there.save(label, silent)
        elif action in {"restore", "delete"}:
            if label not in there.snapshots():
                raise BadValue("label", label, f"one of {', '.join(there.snapshots()) or 'none yet'}", "snapshot")
            if action == "restore":
                there.restore(label, silent)
            else:
                there.forget(label)
        elif action != "list":
            raise BadValue("action", action, "save, restore, delete or list", "snapshot")
    return there.snapshots()


def destroy(names: list[str] | None, *, dry_run: bool, keep_cache: bool) -> list[str]:
    """Remove labs (None: all), found by label and not by their state files; what was removed, as words.

    With ``keep_cache`` images, the guest image cache and the lab's secrets stay for a quick next ``up``.
    """
    everything = names is None
    homes = Home.all() if names is None else [Home(name) for name in names]
    removed: list[str] = []
    for home in homes:
        removed += leftovers.leftovers(home, keep_cache)
        if dry_run or not home.path.exists():
            if not dry_run:
                leftovers.sweep(home, keep_cache, silent)
            continue
        with state.lock(home.path, home.name):
            leftovers.sweep(home, keep_cache, silent)
            storage.release(home)
            if keep_cache:
                _forget_but_secrets(home)
        if not keep_cache:
            shutil.rmtree(home.path)
    others = {home.name for home in Home.all()}
    if client.usable() is None:
        others |= ownership.users()  # labs of other checkouts
    if not keep_cache and (everything or not others - {home.name for home in homes}):
        removed += _cached(None if everything else client.SHARED, dry_run)
    return removed


def _cached(label: str | None, dry_run: bool) -> list[str]:
    """What labs leave for the next one: images that any lab may use, files, and the engine if it is ours."""
    found = [f"folder {cache()}"]
    if client.usable() is None:
        found += ownership.labelled(label)
    found += leftovers.boxes()
    if not dry_run:
        leftovers.remove_boxes()
        if client.usable() is None:
            if label is None:
                journal.sweep(Dockers("destroy"))
            ownership.remove(label)
        if dockerd.stop(silent):
            found.append("process dockerd (the lab had started it)")
        shutil.rmtree(cache())
    return found


def _forget_but_secrets(home: Home) -> None:
    for path in home.path.iterdir():
        # the key pair too: the guests of a committed cloud know it
        if path.name in {"secrets.json", "id_ed25519", "id_ed25519.pub", "lock", "lock.holder"}:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
