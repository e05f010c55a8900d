"""The steps of one lab, from the host's packages to the first database, and the objects that they share."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from openstack.connection import Connection

from lab.cloud import access, glance
from lab.cloud.trove import Trove
from lab.config import catalog
from lab.config.settings import BACKUPS, NOTHING, LabSpec
from lab.containers import client, ownership
from lab.core import waits
from lab.core.home import Home
from lab.core.job import Job
from lab.core.ssh import Remote
from lab.core.steps import Step
from lab.core.waits import Note
from lab.guest import agent, guests
from lab.guest.guests import Guests
from lab.host import git_mirrors
from lab.install.devstack import kept
from lab.install.devstack.installer import PUBLISHED, DevStack
from lab.install.packages import Packages
from lab.install.site import PORTS, Site
from lab.lifecycle.first_database import DATABASE, USER, FirstDatabase, client_file
from lab.lifecycle.smoke_server import Smoke
from lab.machine import image, providers, warm
from lab.machine.contract import Machine, Wanted
from lab.machine.docker import DockerMachine


class Work:
    """What a lab is made of; each object is made when first used, so that nothing is asked before it is there."""

    def __init__(self, home: Home, spec: LabSpec) -> None:
        self.home = home
        self.spec = spec
        known = catalog.load()
        self.suite = known.distro(spec.distro).codename
        self.containers = spec.hypervisor == "docker"
        # the one distribution that there is a guest recipe of; guests need not be what the machine is
        suite = known.distro(known.installers["packages"].distro).codename
        self.agent = agent.of(home, spec) if spec.installer == "devstack" else None
        backups = spec.with_ == BACKUPS
        made = guests.containers if self.containers else guests.machines
        self.guests = [made(suite, self.agent, backups=backups)]
        if spec.beside != NOTHING:
            self.guests.append(guests.machines(suite, self.agent, backups=backups, beside=True))
        self.kept = kept.of(home, spec)
        if self.kept:
            self.guests = [self.kept.instead_of(one) for one in self.guests]

    @cached_property
    def machine(self) -> Machine:
        """The lab's machine."""
        return providers.of(self.home, self.spec.provider, self.spec.machine_timeout)

    @cached_property
    def installer(self) -> Packages | DevStack:
        """What puts OpenStack on the machine; both end in the same contract."""
        if self.spec.installer == "packages":
            return Packages(self.home, self.spec, lambda: self.remote, self._site)
        taken = self.kept.in_machine if self.kept else ""
        return DevStack(self.home, self.spec, lambda: self.remote, lambda: self.machine.ports(), self._gone, taken)

    @cached_property
    def remote(self) -> Remote:
        """SSH to the machine, once that is up."""
        return Remote(self.machine.address())

    def cloud(self, name: str) -> Connection:
        """A connection as ``admin`` or ``demo``, once the cloud is installed."""
        return access.connect(self.home.clouds_yaml, name)

    @property
    def database(self) -> FirstDatabase:
        """The first database."""
        return FirstDatabase(self.home, self.spec, self.cloud("demo"), self.remote)

    def steps(self) -> list[Step]:
        """Every step; what is not after one another overlaps (the guest image is made beside the control plane)."""
        installed = self.installer.steps("machine")
        ready = tuple(step.name for step in installed)
        images = [step for one in self.guests for step in one.made(self.home, self.spec)]
        made = [
            Step(
                "machine-image",
                self._image_title(),
                lambda: self._wanted_image() is not None,
                self._build_machine_image,
            ),
            *images,
            Step("machine", "start the machine", self._machine_is_up, self._start, ("machine-image",)),
            *installed,
            Step(
                "upload",
                "give Glance the images",
                self._uploaded,
                self._upload,
                (*(step.name for step in images), *ready),
            ),
            Step("datastores", "register the datastores", self._registered, self._register, ("upload",)),
            *(self._proof(one) for one in self.guests),
        ]
        settled = ("datastores", *(f"smoke{one.suffix}" for one in self.guests))
        if self.containers:
            made.append(
                Step("cache", "let Nova fetch the guest image", self._cached, self._cache, ("upload",)),
            )
            settled = (*settled, "cache")
        if self.spec.warm and self.spec.provider == "docker":
            made.append(Step("warm", "keep the machine as a warm image", self._kept, self._keep, settled))
        if self.spec.database:
            made.append(
                Step(
                    f"database-{self.spec.datastore}",
                    f"make a {self.spec.datastore} instance; write, restart, read back",
                    lambda: self.database.answers(),
                    lambda note: self.database.make(note),
                    (made[-1].name, *settled),
                )
            )
        return made

    def made_of(self) -> dict[str, str]:
        """Artefact to digest, for the manifest."""
        return {
            "machine image": self._wanted_image() or "",
            **{f"guest image{one.suffix}": one.trove.sha256 for one in self.guests},
            **{f"smoke image{one.suffix}": one.smoke.sha256 for one in self.guests},
            **(self.installer.commits() if isinstance(self.installer, DevStack) else {}),
        }

    def connect(self) -> dict[str, str]:
        """How to use what there is now, for people."""
        rows = {"status": f"./inv status --name={self.home.name}"}
        if not self.spec.database:
            return rows | {"database": f"none yet: ./inv up --name={self.home.name} --database makes it"}
        login = self.database.login()
        if login is not None:
            rows |= {
                "database": f"{login.datastore} at {login.address}:{login.port} ({DATABASE}), from the machine",
                "user": USER,
                "password": f"in {client_file(self.home, login.datastore)}",
                "from this host": f"./inv tunnel --name={self.home.name} --datastore={login.datastore}",
            }
        return rows

    def _site(self) -> Site:
        return Site(
            public_ports=self.machine.ports(),
            datapath="system" if self._kernel_switches() else "netdev",
            virt_type=self.spec.hypervisor,
            beside=self.spec.beside if self.spec.beside != NOTHING else "",
            database_timeout=self.spec.database_timeout,
            backups=self.spec.with_ == BACKUPS,
        )

    def _kernel_switches(self) -> bool:
        """Whether the machine's kernel has Open vSwitch at hand; the userspace datapath works everywhere."""
        return self.remote.run("test", "-d", "/sys/module/openvswitch", check=False).ok

    def _gone(self) -> str | None:
        status = self.machine.status()
        return None if status == "running" else f"the machine is {status}"

    @property
    def _layer(self) -> image.Layer:
        return image.layer(self.spec.installer, self.spec.hypervisor)

    def _image_title(self) -> str:
        if self.kept:
            return "take the machine's image from the mirror"
        what = "OpenStack's packages" if self.spec.installer == "packages" else "what stack.sh takes from apt"
        return f"build the machine's image with {what}"

    def image_tag(self) -> str:
        """The machine image's tag, known before it is there."""
        return self.kept.machine if self.kept else image.machine_tag(self.suite, self._layer)

    def _wanted_image(self) -> str | None:
        """The warm image if there is one of just this content, else the machine image if it is built, else None."""
        plain = self.image_tag()
        for tag in (self._warm_tag(), plain) if self.spec.warm else (plain,):
            if client.find(tag) is not None:
                return tag
        return None

    def _warm_tag(self) -> str:
        made_of = [self.image_tag(), *(key for one in self.guests for key in (one.trove.key, one.smoke.key))]
        if self.spec.installer == "devstack":
            taken = self.kept.key if self.kept else "mirror" * bool(self.spec.mirror)
            made_of += [self.spec.release, taken]
        return warm.tag(self.home, *made_of)

    def _build_machine_image(self, note: Note) -> None:
        if self.kept:
            self.kept.load(note, self.spec.build_timeout)
            return
        image.machine(self.suite, self._layer, Job(note, self.home.log("machine-image"), self.spec.build_timeout))

    def _machine_is_up(self) -> bool:
        return self.machine.status() == "running" and self.remote.answers()

    def _start(self, note: Note) -> None:
        tag = self._wanted_image()
        assert tag is not None
        if client.find(self.image_tag()) is not None:  # whoever built it: no other lab's destroy takes it from us
            ownership.claim(self.image_tag(), self.home.name)
        wanted = Wanted(
            tag,
            self.spec.memory,
            self.spec.cpus,
            self.spec.disk,
            kvm="kvm" in (self.spec.hypervisor, self.spec.beside),
            containers=self.containers,
            ports=dict(PORTS if self.spec.installer == "packages" else PUBLISHED),
            mounts={str(Path(self.spec.mirror).resolve()): git_mirrors.IN_MACHINE} if self.spec.mirror else {},
        )
        self.machine.up(wanted, note)

    def _uploaded(self) -> bool:
        admin = self.cloud("admin")
        return all(one.uploaded(admin) for one in self.guests)

    def _upload(self, note: Note) -> None:
        admin = self.cloud("admin")
        for one in self.guests:
            one.upload(admin, note)

    def _proof(self, one: Guests) -> Step:
        def smoke() -> Smoke:
            image = f"{one.smoke.name}{one.suffix}"
            return Smoke(self.home, self.spec, self.cloud("demo"), self.remote, self.installer.outbound, image)

        return Step(
            f"smoke{one.suffix}",
            "prove the network with a small guest",
            lambda: smoke().passed(),
            lambda note: smoke().run(note),
            ("upload",),
        )

    def _cached(self) -> bool:
        """Whether the machine's Docker has the guest image under the driver's name for it."""
        image = self._container_image()
        if image is None:
            return False
        name = f"nova-glance/{image.id}:{image.checksum[:12]}"
        return self.remote.run("docker", "image", "inspect", name, check=False).ok

    def _cache(self, note: Note) -> None:
        image = self._container_image()
        assert image is not None
        glance.cache(self.cloud("admin"), image.id, self._site().compute_host)
        waits.until(
            "Nova to have the guest image",
            self._cached,
            seconds=self.spec.guest_timeout,
            setting="--guest-timeout",
            note=note,
        )

    def _container_image(self) -> Any | None:
        image = self.guests[0].trove
        return glance.find(self.cloud("admin"), image.name, image.sha256)

    def _registered(self) -> bool:
        trove = Trove(self.cloud("admin"))
        return all(one.registered(trove) for one in self.guests)

    def _register(self, note: Note) -> None:
        trove = Trove(self.cloud("admin"))
        for one in self.guests:
            one.register(trove, self.installer.offer_settings)

    def _kept(self) -> bool:
        """A machine that has databases is not committed any more: the warm image is a cloud without instances."""
        return client.find(self._warm_tag()) is not None or bool(Trove(self.cloud("demo")).instances())

    def _keep(self, note: Note) -> None:
        assert isinstance(self.machine, DockerMachine)
        warm.commit(self.home, self.machine, self._warm_tag(), note)
