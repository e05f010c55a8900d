"""Seconds of a running lab's cloud: a plain server, one Trove instance, ten and thirty at once, and its rest.

Run as ``python -m benchmarks.trove [LAB]`` from the checkout, on a lab that is up and otherwise idle; whatever the
hypervisor, so two labs can be compared. It makes only instances named ``bench-…`` and deletes them. Thirty need a
machine of 20 GiB (``./inv up --memory=20``); fewer are tried where Nova finds no room, and the row says how many.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import statistics
import sys
from time import monotonic
from typing import Any

from openstack.connection import Connection

from lab.cloud import access
from lab.cloud.offer import NETWORK
from lab.cloud.trove import ACTIVE, Trove
from lab.config import settings
from lab.core.errors import LabError
from lab.core.ssh import Remote
from lab.core.waits import pause, until
from lab.engines import sql
from lab.engines.sql import Login
from lab.lifecycle import labs
from lab.lifecycle.first_database import DATABASE, FLAVOR, USER
from lab.lifecycle.smoke_server import FLAVOR as SMOKE_FLAVOR
from lab.lifecycle.smoke_server import IMAGE

TIMES = 5
REST_SECONDS = 60
LIMIT_SECONDS = 900
ACCOUNT = r"""
import collections, glob, json
held = collections.Counter()
for process in glob.glob("/proc/[0-9]*"):
    try:
        name = open(process + "/comm").read().strip()
        guest = "docker-" in open(process + "/cgroup").read() or name.startswith(("qemu-system", "containerd-shim"))
        if guest:
            lines = dict(line.split(":") for line in open(process + "/smaps_rollup").read().splitlines()[1:])
            held[name] += int(lines["Pss"].split()[0])
    except (OSError, ValueError):
        pass
print(json.dumps(held))
"""
"""Proportional set sizes (KiB) of what runs for guests on the machine, by program; run there, as root."""


class Bench:
    """One lab under measurement."""

    def __init__(self, name: str) -> None:
        home = labs.home_of(name)
        self.spec = settings.from_dict(home.state["spec"], "the lab's state")
        self.demo: Connection = access.connect(home.clouds_yaml, "demo")
        self.trove = Trove(self.demo)
        self.remote = Remote(labs.machine_of(home).address())
        self.password = secrets.token_hex(12)
        self.network = self.demo.network.find_network(NETWORK, ignore_missing=False).id
        self.flavor = self.demo.compute.find_flavor(FLAVOR, ignore_missing=False).id

    def server(self) -> tuple[float, float]:
        """(create to ACTIVE, delete to gone) of a plain server."""
        compute, began = self.demo.compute, monotonic()
        server = compute.create_server(
            name="bench-server",
            image_id=self.demo.image.find_image(IMAGE, ignore_missing=False).id,
            flavor_id=compute.find_flavor(SMOKE_FLAVOR, ignore_missing=False).id,
            networks=[{"uuid": self.network}],
        )
        compute.wait_for_server(server, interval=0.5, wait=LIMIT_SECONDS)
        made = monotonic() - began
        began = monotonic()
        compute.delete_server(server)
        compute.wait_for_delete(server, interval=0.5, wait=LIMIT_SECONDS)
        return made, monotonic() - began

    def create(self, count: int, datastore: str) -> dict[str, object]:
        """``count`` instances asked for at once: seconds until each is ACTIVE, and until all answer SQL."""
        version = str(self.trove.newest(datastore))
        began = monotonic()
        wanted = [
            self.trove.create(
                f"bench-{number}",
                flavorRef=self.flavor,
                datastore={"type": datastore, "version": version},
                nics=[{"net-id": self.network}],
                databases=[{"name": DATABASE}],
                users=[{"name": USER, "password": self.password, "databases": [{"name": DATABASE}]}],
            )
            for number in range(count)
        ]
        active: dict[str, float] = {}
        answered: dict[str, float] = {}
        failed: dict[str, str] = {}

        def done() -> bool:
            for one in self.trove.instances():
                if one["id"] not in wanted or one["id"] in answered or one["id"] in failed:
                    continue
                if one["status"] in ACTIVE:
                    active.setdefault(one["id"], monotonic() - began)
                    self._ask(one, datastore)
                    answered[one["id"]] = monotonic() - began
                elif one["status"] in {"ERROR", "FAILED"}:
                    failed[one["id"]] = str(self.trove.instance(one["id"]).get("fault", {}).get("message", ""))[:200]
            return len(answered) + len(failed) == count

        until(
            # each look costs Trove a handful of Neutron's answers an instance
            "all instances to answer", done, seconds=LIMIT_SECONDS, setting="LIMIT_SECONDS",
            every=max(1.0, count / 5), transient=(*sql.ERRORS, LabError),
        )  # fmt: skip
        return {
            "asked": count,
            "answered": len(answered),
            "failed": sorted(set(failed.values())),
            "active, first": min(active.values(), default=None),
            "active, median": statistics.median(active.values()) if active else None,
            "all answer SQL": max(answered.values(), default=None),
        }

    def delete(self) -> float:
        """Seconds until every instance of the bench is gone."""
        began = monotonic()
        for one in self._ours():
            with contextlib.suppress(LabError):  # one that failed may go by itself meanwhile
                self.trove.delete(one)
        until(
            "the instances to be gone", lambda: not self._ours(), seconds=LIMIT_SECONDS, setting="LIMIT_SECONDS",
            every=1.0,
        )  # fmt: skip
        return monotonic() - began

    def rest(self) -> float:
        """Share of one processor that nova-compute uses while nobody asks anything (its own threads only)."""
        before = self._compute_seconds()
        pause(REST_SECONDS)
        return (self._compute_seconds() - before) / REST_SECONDS

    def memory(self) -> tuple[float, dict[str, float]]:
        """MiB that are not available on the machine's host, and MiB by program of what runs for guests."""
        text = self.remote.run("sh", "-c", "sync && echo 3 > /proc/sys/vm/drop_caches && cat /proc/meminfo").stdout
        kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()}
        programs = json.loads(self.remote.run("python3", "-", stdin=ACCOUNT).stdout)
        return (kib["MemTotal"] - kib["MemAvailable"]) / 1024, {k: v / 1024 for k, v in programs.items()}

    def _ours(self) -> list[str]:
        return [i["id"] for i in self.trove.instances() if i["name"].startswith("bench-")]

    def _ask(self, one: dict[str, Any], datastore: str) -> None:
        address = one["addresses"][0]["address"]
        with sql.session(self.remote, Login(datastore, address, USER, self.password, DATABASE)) as db:
            db.execute("SELECT 1")

    def _compute_seconds(self) -> float:
        pid = self.remote.run("systemctl", "show", "--value", "-p", "MainPID", "nova-compute").stdout.strip()
        fields = self.remote.run("cat", f"/proc/{pid}/stat").stdout.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / int(self.remote.run("getconf", "CLK_TCK").stdout)


class Rows(dict[str, object]):
    """Figures; each is said on standard error when it is there."""

    def __setitem__(self, name: str, value: object) -> None:
        super().__setitem__(name, value)
        print(f"{name}: {value}", file=sys.stderr)


def main() -> None:
    """Print the figures as JSON."""
    bench = Bench(sys.argv[1] if len(sys.argv) > 1 else "lab")
    rows = Rows()
    servers = [bench.server() for _ in range(TIMES)]
    rows["hypervisor"] = bench.spec.hypervisor
    rows["plain server, create to ACTIVE, each"] = [made for made, _ in servers]
    rows["plain server, delete, each"] = [gone for _, gone in servers]
    for datastore in ("mariadb", "postgresql"):
        _singles(bench, rows, datastore)
    for count in (10, 30):
        before, programs_before = bench.memory()
        rows[f"{count} mariadb at once"] = bench.create(count, "mariadb")
        rows[f"{count} mariadb, nova-compute's share of a processor at rest"] = bench.rest()
        after, programs = bench.memory()
        rows[f"{count} mariadb, MiB each"] = (after - before) / count
        each = {name: (held - programs_before.get(name, 0)) / count for name, held in programs.items()}
        rows[f"{count} mariadb, MiB each by program"] = {k: round(v, 1) for k, v in each.items() if v >= 0.5}
        rows[f"{count} mariadb, all deleted"] = bench.delete()
    print(json.dumps(rows, indent=1))


def _singles(bench: Bench, rows: Rows, datastore: str) -> None:
    singles, deletes = [], []
    for _ in range(TIMES):
        singles.append(bench.create(1, datastore))
        deletes.append(bench.delete())
    rows[f"{datastore}, create to ACTIVE, each"] = [one["active, first"] for one in singles]
    rows[f"{datastore}, create to first SQL, each"] = [one["all answer SQL"] for one in singles]
    rows[f"{datastore}, delete, each"] = deletes


if __name__ == "__main__":
    main()
