"""What DevStack cannot bring to a good end here, told before anything is made."""

from __future__ import annotations

from pathlib import Path

from lab.config import catalog
from lab.config.rows import listed
from lab.config.settings import LabSpec
from lab.containers import client
from lab.core.errors import NothingKept, Unsupported
from lab.core.home import Home
from lab.host import git_mirrors, pypi
from lab.host.git_mirrors import GIT_BASE
from lab.install.devstack import kept
from lab.machine import warm


def check(spec: LabSpec) -> None:
    """Refuse what cannot end well, before anything is made.

    Raises: BadValue, MirrorLacks, NothingKept, GitUnreachable, Unsupported.
    """
    rows = catalog.load()
    release = rows.release(spec.release)
    if spec.provider == "ssh":
        raise Unsupported(
            "stack.sh changes more of a machine of yours than destroy could take back.",
            f"./inv render --distro={spec.distro} --release={spec.release} writes its local.conf, for stack.sh by "
            "hand; --installer=packages is for a machine of yours.",
        )
    if not rows.distro(spec.distro).container:
        theirs = listed(d.name for d in rows.distros if d.container)
        nearest = rows.nearest(spec.release, ("docker",))
        raise Unsupported(
            f"The lab makes no machine of {spec.distro}; it would drive stack.sh on {theirs}.",
            f"./inv render --distro={spec.distro} --release={spec.release} writes local.conf for a machine of yours. "
            f"The nearest that the lab installs itself: ./inv up --installer=devstack --release={nearest}",
        )
    if spec.mirror:
        if spec.provider != "docker":
            raise Unsupported(
                f"A mirror is not brought into machines of provider {spec.provider} yet.", "Give --provider=docker."
            )
        git_mirrors.check(Path(spec.mirror), release)
        there = kept.folder(Path(spec.mirror), spec)
        # a lab that starts from its committed machine takes nothing from anywhere
        starts_warm = client.usable() is None and bool(warm.there(Home(spec.name)))
        if kept.read(there) is None and not starts_warm and (why := pypi.unreachable()):
            raise NothingKept(there, why, spec.mirror)
    else:
        git_mirrors.reachable(release.devstack.url or f"{GIT_BASE}/openstack/devstack")
