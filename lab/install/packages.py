"""OpenStack whose code the machine's image has: configuration, databases, services, networks; steps to repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

from openstack.connection import Connection

from lab.cloud import access
from lab.config.addons import BACKUPS, DASHBOARD
from lab.config.settings import NOTHING
from lab.core import waits
from lab.core.job import Job
from lab.core.steps import Step
from lab.core.waits import Note
from lab.guest.agent import Agent
from lab.guest.guests import Guests
from lab.install import given, render, resources
from lab.install.contract import Ground
from lab.install.dashboard import Dashboard
from lab.install.given import GivenMachine
from lab.install.heartbeats import NOT_YET, Heartbeats, await_keystone
from lab.install.render import File
from lab.install.site import PUBLISHED, Site
from lab.install.target import Target
from lab.machine import image, keys
from lab.machine.image import Layer

FIRST_UNITS = ("trove-lab-address", "openvswitch-switch", "mariadb", "rabbitmq-server", "memcached", "ovn-central")
UNITS = (
    "libvirtd",
    "virtlogd",
    "libvirt-guests",
    "ovn-host",
    "trove-lab-network",
    "keystone",
    "glance-api",
    "placement-api",
    "nova-api",
    "nova-api-metadata",
    "nova-conductor",
    "nova-scheduler",
    "nova-compute",
    "neutron-api",
    "neutron-ovn-maintenance-worker",
    "neutron-ovn-metadata-agent",
    "trove-api",
    "trove-taskmanager",
    "trove-conductor",
)
SWIFT_UNITS = tuple(f"trove-lab-swift@{server}" for server in ("account", "container", "obj", "proxy"))
LIBVIRT_UNITS = ("libvirtd", "virtlogd", "libvirt-guests")


@dataclass(frozen=True)
class Code:
    """Where OpenStack's code comes from: the ``layer`` of the machine's image that has it.

    In the machine, ``library`` is the folder with its modules and ``python`` the interpreter that finds them there;
    ``files`` are what the layer lacks, to be written with the configuration; ``look_up_once`` the units that keep
    what they found in the catalogue when they began.
    """

    layer: Layer
    library: str
    python: str
    files: tuple[File, ...] = ()
    look_up_once: tuple[str, ...] = ()


DEBIAN = Code(image.PACKAGES, "/usr/lib/python3/dist-packages", "/usr/bin/python3")


@dataclass(frozen=True)
class Packages:
    """The installer, for the lab on ``ground``."""

    ground: Ground
    code: Code = DEBIAN
    settled: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=lambda: PUBLISHED)
    mounts: Mapping[str, str] = field(default_factory=dict)
    agent: Agent | None = None
    image_title: str = "build the machine's image with OpenStack's packages"

    @cached_property
    def site(self) -> Site:
        """What the installation looks like on this machine, which must be up. Raises: SshFailed."""
        spec = self.ground.spec
        # the userspace datapath works everywhere, the kernel's where it has one at hand
        kernel = self.ground.remote().run("test", "-d", "/sys/module/openvswitch", check=False).ok
        return Site(
            public_ports=self.ground.ports(),
            datapath="system" if kernel else "netdev",
            virt_type=spec.hypervisor,
            beside=spec.beside if spec.beside != NOTHING else "",
            database_timeout=spec.database_timeout,
            backups=BACKUPS in spec.with_,
            walls=spec.provider == "ssh",
            python=self.code.python,
        )

    @property
    def made_of(self) -> tuple[str, ...]:
        """See Installer.made_of: what is not in the guests' images."""
        return tuple(name for name in self.ground.spec.with_ if name != BACKUPS)

    @property
    def compute_host(self) -> str:
        """See Installer.compute_host."""
        return self.site.compute_host

    def image_tag(self, suite: str) -> str:
        """See Installer.image_tag."""
        return image.machine_tag(suite, self.code.layer)

    def make_image(self, suite: str, job: Job) -> None:
        """See Installer.make_image."""
        image.machine(suite, self.code.layer, job)

    @property
    def install_title(self) -> str:
        """See Installer.install_title."""
        return given.TITLE

    def installed(self) -> bool:
        """See Installer.installed."""
        return self._given.installed()

    def install(self, note: Note) -> None:
        """See Installer.install."""
        self._given.install(note)

    @cached_property
    def _given(self) -> GivenMachine:
        return GivenMachine(self.ground.spec.host, self._target, (*FIRST_UNITS, *UNITS, *SWIFT_UNITS))

    def guests(self, built: Guests) -> Guests:
        """See Installer.guests."""
        return built

    def commits(self) -> dict[str, str]:
        """See Installer.commits: packages have versions."""
        return {}

    def steps(self, after: str) -> list[Step]:
        """The installation as steps; the first one comes after step ``after``."""
        beats = Heartbeats(
            self.ground.remote, self.admin, self.ground.spec.service_timeout, 1 + (self.ground.spec.beside != NOTHING)
        )
        steps = [
            Step("configure", "write the services' configuration", self._configured, self._configure, (after,)),
            Step("databases", "make the services' databases", self._has_databases, self._databases, ("configure",)),
            Step("services", "start the services", self._serving, self._serve, ("databases",)),
            Step("identity", "make users and the catalogue", self._catalogued, self._identity, ("services",)),
            Step("networks", "make networks, flavors, quotas", self._has_networks, self._networks, ("identity",)),
            Step("heartbeats", "wait for fresh heartbeats", beats.fresh, beats.wait, ("networks",)),
        ]
        if DASHBOARD in self.ground.spec.with_:
            steps.append(Dashboard(self.ground, self._target, lambda: self.site).step("identity"))
        return steps

    def admin(self) -> Connection:
        """The administrator's connection."""
        return access.connect(self.ground.home.clouds_yaml, "admin")

    @property
    def outbound(self) -> str:
        """A URL in the machine that a guest must reach."""
        return self.site.internal_url("identity")

    @cached_property
    def _target(self) -> Target:
        return Target(self.ground.home, self.ground.remote, self.ground.spec.install_timeout)

    def offer_settings(self, datastore: str, version: str) -> None:
        """Tell Trove which settings users may change."""
        rules = f"{self.code.library}/trove/templates"
        self._target.offer_settings("trove", ["trove-manage"], rules, datastore, version)

    @cached_property
    def _archive(self) -> bytes:
        site = self.site
        files = [*self.code.files, *render.render(site, self.ground.home.secrets, render.first(site))]
        return render.archive(files + render.driver(self.code.library) if site.virt_type == "docker" else files)

    @property
    def _units(self) -> tuple[str, ...]:
        units = (*UNITS, *SWIFT_UNITS) if self.site.backups else UNITS
        if self.site.virt_type != "docker":
            return units
        if self.site.beside:
            return ("docker", *units, "nova-compute-machines")
        return ("docker", *(unit for unit in units if unit not in LIBVIRT_UNITS))

    @cached_property
    def _key(self) -> str:
        return hashlib.sha256(self._archive).hexdigest()[:16]

    def _configured(self) -> bool:
        return self._target.marked("configured", self._key)

    def _configure(self, note: Note) -> None:
        self._target.unpack(self._archive)
        note("starting the database server, the message queue and the switch")
        self._target.script("first.sh", *FIRST_UNITS)
        if self.site.backups:
            self._target.script("swift.sh", self.code.python)
        self._target.mark("configured", self._key)

    def _has_databases(self) -> bool:
        return self._target.marked("databases", self._key)

    def _databases(self, note: Note) -> None:
        note("all schema migrations at once")
        site = self.site
        self._target.script(
            "databases.sh",
            site.region,
            site.internal_url("identity"),
            site.public_url("identity"),
            stdin=self.ground.home.secrets["admin"],
        )
        self._target.mark("databases", self._key)

    def _serving(self) -> bool:
        done = self.ground.remote().run("systemctl", "is-active", "--quiet", *self._units, check=False)
        return done.ok and not self._silent_ports()

    def _serve(self, note: Note) -> None:
        self._target.script("services.sh", *self._units)
        waits.until(
            "the services' ports",
            # not for the units: Nova's begin again and again until the next step has made their users
            lambda: not self._silent_ports(),
            seconds=self.ground.spec.service_timeout,
            setting="--service-timeout",
            describe=lambda: "silent: " + ", ".join(self._silent_ports()),
            note=note,
            log=self.ground.home.log("services"),
        )

    def _silent_ports(self) -> list[str]:
        """Services whose port does not answer inside the machine (any HTTP answer is one)."""
        ports = self.site.services
        done = self.ground.remote().run(
            "bash",
            "-c",
            'for p in "$@"; do curl -s -o /dev/null -m 5 "http://$0:$p/" || echo "$p"; done',
            self.site.host_ip,
            *map(str, ports.values()),
            check=False,
        )
        silent = set(done.stdout.split()) if done.ok else set(map(str, ports.values()))
        return [name for name, port in ports.items() if str(port) in silent]

    def _catalogued(self) -> bool:
        if not self.ground.home.clouds_yaml.exists():
            return False
        try:
            return self._access_is_current() and resources.catalogued(self.admin(), self.site)
        except NOT_YET:
            return False

    def _access_is_current(self) -> bool:
        return self.site.public_url("identity") in self.ground.home.clouds_yaml.read_text()

    def _identity(self, note: Note) -> None:
        resources.write_access(self.ground.home.path, self.site, self.ground.home.secrets)
        await_keystone(self.admin, self.ground.spec.service_timeout, note)
        resources.identity(self.admin(), self.site, self.ground.home.secrets)
        if self.code.look_up_once:
            self.ground.remote().run("systemctl", "try-restart", *self.code.look_up_once)
        kept = self.ground.home.state.get("endpoints", {})
        made = {kind: self._version_url(kind) for kind in self.site.services}
        self.ground.home.state["endpoints"] = {**kept, **made}

    def _version_url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.site.public_ports[kind]}/"

    def _has_networks(self) -> bool:
        return self._target.marked("networks", self._key)

    def _networks(self, note: Note) -> None:
        pair = keys.pair(self.ground.home)
        service = access.connect(self.ground.home.clouds_yaml, "service")
        made = resources.networks(self.admin(), service, self.site, pair.public)
        self._target.unpack(
            render.archive(render.render(self.site, self.ground.home.secrets, render.AFTER_NETWORKS, asdict(made)))
        )
        note("plugging the machine into trove-mgmt; Trove learns its networks")
        self._target.script("networks.sh", self.site.mgmt_interface, made.mgmt_port, self.site.mgmt_mac)
        self._serve(note)
        self._target.mark("networks", self._key)
