"""Figures of the container host: a database of a gigabyte, and as many instances as DBOD had under the state checker.

Run as ``python -m benchmarks.dockerhost`` from the checkout on a host that is otherwise idle and has the engines'
images (``./inv image-build``). It makes a container host of its own (``dbod-bench``) and removes it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psutil

from lab.core import waits
from lab.core.home import Home
from lab.dbod import jobs
from lab.dbod.contract import Operation, State
from lab.dbod.dockerhost.provider import DockerHost

NAME = "dbod-bench"
FLEET = {"mariadb": 141, "postgresql": 27}
"""Lipp 2014: 168 instances, 141 of them MySQL."""
ROWS, EACH = 1_000_000, 100_000
"""A row is a kilobyte."""
CHECKS = 5
GENERATE = {
    "mariadb": "INSERT INTO big.big SELECT seq, REPEAT(MD5(seq), 32) FROM seq_{}_to_{}",
    "postgresql": "INSERT INTO big.big SELECT g, REPEAT(MD5(g::text), 32) FROM generate_series({}, {}) g",
}


class Bench:
    """A container host; ``rows`` is what is printed."""

    def __init__(self) -> None:
        self.host = DockerHost(Home(NAME), waits.silent)
        self.rows: dict[str, Any] = {"load at the start": psutil.getloadavg()[0]}

    def do(self, operation: Operation, name: str, **given: object) -> float:
        """Seconds of an operation that must succeed."""
        return round(jobs.value(self.host, operation, name, **given).seconds, 2)

    def gigabyte(self, engine: str) -> None:
        """Backup, restore and clone of a gigabyte, each seen by counting its rows."""
        name = f"big_{engine}"
        found = {"create to the first answer": self.do(Operation.CREATE, name, engine=engine)}
        with self.host.session(name) as session:
            session.execute("CREATE SCHEMA big")
            session.execute("CREATE TABLE big.big (id INTEGER PRIMARY KEY, pad TEXT)")
        for first in range(1, ROWS, EACH):
            with self.host.session(name) as session:
                session.execute(GENERATE[engine].format(first, first + EACH - 1))
        found["backup"] = self.do(Operation.BACKUP, name)
        self.change(name)
        found["restore"] = self.do(Operation.RESTORE, name, backup=self.newest(name))
        self.counted(name)
        found["clone"] = self.do(Operation.CLONE, name, target=f"{name}_b")
        self.counted(f"{name}_b")
        self.rows[f"{engine}, a gigabyte"] = found
        for one in (f"{name}_b", name):
            self.do(Operation.DESTROY, one)

    def newest(self, name: str) -> str:
        """The last backup's id."""
        return str(jobs.value(self.host, Operation.BACKUPS, name).value[-1]["id"])

    def change(self, name: str) -> None:
        """Something that a restore must take back."""
        with self.host.session(name) as session:
            session.execute("DELETE FROM big.big WHERE id <= 1000")

    def counted(self, name: str) -> None:
        """Every row is there."""
        with self.host.session(name) as session:
            assert session.execute("SELECT count(*) FROM big.big") == [(ROWS,)], name

    def fleet(self) -> None:
        """All instances, one by one; then the state checker over all, ``CHECKS`` times."""
        created = [
            self.do(Operation.CREATE, f"f_{engine}_{number}", engine=engine)
            for engine, count in FLEET.items()
            for number in range(count)
        ]
        self.rows["instances"] = len(created)
        self.rows["create, the slowest"] = max(created)
        process, walls, used = psutil.Process(), [], sum(psutil.Process().cpu_times()[:2])
        for _ in range(CHECKS):
            began = monotonic()
            states = [one["state"] for one in jobs.value(self.host, Operation.CHECK).value]
            walls.append(round(monotonic() - began, 2))
            assert states == [State.RUNNING] * len(created)
        self.rows["checked, seconds"] = walls
        self.rows["processor seconds of a check"] = round((sum(process.cpu_times()[:2]) - used) / CHECKS, 2)


@contextmanager
def made() -> Iterator[Bench]:
    """A bench whose container host goes at the end."""
    bench = Bench()
    bench.host.home.make()
    try:
        yield bench
    finally:
        bench.host.remove_all()
        shutil.rmtree(bench.host.home.path)


def main() -> None:
    """Print the figures as JSON."""
    with made() as bench:
        for engine in FLEET:
            bench.gigabyte(engine)
            print(bench.rows, file=sys.stderr)
        bench.fleet()
        print(json.dumps(bench.rows, indent=1))


if __name__ == "__main__":
    main()
