"""What a run of the tests that was killed left in Docker: to a later run it would be another checkout's lab."""

from __future__ import annotations

import re

from lab.containers import client, ownership
from lab.core.home import LABEL, OWNER

NAMES = re.compile(r"(itest|dbod-itest|dbod-travel|dbod-serve-itest|e2e)(-|$)")
"""Names that labs and services have in tests, and in tests only."""


def clear() -> list[str]:
    """Remove what Docker holds of labs with such names; the names, sorted."""
    if client.usable() is not None:
        return []
    with client.connect() as daemon:
        labels = [dict(c.labels) for c in daemon.containers.list(all=True, ignore_removed=True)]
        labels += [dict(n.attrs.get("Labels") or {}) for n in daemon.networks.list()]
    found = sorted({one[LABEL] for one in labels if OWNER in one and NAMES.match(one.get(LABEL, ""))})
    for name in found:
        ownership.remove(name)
    return found
