"""OpenStack's packages on a machine that was there before the lab; what comes with them is written down there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.core.errors import HostUnfit
from lab.core.waits import Note
from lab.install import render
from lab.install.render import File
from lab.install.site import HOST_IP, Site
from lab.install.target import MARKS, Target
from lab.machine import image

TITLE = "install OpenStack's packages"
MARK = "packages-of"
SOURCES = "/usr/local/share/lab-machine"
OTHERS = (
    "docker.io", "docker-ce", "haproxy", "keystone", "libvirt-daemon-system", "mariadb-server", "memcached",
    "mysql-server", "openstack-dashboard", "openvswitch-switch", "rabbitmq-server",
)  # fmt: skip
"""Packages that serve somebody, and that the lab would give another configuration."""
UNITS = ("docker", "docker.socket", "containerd", "epmd", "epmd.socket", "nova-compute-machines", "libvirtd.socket")
"""What these packages start beside the cloud's own units."""
MASKED = ("open-iscsi", "iscsid", "haproxy", "e2scrub_reap")
"""What dockerfiles/machine/install.sh masks."""
FOLDERS = (
    "cni", "containerd", "docker", "glance", "haproxy", "keystone", "libuuid", "libvirt", "machines", "memcached",
    "mysql", "neutron", "node", "nova", "openvswitch", "ovn", "placement", "portables", "qemu", "rabbitmq", "swift",
    "swtpm-localca", "trove", "trove-lab", "uwsgi", "xml",
)  # fmt: skip
"""What they make below /etc, /opt, /srv, /var/cache, /var/lib, /var/log, and leave when they are purged."""


@dataclass(frozen=True)
class GivenMachine:
    """The machine at ``host`` (the setting), reached by ``target``; ``units`` are the cloud's."""

    host: str
    target: Target
    units: tuple[str, ...]

    def installed(self) -> bool:
        """Whether it has the packages, and upstream's faults mended, as this version of the lab wants them."""
        return self.target.marked(MARK, self._key)

    def install(self, note: Note) -> None:
        """Have its apt bring them. Raises: HostUnfit (it serves somebody), CommandFailed, TimedOut, SshFailed."""
        remote = self.target.remote()
        there = remote.run("cat", f"{MARKS}/before/packages", check=False).stdout.split()
        if serving := sorted(set(there) & set(OTHERS)):
            raise HostUnfit(
                self.host,
                f"it serves something already: {', '.join(serving)} is installed",
                f"Give a machine of its own (./inv up --name={self.target.home.name}-2 --host=…); what the lab put "
                f"on this one goes with ./inv destroy --name={self.target.home.name}.",
            )
        self.target.unpack(self._sources)
        end = {
            "units": (*self.units, *UNITS),
            "masked": MASKED,
            "names": FOLDERS,
            "address": (f"{HOST_IP}/32",),
            "nat": (Site(public_ports={}).public.cidr,),
        }
        for name, words in end.items():
            self.target.record(name, words)
        note("the machine's apt installs them; nothing of it starts yet")
        self.target.script("given.sh", SOURCES, f"{SOURCES}/packages", f"{SOURCES}/base")
        self.target.mark(MARK, self._key)

    @cached_property
    def _sources(self) -> bytes:
        """The folder that the machine's image is made of elsewhere, and the base's list of packages."""
        folder = image.PACKAGES.directory
        files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
        files[Path("base")] = image.BASE.directory / "packages"
        return render.archive(
            File(f"{SOURCES}/{name}", path.read_text(), "root", 0o644) for name, path in files.items()
        )

    @property
    def _key(self) -> str:
        return hashlib.sha256(self._sources).hexdigest()[:16]
