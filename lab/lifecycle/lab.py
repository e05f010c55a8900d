"""The objects that one lab is made of; each is made when first used, so that nothing is asked before it is there."""

from __future__ import annotations

from functools import cached_property

from openstack.connection import Connection

from lab.cloud import access
from lab.config import catalog
from lab.config.addons import BACKUPS
from lab.config.settings import NOTHING, LabSpec
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.guest import guests
from lab.guest.guests import Guests
from lab.install import table
from lab.install.contract import Ground, Installer
from lab.lifecycle.first_database import FirstDatabase
from lab.machine import providers
from lab.machine.contract import Machine


class Lab:
    """The lab in ``home`` as ``spec`` has it."""

    def __init__(self, home: Home, spec: LabSpec) -> None:
        self.home = home
        self.spec = spec
        self.suite = catalog.load().distro(spec.distro).codename

    @property
    def containers(self) -> bool:
        """Whether Nova's guests are containers."""
        return self.spec.hypervisor == "docker"

    @property
    def given(self) -> bool:
        """Whether the machine was there before the lab."""
        return self.spec.provider == "ssh"

    @cached_property
    def machine(self) -> Machine:
        """The lab's machine."""
        return providers.of(self.home, self.spec)

    @cached_property
    def remote(self) -> Remote:
        """SSH to the machine, once that is up."""
        return Remote(self.machine.address())

    @cached_property
    def installer(self) -> Installer:
        """What puts OpenStack on the machine."""
        ground = Ground(self.home, self.spec, lambda: self.remote, lambda: self.machine.ports(), self._gone)
        return table.KINDS[self.spec.installer].make(ground)

    @cached_property
    def guests(self) -> list[Guests]:
        """The guests of each hypervisor, the first one's first. Raises: what the installer's mirror raises."""
        known = catalog.load()
        # the one distribution that there is a guest recipe of; guests need not be what the machine is
        suite = known.distro(known.installers["packages"].distro).codename
        agent, backups = self.installer.agent, BACKUPS in self.spec.with_
        first = guests.containers if self.containers else guests.machines
        built = [first(suite, agent, backups=backups)]
        if self.spec.beside != NOTHING:
            built.append(guests.machines(suite, agent, backups=backups, beside=True))
        return [self.installer.guests(one) for one in built]

    def cloud(self, name: str) -> Connection:
        """A connection as ``admin`` or ``demo``, once the cloud is installed."""
        return access.connect(self.home.clouds_yaml, name)

    @property
    def database(self) -> FirstDatabase:
        """The first database."""
        return FirstDatabase(
            self.home, self.spec.datastore, self.spec.database_timeout, self.cloud("demo"), self.remote
        )

    def _gone(self) -> str | None:
        status = self.machine.status()
        return None if status == "running" else f"the machine is {status}"
