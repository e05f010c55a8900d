"""A lab that is up, as Trove's arms need it: the API, the way in, its machine among this host's processes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from lab.cloud import access, guest_shell
from lab.cloud.offer import NETWORK, Offer
from lab.cloud.trove import VM, Trove
from lab.config import settings
from lab.config.settings import NOTHING
from lab.core.errors import NoSuchLab, Unsupported
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.density.arm_names import TROVE
from lab.density.host import procfs, trees
from lab.density.host.procfs import Share
from lab.density.host.resident import Guest
from lab.density.host.trees import Process
from lab.lifecycle import labs
from lab.lifecycle.first_database import FLAVOR

TELL = r"""
import glob, json, os
def stat(pid):
    text = open(f"/proc/{pid}/stat").read()
    return text[text.index("(") + 1 : text.rindex(")")], int(text.rpartition(")")[2].split()[1])
ours, pid = set(), os.getpid()
while pid > 1:
    above = stat(pid)[1]
    if above != 1:
        ours.add(pid)
    pid = above
rows = []
for folder in glob.glob("/proc/[0-9]*"):
    try:
        pid = int(folder[6:])
        command = open(folder + "/cmdline").read().replace("\0", " ")
        if pid not in ours:
            rows.append([pid, *reversed(stat(pid)), command, open(folder + "/smaps_rollup").read()])
    except OSError:
        pass
print(json.dumps({"meminfo": open("/proc/meminfo").read(), "processes": rows}))
"""
"""What a guest is asked, as root: its memory, and each process but for the ones that ask."""
ASK_SECONDS = 120.0


@dataclass(frozen=True)
class Cloud:
    """``memory`` is the instances' flavor's, in MiB; ``patience`` how long an instance may take, in seconds."""

    home: Home
    hypervisor: str
    address: Any
    api: Trove
    admin: Connection
    flavor: str
    memory: int
    network: str
    patience: float
    beside: str = NOTHING

    def runs(self, arm: str) -> str:
        """The hypervisor of an arm's instances."""
        return self.hypervisor if self.hypervisor in TROVE[arm] else self.beside

    def newest(self, arm: str, datastore: str) -> str | None:
        """The datastore version of an arm's instances."""
        version = self.api.newest(datastore)
        return version and version + VM * (self.hypervisor not in TROVE[arm])

    @property
    def machine(self) -> str:
        """Its machine's container."""
        return f"trove-lab-{self.home.name}"

    def guests(self) -> list[Guest]:
        """What every guest says about itself, over SSH; one that cannot be asked is left out."""
        found = []
        remote = Remote(self.address)
        with contextlib.closing(remote):
            for server in self.admin.compute.servers(all_projects=True):
                if to := guest_shell.address(server):
                    said = guest_shell.console(self.admin, server)
                    with contextlib.closing(guest_shell.shell(self.home, remote, to, said)) as guest:
                        answer = guest.run("python3", "-", stdin=TELL, timeout=ASK_SECONDS).stdout
                    found.append(parse(answer))
        return found

    def as_dict(self, arm: str) -> dict[str, Any]:
        """What the manifest keeps of it for an arm."""
        spec = self.home.state["spec"]
        known = {key: spec[key] for key in ("release", "installer", "distro")}
        return {"hypervisor": self.runs(arm), **known, "flavor": FLAVOR, "memory_mib": self.memory}


def parse(answer: str) -> Guest:
    """A guest's answer to ``TELL``."""
    told = json.loads(answer)
    shares = {pid: procfs.parse_rollup(rollup) for pid, _, _, _, rollup in told["processes"]}
    table = [Process(pid, ppid, name, command) for pid, ppid, name, command, _ in told["processes"]]
    held: dict[str, Share] = {}
    for part, pids in trees.inside(table).items():
        held[part] = sum((shares[pid] for pid in pids), Share())
    database = held.pop(trees.DATABASE, Share())
    return Guest(procfs.parse_meminfo(told["meminfo"]), database, {part: share.held for part, share in held.items()})


def of(arms: Sequence[str], name: str) -> Cloud | None:
    """The lab ``name`` for those of ``arms`` that need one; None if none does. Raises: Unsupported."""
    wanted = [arm for arm in arms if arm in TROVE]
    if not wanted:
        return None
    both = "--hypervisor=docker --beside=qemu"
    flags = both if len(wanted) > 1 else f"--hypervisor={TROVE[wanted[0]][0]}"
    make = f"./inv up {flags} --no-database --name={name}"
    try:
        home = labs.home_of(name)
        machine = labs.machine_of(home) if home.state.get("spec") else None
    except NoSuchLab:
        home, machine = Home(name), None
    if machine is None or machine.status() != "running" or not home.clouds_yaml.exists():
        raise Unsupported(f"The arm {wanted[0]} needs a lab that is up, and {name!r} is not.", make)
    spec = settings.from_dict(home.state["spec"], "the lab's state")
    for arm in wanted:
        if not {spec.hypervisor, spec.beside} & set(TROVE[arm]):
            raise Unsupported(
                f"The arm {arm} needs a lab whose hypervisor is {' or '.join(TROVE[arm])}, and {name!r} has "
                f"{spec.hypervisor}.",
                f"One that has both: ./inv up {both} --no-database --name=both, then this command with --name=both.",
            )
    if spec.provider != "docker":
        raise Unsupported(
            f"The machine of {name!r} is a virtual machine, and this host sees no process of its guests.",
            f"Measure a lab whose machine is a container: {make} --provider=docker",
        )
    demo, admin = (access.connect(home.clouds_yaml, account) for account in ("demo", "admin"))
    flavor = demo.compute.find_flavor(FLAVOR, ignore_missing=False)
    return Cloud(
        home, spec.hypervisor, machine.address(), Trove(demo), admin, str(flavor.id), int(flavor.ram),
        Offer(demo).network(NETWORK), spec.database_timeout, spec.beside,
    )  # fmt: skip
