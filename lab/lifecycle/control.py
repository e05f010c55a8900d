"""What is done with the machine of a lab: enter it, lead a port to it, stop it, keep it."""

from __future__ import annotations

import shlex

from lab.core import process, state
from lab.core.errors import BadValue, NotUp
from lab.core.ssh import free_port
from lab.core.waits import silent
from lab.engines.sql import PORTS
from lab.lifecycle.first_database import client_file
from lab.lifecycle.labs import home_of, machine_of


def ssh(name: str, command: str) -> None:
    """Become the stock ssh client on the machine; with ``command``, run it there and end with its exit code."""
    home = home_of(name)
    process.replace(*machine_of(home).address().ssh_argv(*([command] if command else [])))


def tunnel(name: str, datastore: str, port: int) -> None:
    """Become the ssh that leads 127.0.0.1:``port`` to the database, and says so once it does.

    Raises: BadValue, NotUp.
    """
    if datastore not in PORTS:
        raise BadValue("datastore", datastore, "one of " + ", ".join(PORTS), "flag")
    home = home_of(name)
    known = home.state.get(f"database.{datastore}")
    if not known or "address" not in known:
        raise NotUp(
            f"Lab {name!r} has no {datastore} instance.", f"./inv up --name={name} --datastore={datastore} makes one."
        )
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
