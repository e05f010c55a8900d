"""OpenStack by DevStack: the machine made fit, local.conf rendered, stack.sh run; then the same cloud contract.

What a guest image, a smoke guest, a database, status and logs need afterwards is what installer ``packages`` leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from openstack.connection import Connection

from lab.cloud import access
from lab.core.errors import CommandFailed, GitUnreachable
from lab.core.job import Job
from lab.core.steps import Step
from lab.core.waits import Note
from lab.guest import agent
from lab.guest.agent import GitAgent
from lab.guest.guests import Guests
from lab.host import git_mirrors
from lab.install import render, resources
from lab.install.contract import Ground
from lab.install.devstack import kept, localconf, machine_files
from lab.install.devstack.kept import Kept
from lab.install.devstack.localconf import Spec
from lab.install.devstack.stack_run import StackRun
from lab.install.heartbeats import NOT_YET, Heartbeats, await_keystone
from lab.install.site import HOST_IP, PORTS, Site
from lab.install.target import Target
from lab.machine import image, keys

WEB = "web"
PUBLISHED: Mapping[str, int] = {WEB: 80, **PORTS}
"""Since pike most APIs of DevStack stand behind one web server; Trove's does not, and earlier ones have ports."""
REGION = "RegionOne"
VENV = "/opt/stack/data/venv"


@dataclass(frozen=True)
class DevStack:
    """The installer, for the lab on ``ground``."""

    ground: Ground

    @cached_property
    def kept(self) -> Kept | None:
        """What is taken from the lab's mirror instead of being fetched and built. Raises: BadFile, MirrorStale."""
        return kept.of(self.ground.home, self.ground.spec)

    @property
    def _taken(self) -> str:
        return self.kept.in_machine if self.kept else ""

    @cached_property
    def agent(self) -> GitAgent:
        """See Installer.agent. Raises: GitUnreachable."""
        return agent.from_git(self.ground.home, self.ground.spec.release, self.ground.spec.mirror)

    @property
    def settled(self) -> Mapping[str, str]:
        """See Installer.settled."""
        return {"agent.commit": self.agent.commit, "kept": self.kept.key if self.kept else ""}

    @property
    def published(self) -> Mapping[str, int]:
        """See Installer.published."""
        return PUBLISHED

    @property
    def mounts(self) -> Mapping[str, str]:
        """See Installer.mounts."""
        mirror = self.ground.spec.mirror
        return {str(Path(mirror).resolve()): git_mirrors.IN_MACHINE} if mirror else {}

    @property
    def compute_host(self) -> str:
        """See Installer.compute_host."""
        return Site(public_ports={}).compute_host

    @property
    def outbound(self) -> str:
        """See Installer.outbound."""
        return f"http://{HOST_IP}/identity/v3"

    @property
    def made_of(self) -> tuple[str, ...]:
        """See Installer.made_of."""
        return self.ground.spec.release, self.kept.key if self.kept else "mirror" * bool(self.ground.spec.mirror)

    @property
    def image_title(self) -> str:
        """See Installer.image_title."""
        if self.kept:
            return "take the machine's image from the mirror"
        return "build the machine's image with what stack.sh takes from apt"

    def image_tag(self, suite: str) -> str:
        """See Installer.image_tag."""
        return self.kept.machine if self.kept else image.machine_tag(suite, self._layer)

    def make_image(self, suite: str, job: Job) -> None:
        """See Installer.make_image."""
        if self.kept:
            self.kept.load(job)
        else:
            image.machine(suite, self._layer, job)

    def guests(self, built: Guests) -> Guests:
        """See Installer.guests."""
        return self.kept.instead_of(built) if self.kept else built

    @property
    def install_title(self) -> str:
        """See Installer.install_title."""
        return "look what is there"

    def installed(self) -> bool:
        """See Installer.installed: stack.sh itself takes from the machine's package manager what it wants."""
        return True

    def install(self, note: Note) -> None:
        """See Installer.install."""

    @property
    def _layer(self) -> image.Layer:
        return image.devstack(self.ground.spec.hypervisor)

    def steps(self, after: str) -> list[Step]:
        """The installation as steps; the first one comes after step ``after``."""
        beats = Heartbeats(self.ground.remote, self.admin, self.ground.spec.service_timeout)
        return [
            Step("prepare", "make the machine fit for stack.sh", self._prepared, self._prepare, (after,)),
            Step("stack", f"run stack.sh ({self.ground.spec.release})", self._stacked, self._stack, ("prepare",)),
            Step("access", "learn the catalogue", self._has_access, self._access, ("stack",)),
            Step("networks", "make flavors, quotas, the key pair", self._allowed, self._allow, ("access",)),
            Step("heartbeats", "wait for fresh heartbeats", beats.fresh, beats.wait, ("networks",)),
        ]

    def admin(self) -> Connection:
        """The administrator's connection."""
        return access.connect(self.ground.home.clouds_yaml, "admin")

    def commits(self) -> dict[str, str]:
        """Project to the commit that is installed, for the manifest."""
        script = 'for d in /opt/stack/*/.git; do echo "$(dirname "$d") $(git -C "$d/.." rev-parse HEAD)"; done'
        rows = self.ground.remote().run("bash", "-c", script, check=False).stdout.splitlines()
        return {f"commit of {Path(path).name}": commit for path, _, commit in (row.partition(" ") for row in rows)}

    def offer_settings(self, datastore: str, version: str) -> None:
        """Tell Trove which settings users may change, as its plugin does for its own datastore."""
        path = f"PATH={VENV}/bin:/usr/local/bin:/usr/bin:/bin"
        manage = ["env", path, "trove-manage", "--config-file=/etc/trove/trove.conf"]
        self._target.offer_settings("stack", manage, "/opt/stack/trove/trove/templates", datastore, version)

    @cached_property
    def _target(self) -> Target:
        return Target(self.ground.home, self.ground.remote, self.ground.spec.install_timeout)

    @cached_property
    def _rendered_from(self) -> Spec:
        return machine_files.rendered_from(self.ground.home, self.ground.spec, self.ground.remote())

    @cached_property
    def _archive(self) -> bytes:
        return render.archive(machine_files.files(self.ground.home, self._rendered_from, self._taken))

    @cached_property
    def _key(self) -> str:
        return hashlib.sha256(self._archive).hexdigest()[:16]

    def _prepared(self) -> bool:
        return self._target.marked("prepared", self._key)

    def _prepare(self, note: Note) -> None:
        self._target.script("stack-user.sh")
        self._target.unpack(self._archive)
        if self._taken:
            self._target.script("stack-debs.sh", f"{self._taken}/debs")
        self.ground.remote().run("systemctl", "enable", "--quiet", "--now", "trove-lab-address")
        url, ref = localconf.devstack_url(self._rendered_from), self._rendered_from.release.devstack.ref
        commands = [command for row in localconf.preparations(self._rendered_from) for command in row.run]
        note(f"fetching DevStack {ref}")
        try:
            self._target.script("stack-sources.sh", url, ref, *commands)
        except CommandFailed as error:
            if "fatal: " not in error.last_lines:
                raise
            raise GitUnreachable(url, git_mirrors.reason(error.last_lines)) from error
        self._target.mark("prepared", self._key)

    def _stacked(self) -> bool:
        return self._target.marked("stacked", self._key)

    def _stack(self, note: Note) -> None:
        StackRun(
            self.ground.remote(), self.ground.home, self._key, self.ground.spec.install_timeout, self.ground.gone
        ).run(note)
        self._target.script("stack-keep.sh")
        self._target.mark("stacked", self._key)

    @property
    def _identity_url(self) -> str:
        return f"http://127.0.0.1:{self.ground.ports()[WEB]}/identity/v3"

    def _has_access(self) -> bool:
        if (
            not self.ground.home.clouds_yaml.exists()
            or self._identity_url not in self.ground.home.clouds_yaml.read_text()
        ):
            return False
        try:
            return bool(self.ground.home.state.get("endpoints")) and self.admin().identity.get("/").ok
        except NOT_YET:
            return False

    def _access(self, note: Note) -> None:
        password = self.ground.home.secrets["devstack"]
        accounts = resources.accounts(password, password, password)
        access.write_access(self.ground.home.path, self._identity_url, REGION, accounts)
        await_keystone(self.admin, self.ground.spec.service_timeout, note)
        identity = self.admin().identity
        kinds = {service.id: service.type for service in identity.services()}
        urls = {
            str(kinds[e.service_id]): published(e.url, self.ground.ports())
            for e in identity.endpoints(interface="public")
            if kinds.get(e.service_id) in PORTS
        }
        # clouds.yaml names Keystone itself, with its version
        reached = {kind: url for kind, url in urls.items() if url and kind != "identity"}
        projects = {name: str(identity.find_project(name).id) for name in ("admin", "demo", "service")}
        endpoints = {
            name: {kind: with_project(url, projects[account["project"]]) for kind, url in reached.items()}
            for name, account in accounts.items()
        }
        access.write_access(self.ground.home.path, self._identity_url, REGION, accounts, endpoints)
        self.ground.home.state["endpoints"] = {kind: url.partition("%(")[0] for kind, url in urls.items() if url}

    def _allowed(self) -> bool:
        return self._target.marked("allowed", self._key)

    def _allow(self, note: Note) -> None:
        service = access.connect(self.ground.home.clouds_yaml, "service")
        resources.allowances(self.admin(), service, Site(public_ports={}).keypair, keys.pair(self.ground.home).public)
        self._target.mark("allowed", self._key)


def published(url: str, ports: Mapping[str, int]) -> str:
    """``url`` of the machine as this host reaches it; empty where its port is not published."""
    parts = urlsplit(url)
    for name, port in PUBLISHED.items():
        if port == (parts.port or 80) and name in ports:
            return f"http://127.0.0.1:{ports[name]}{parts.path}"
    return ""


def with_project(url: str, project: str) -> str:
    """A catalogue entry's URL with the project's id put in."""
    for word in ("%(tenant_id)s", "%(project_id)s", "$(tenant_id)s", "$(project_id)s"):
        url = url.replace(word, project)
    return url
