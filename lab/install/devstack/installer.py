"""OpenStack by DevStack: the machine made fit, local.conf rendered, stack.sh run; then the same cloud contract.

What a guest image, a smoke guest, a database, status and logs need afterwards is what installer ``packages`` leaves.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from openstack.connection import Connection

from lab.cloud import access
from lab.config import catalog
from lab.config.rows import listed
from lab.config.settings import LabSpec
from lab.containers import client
from lab.core.errors import CommandFailed, GitUnreachable, NothingKept, Unsupported
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.core.ssh import Remote
from lab.core.steps import Step
from lab.core.waits import Note
from lab.host import apt, git_mirrors, pypi
from lab.host.git_mirrors import GIT_BASE
from lab.install import render, resources
from lab.install.devstack import kept, localconf
from lab.install.devstack.localconf import Facts, Spec
from lab.install.devstack.stack_run import StackRun
from lab.install.heartbeats import NOT_YET, Heartbeats, await_keystone
from lab.install.render import File
from lab.install.site import HOST_IP, PORTS, Site
from lab.install.target import Target
from lab.machine import keys, warm

WEB = "web"
PUBLISHED: Mapping[str, int] = {WEB: 80, **PORTS}
"""Since pike most APIs of DevStack stand behind one web server; Trove's does not, and earlier ones have ports."""
FOLDER = RESOURCES / "localconf"
INSTANCES = "/opt/stack/data/nova/instances"
REGION = "RegionOne"
PLUGIN_FILES = "/opt/stack"
VENV = "/opt/stack/data/venv"
ADDRESS, NETWORK = (f"etc/systemd/system/trove-lab-{name}.service" for name in ("address", "network"))
COMPUTE = "etc/systemd/system/nova-compute.service.d/trove-lab.conf"
NO_SOURCES = 'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "/dev/null";\n'
"""For apt, where nothing answers: all that stack.sh asks for is there but fresh lists."""
PROBE = """
container() { systemd-detect-virt --quiet --container; }
container || echo volumes ksm
[ ! -d /sys/module/openvswitch ] || echo openvswitch
container || ! modprobe --quiet --dry-run openvswitch || echo openvswitch
! ( ulimit -n 1024 && ulimit -Hn 2048 ) 2>/dev/null || echo nofile
"""
"""What localconf.Facts holds. iSCSI's netlink and the switch for page merging belong to the first namespace alone."""


@dataclass(frozen=True)
class DevStack:
    """The installer. ``remote`` and ``ports`` (service to port on 127.0.0.1) are asked only when a step runs;

    ``gone`` says why the machine can no longer answer, or None.
    """

    home: Home
    spec: LabSpec
    remote: Callable[[], Remote]
    ports: Callable[[], Mapping[str, int]]
    gone: Callable[[], str | None]
    kept: str = ""
    """Folder in the machine with every package that stack.sh takes (``wheels``, ``debs``), where none are fetched."""
    outbound: str = f"http://{HOST_IP}/identity/v3"
    """A URL in the machine that a guest must reach."""

    def steps(self, after: str) -> list[Step]:
        """The installation as steps; the first one comes after step ``after``."""
        beats = Heartbeats(self.remote, self.admin, self.spec.service_timeout)
        return [
            Step("prepare", "make the machine fit for stack.sh", self._prepared, self._prepare, (after,)),
            Step("stack", f"run stack.sh ({self.spec.release})", self._stacked, self._stack, ("prepare",)),
            Step("access", "learn the catalogue", self._has_access, self._access, ("stack",)),
            Step("networks", "make flavors, quotas, the key pair", self._allowed, self._allow, ("access",)),
            Step("heartbeats", "wait for fresh heartbeats", beats.fresh, beats.wait, ("networks",)),
        ]

    def admin(self) -> Connection:
        """The administrator's connection."""
        return access.connect(self.home.clouds_yaml, "admin")

    def commits(self) -> dict[str, str]:
        """Project to the commit that is installed, for the manifest."""
        script = 'for d in /opt/stack/*/.git; do echo "$(dirname "$d") $(git -C "$d/.." rev-parse HEAD)"; done'
        rows = self.remote().run("bash", "-c", script, check=False).stdout.splitlines()
        return {f"commit of {Path(path).name}": commit for path, _, commit in (row.partition(" ") for row in rows)}

    def offer_settings(self, datastore: str, version: str) -> None:
        """Tell Trove which settings users may change, as its plugin does for its own datastore."""
        path = f"PATH={VENV}/bin:/usr/local/bin:/usr/bin:/bin"
        manage = ["env", path, "trove-manage", "--config-file=/etc/trove/trove.conf"]
        self._target.offer_settings("stack", manage, "/opt/stack/trove/trove/templates", datastore, version)

    @cached_property
    def _target(self) -> Target:
        return Target(self.home, self.remote, self.spec.install_timeout)

    @cached_property
    def _wanted(self) -> Spec:
        """What local.conf is rendered from, with what this very machine was seen to be able to do."""
        rows = catalog.load()
        there = set(self.remote().script(PROBE).stdout.split())
        return Spec(
            release=rows.release(self.spec.release),
            distro=rows.distro(self.spec.distro),
            password=self.home.secrets["devstack"],
            service_token=self.home.secrets["devstack_token"],
            hypervisor=self.spec.hypervisor,
            git_base=git_mirrors.IN_MACHINE if self.spec.mirror else GIT_BASE,
            facts=Facts(**{field.name: field.name in there for field in dataclasses.fields(Facts)}),
            settings={"HOST_IP": HOST_IP, **_proxies()},
            driven=True,
        )

    @cached_property
    def _files(self) -> list[File]:
        docker, userspace = self._wanted.hypervisor == "docker", not self._wanted.facts.openvswitch
        site = Site(public_ports={}, virt_type=self.spec.hypervisor, instances=INSTANCES)
        names = [ADDRESS, NETWORK]
        names += render.CONTAINERS_ONLY if docker else render.USERSPACE_ONLY if userspace else ()
        files = render.render(site, self.home.secrets, names)
        for patch in sorted((RESOURCES / "dockerfiles/machine/patches").glob("*.patch")):
            files.append(File(f"{localconf.PATCHES}/{patch.name}", patch.read_text(), "root", 0o644))
        if docker:
            unit = render.render(site, self.home.secrets, [COMPUTE])[0]
            files.append(dataclasses.replace(unit, path=f"/{COMPUTE}".replace("nova-compute", "devstack@n-cpu")))
            files += [
                dataclasses.replace(f, path=f"{PLUGIN_FILES}/novadriver/docker/{Path(f.path).name}")
                for f in render.driver()
            ]
            files.append(_file("hypervisor-docker", f"{PLUGIN_FILES}/novadriver/hypervisor-docker"))
        if userspace:
            plugin = "userspace-ovs/devstack/plugin.sh"
            files.append(_file(plugin, f"{PLUGIN_FILES}/{plugin}"))
        for path in sorted(p for p in (FOLDER / "machine").rglob("*") if p.is_file()):
            name = path.relative_to(FOLDER / "machine")
            files.append(File(f"/{name}", path.read_text(), "root", 0o755 if "sbin" in name.parts else 0o644))
        if self.kept:
            files.append(File("/etc/pip.conf", pypi.offline(f"{self.kept}/wheels"), "root", 0o644))
            files.append(File("/etc/apt/apt.conf.d/90trove-lab", NO_SOURCES, "root", 0o644))
        else:
            files.append(File("/etc/pip.conf", pypi.configuration(), "stack", 0o640))  # an index may want a password
        files.append(File("/etc/trove-lab/local.conf", localconf.render(self._wanted), "root", 0o600))
        return files

    @cached_property
    def _archive(self) -> bytes:
        return render.archive(self._files)

    @cached_property
    def _key(self) -> str:
        return hashlib.sha256(self._archive).hexdigest()[:16]

    def _prepared(self) -> bool:
        return self._target.marked("prepared", self._key)

    def _prepare(self, note: Note) -> None:
        self._target.script("stack-user.sh")
        self._target.unpack(self._archive)
        if self.kept:
            self._target.script("stack-debs.sh", f"{self.kept}/debs")
        self.remote().run("systemctl", "enable", "--quiet", "--now", "trove-lab-address")
        url, ref = localconf.devstack_url(self._wanted), self._wanted.release.devstack.ref
        commands = [command for row in localconf.preparations(self._wanted) for command in row.run]
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
        StackRun(self.remote(), self.home, self._key, self.spec.install_timeout, self.gone).run(note)
        self._target.script("stack-keep.sh")
        self._target.mark("stacked", self._key)

    @property
    def _identity_url(self) -> str:
        return f"http://127.0.0.1:{self.ports()[WEB]}/identity/v3"

    def _has_access(self) -> bool:
        if not self.home.clouds_yaml.exists() or self._identity_url not in self.home.clouds_yaml.read_text():
            return False
        try:
            return bool(self.home.state.get("endpoints")) and self.admin().identity.get("/").ok
        except NOT_YET:
            return False

    def _access(self, note: Note) -> None:
        password = self.home.secrets["devstack"]
        accounts = resources.accounts(password, password, password)
        access.write_access(self.home.path, self._identity_url, REGION, accounts)
        await_keystone(self.admin, self.spec.service_timeout, note)
        identity = self.admin().identity
        kinds = {service.id: service.type for service in identity.services()}
        urls = {
            str(kinds[e.service_id]): published(e.url, self.ports())
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
        access.write_access(self.home.path, self._identity_url, REGION, accounts, endpoints)
        self.home.state["endpoints"] = {kind: url.partition("%(")[0] for kind, url in urls.items() if url}

    def _allowed(self) -> bool:
        return self._target.marked("allowed", self._key)

    def _allow(self, note: Note) -> None:
        service = access.connect(self.home.clouds_yaml, "service")
        resources.allowances(self.admin(), service, Site(public_ports={}).keypair, keys.pair(self.home).public)
        self._target.mark("allowed", self._key)


def check(spec: LabSpec) -> None:
    """Refuse what cannot end well, before anything is made.

    Raises: BadValue, MirrorLacks, NothingKept, GitUnreachable, Unsupported.
    """
    rows = catalog.load()
    release = rows.release(spec.release)
    if not rows.distro(spec.distro).container:
        theirs = listed(d.name for d in rows.distros if d.container)
        raise Unsupported(
            f"The lab makes no machine of {spec.distro}; it would drive stack.sh on {theirs}.",
            f"./inv render --distro={spec.distro} --release={spec.release} writes local.conf for a machine of yours.",
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


def _file(name: str, path: str) -> File:
    return File(path, (FOLDER / name).read_text(), "root", 0o644)


def _proxies() -> dict[str, str]:
    """This host's proxies as DevStack's settings; the machine's own addresses are never behind one."""
    found = {name.lower(): value for name, value in apt.proxies(dict(os.environ)).items()}
    found.pop("ftp_proxy", None)
    if found:
        found["no_proxy"] = ",".join(filter(None, (found.get("no_proxy", ""), "localhost", "127.0.0.1", HOST_IP)))
    return found
