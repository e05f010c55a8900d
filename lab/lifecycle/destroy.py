"""Labs removed with everything that they made, found by label and not by their state files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.containers import client, ownership
from lab.core import state
from lab.core.errors import NoSuchLab, Refused
from lab.core.home import Home, cache
from lab.core.run_log import RUN
from lab.core.waits import silent
from lab.host import dockerd
from lab.lifecycle import leftovers
from lab.machine import domains


@dataclass(frozen=True)
class Sweepers:
    """What the studies that are built on labs leave on this host, and take away themselves.

    ``of_lab`` are called with a lab's home before its folder goes, ``of_host`` when nothing of any lab is to stay;
    ``databases`` are those on demand in a home, as words (empty: none).
    """

    of_lab: Sequence[Callable[[Home], None]] = ()
    databases: Callable[[Home], str] = lambda _: ""
    of_host: Sequence[Callable[[], object]] = ()


def destroy(names: list[str] | None, sweepers: Sweepers, *, dry_run: bool, keep_cache: bool, yes: bool) -> list[str]:
    """Remove labs (None: all), found by label and not by their state files; what was removed, as words.

    With ``keep_cache`` images, the guest image cache and the lab's secrets stay for a quick next ``up``. Databases on
    demand are removed with ``yes`` only. Raises: NoSuchLab (nothing has that name), Refused (databases), LabBusy.
    """
    everything = names is None
    homes = Home.all() if names is None else [Home(name) for name in names]
    removed: list[str] = []
    found = {home.name: leftovers.leftovers(home, keep_cache) for home in homes}
    for home in homes:
        if not everything and not found[home.name]:
            raise NoSuchLab(home.name, [known.name for known in Home.all()])
        if not dry_run and not yes and (host := leftovers.host(home)):
            raise Refused(
                f"{home.name!r} is on {host}: its packages, files and databases there would go, the machine stays.",
                f"./inv destroy --name={home.name} --yes takes them away.",
            )
        if not dry_run and not yes and (databases := sweepers.databases(home)):
            raise Refused(
                f"{home.name!r} holds databases on demand with their backups: {databases}.",
                f"./inv destroy --name={home.name} --yes removes them for good.",
            )
    for home in homes:
        removed += found[home.name]
        if dry_run or not home.path.exists():
            if not dry_run:
                leftovers.sweep(home, keep_cache, silent)
            continue
        with state.lock(home.path, home.name):
            leftovers.sweep(home, keep_cache, silent)
            for sweep in sweepers.of_lab:
                sweep(home)
            if keep_cache:
                _forget_but_secrets(home)
            else:  # under the lock: another command must not begin in a folder that is about to go
                RUN.forget()
                shutil.rmtree(home.path)
    others = {home.name for home in Home.all()} | domains.users()
    if client.usable() is None:
        others |= ownership.users()  # labs of other checkouts
    if not keep_cache and (everything or not others - {home.name for home in homes}):
        removed += _cached(None if everything else client.SHARED, sweepers, dry_run)
    return removed


def _cached(label: str | None, sweepers: Sweepers, dry_run: bool) -> list[str]:
    """What labs leave for the next one: images that any lab may use, files, and the engine if it is ours."""
    found, owner = [f"folder {cache()}"], Home("any").owner
    if client.usable() is None:
        found += ownership.labelled(label, owner)
    found += leftovers.boxes()
    if not dry_run:
        leftovers.remove_boxes()
        if client.usable() is None:
            if label is None:
                for sweep in sweepers.of_host:
                    sweep()
            ownership.remove(label, owner)
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
