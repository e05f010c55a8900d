"""What is put on a machine before stack.sh: local.conf with what this very machine can do, and all around it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from lab.config import catalog
from lab.config.settings import LabSpec
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.core.ssh import Remote
from lab.host import apt, git_mirrors, pypi
from lab.host.git_mirrors import GIT_BASE
from lab.install import render
from lab.install.devstack import localconf
from lab.install.devstack.localconf import Facts, Spec
from lab.install.render import File
from lab.install.site import HOST_IP, Site

FOLDER = RESOURCES / "localconf"
INSTANCES = "/opt/stack/data/nova/instances"
PLUGIN_FILES = "/opt/stack"
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


def rendered_from(home: Home, spec: LabSpec, remote: Remote) -> Spec:
    """What local.conf is rendered from, with what this very machine was seen to be able to do."""
    rows = catalog.load()
    there = set(remote.script(PROBE).stdout.split())
    return Spec(
        release=rows.release(spec.release),
        distro=rows.distro(spec.distro),
        password=home.secrets["devstack"],
        service_token=home.secrets["devstack_token"],
        hypervisor=spec.hypervisor,
        git_base=git_mirrors.IN_MACHINE if spec.mirror else GIT_BASE,
        facts=Facts(**{field.name: field.name in there for field in dataclasses.fields(Facts)}),
        settings={"HOST_IP": HOST_IP, **_proxies()},
        driven=True,
    )


def files(home: Home, wanted: Spec, taken: str) -> list[File]:
    """``taken`` is the folder in the machine with every package (``wheels``, ``debs``), where none are fetched."""
    docker, userspace = wanted.hypervisor == "docker", not wanted.facts.openvswitch
    site = Site(public_ports={}, virt_type=wanted.hypervisor, instances=INSTANCES)
    names = [ADDRESS, NETWORK]
    names += render.CONTAINERS_ONLY if docker else render.USERSPACE_ONLY if userspace else ()
    files = render.render(site, home.secrets, names)
    for patch in sorted((RESOURCES / "dockerfiles/machine/patches").glob("*.patch")):
        files.append(File(f"{localconf.PATCHES}/{patch.name}", patch.read_text(), "root", 0o644))
    if docker:
        unit = render.render(site, home.secrets, [COMPUTE])[0]
        files.append(dataclasses.replace(unit, path=f"/{COMPUTE}".replace("nova-compute", "devstack@n-cpu")))
        files += [
            dataclasses.replace(f, path=f"{PLUGIN_FILES}/novadriver/docker/{Path(f.path).name}")
            for f in render.driver("")
        ]
        files.append(_file("hypervisor-docker", f"{PLUGIN_FILES}/novadriver/hypervisor-docker"))
    if userspace:
        plugin = "userspace-ovs/devstack/plugin.sh"
        files.append(_file(plugin, f"{PLUGIN_FILES}/{plugin}"))
    for path in sorted(p for p in (FOLDER / "machine").rglob("*") if p.is_file()):
        name = path.relative_to(FOLDER / "machine")
        files.append(File(f"/{name}", path.read_text(), "root", 0o755 if "sbin" in name.parts else 0o644))
    if taken:
        files.append(File("/etc/pip.conf", pypi.offline(f"{taken}/wheels"), "root", 0o644))
        files.append(File("/etc/apt/apt.conf.d/90trove-lab", NO_SOURCES, "root", 0o644))
    else:
        files.append(File("/etc/pip.conf", pypi.configuration(), "stack", 0o640))  # an index may want a password
    files.append(File("/etc/trove-lab/local.conf", localconf.render(wanted), "root", 0o600))
    return files


def _file(name: str, path: str) -> File:
    return File(path, (FOLDER / name).read_text(), "root", 0o644)


def _proxies() -> dict[str, str]:
    """This host's proxies as DevStack's settings; the machine's own addresses are never behind one."""
    found = {name.lower(): value for name, value in apt.proxies(dict(os.environ)).items()}
    found.pop("ftp_proxy", None)
    if found:
        found["no_proxy"] = ",".join(filter(None, (found.get("no_proxy", ""), "localhost", "127.0.0.1", HOST_IP)))
    return found
