"""The units of services that come as wheels, with the names that Debian's have: scripts and templates know those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from lab.install.render import File
from lab.install.site import METADATA_PORT, PORTS

TEMPLATE = Path(__file__).with_name("service.j2")
ALONE = "--processes 2 --threads 1 --add-header Connection:close"
"""Where Debian's file says less. Two processes: an upload lasts, and others ask meanwhile. Neutron is not thread-safe
under uwsgi. uwsgi closes connections without a word otherwise."""


@dataclass(frozen=True)
class Unit:
    """A service of ``project``, run as that user unless ``user`` says another.

    ``command`` is a program of the virtual environment with its arguments; with a ``port``, a module whose WSGI
    application uwsgi serves there. How many processes and threads it has say ``options``, or else the service's file
    in /etc/default, which Debian's unit reads too.
    """

    name: str
    project: str
    command: str
    port: int = 0
    user: str = ""
    options: str = ""

    def file(self, venv: str) -> File:
        """The unit's file, for the virtual environment at the path ``venv``."""
        template = jinja2.Template(
            TEMPLATE.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        return File(f"/etc/systemd/system/{self.name}.service", template.render(unit=self, venv=venv), "root", 0o644)


_NOVA = "--config-file=/etc/nova/nova.conf"
_NEUTRON = "--config-file=/etc/neutron/neutron.conf"

UNITS = (
    Unit("keystone", "keystone", "keystone.wsgi.api", PORTS["identity"]),
    Unit("glance-api", "glance", "glance.wsgi.api", PORTS["image"], options=ALONE),
    Unit("placement-api", "placement", "placement.wsgi.api", PORTS["placement"]),
    Unit("nova-api", "nova", "nova.wsgi.osapi_compute", PORTS["compute"]),
    Unit("nova-api-metadata", "nova", "nova.wsgi.metadata", METADATA_PORT),
    Unit("nova-conductor", "nova", f"nova-conductor {_NOVA}"),
    Unit("nova-scheduler", "nova", f"nova-scheduler {_NOVA}"),
    Unit("nova-compute", "nova", f"nova-compute {_NOVA} --config-file=/etc/nova/nova-compute.conf"),
    Unit("neutron-api", "neutron", "neutron.wsgi.api", PORTS["network"], options=ALONE),
    Unit(
        "neutron-ovn-maintenance-worker",
        "neutron",
        f"neutron-ovn-maintenance-worker {_NEUTRON} --config-file=/etc/neutron/plugins/ml2/ml2_conf.ini",
    ),
    Unit(
        "neutron-ovn-metadata-agent",
        "neutron",
        f"neutron-ovn-metadata-agent {_NEUTRON} --config-file=/etc/neutron/neutron_ovn_metadata_agent.ini",
        user="root",
    ),
    Unit("trove-api", "trove", "trove-api --config-file=/etc/trove/trove.conf"),
    Unit("trove-taskmanager", "trove", "trove-taskmanager --config-file=/etc/trove/trove.conf"),
    Unit("trove-conductor", "trove", "trove-conductor --config-file=/etc/trove/trove.conf"),
)
