"""What a cloud can have besides, each named once: what it brings, who can bring it, what it stands on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.core.errors import Unsupported

BACKUPS, DASHBOARD = "backups", "dashboard"


@dataclass(frozen=True)
class Addon:
    """One word of the setting ``with``.

    ``port`` is the name of the port that must lead to the machine from its first start on: a machine that runs cannot
    be given one.
    """

    name: str
    about: str
    installers: tuple[str, ...]
    port: str


ADDONS = (
    Addon(BACKUPS, "Swift, for Trove's backups, replicas and logs", ("packages",), "object-store"),
    Addon(DASHBOARD, "Horizon with Trove's panels", ("packages",), "dashboard"),
)
BY_NAME = {addon.name: addon for addon in ADDONS}


def check(names: Iterable[str], installer: str) -> None:
    """Raises: Unsupported, if the installer has not all of them."""
    for name in names:
        if installer not in (having := BY_NAME[name].installers):
            raise Unsupported(
                f"The {installer} installer has no {name} yet.",
                f"Leave out --with={name}, or give --installer={' or '.join(having)}.",
            )
