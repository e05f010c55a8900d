"""OpenStack from PyPI: the steps and templates of Debian's packages, on an image that has a release's wheels."""

from __future__ import annotations

from lab.guest import agent
from lab.install.contract import Ground
from lab.install.packages import Code, Packages
from lab.install.wheels.units import UNITS
from lab.machine import image

VENV = "/opt/openstack"
LOOK_UP_ONCE = ("nova-scheduler", "nova-conductor", "nova-compute")
"""From Nova 34 on: one that asked for Placement before there was a catalogue holds it for absent until its end."""


def make(ground: Ground) -> Packages:
    """The installer, for the lab on ``ground``."""
    release = ground.spec.release
    return Packages(
        ground,
        code=Code(
            image.wheels(release),
            f"{VENV}/lib/python3.x/site-packages",
            f"{VENV}/bin/python",
            tuple(unit.file(VENV) for unit in UNITS),
            LOOK_UP_ONCE,
        ),
        agent=agent.from_lock(release),
        image_title="build the machine's image with OpenStack's wheels",
    )
