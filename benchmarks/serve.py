"""Figures of dbod-serve over a container host: reads a second, and 1,000 jobs of which some are queued at a kill -9.

Run as ``python -m benchmarks.serve`` from the checkout on a host that is otherwise idle. It makes a container
host of its own (``dbod-bench``) with two instances and removes it.
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import statistics
import subprocess
import sys
import threading
from time import monotonic
from typing import Any

import psutil

from lab.core import waits
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.serve import server

NAME = "dbod-bench"
ASKERS = 4
SECONDS = 10.0
JOBS = 1000
SERVE = "import sys; from lab.dbod.serve import server; from lab.core.waits import silent; "
SERVE += f"server.serve('docker-host', 'lab', int(sys.argv[1]), silent, {NAME!r})"


class Bench:
    """One server process, started anew after a kill."""

    def __init__(self) -> None:
        self.home = Home(NAME)
        with server.listen(0) as free:
            self.port = int(free.getsockname()[1])
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until it answers."""
        began = monotonic()
        self.child = subprocess.Popen([sys.executable, "-c", SERVE, str(self.port)], cwd=RESOURCES)
        waits.until("the server", lambda: self.ask("GET", "/service"), seconds=120, setting="", every=0.02,
                    transient=(OSError, http.client.HTTPException))  # fmt: skip
        return monotonic() - began

    def end(self, number: int) -> None:
        """End it with that signal."""
        assert self.child is not None
        self.child.send_signal(number)
        self.child.wait(60)

    def connection(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)

    def ask(self, method: str, path: str, body: Any = None, key: str = "", by: Any = None) -> Any:
        """What the server responds. Raises: OSError, HTTPException, AssertionError (it refused)."""
        connection = by or self.connection()
        headers = {"Authorization": f"Bearer {(self.home.path / 'serve.token').read_text().strip()}"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Content-Type": "application/json"} if body else {}
        connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status in (200, 202), said
        return json.loads(said)["response"]

    def reads(self, path: str) -> dict[str, float]:
        """``ASKERS`` ask for ``SECONDS``: answers a second, their median and 99th percentile in milliseconds."""
        times: list[float] = []
        until = monotonic() + SECONDS

        def ask() -> None:
            connection = self.connection()
            while (began := monotonic()) < until:
                self.ask("GET", path, by=connection)
                times.append(monotonic() - began)

        threads = [threading.Thread(target=ask) for _ in range(ASKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cuts = statistics.quantiles(times, n=100)
        return {"a second": len(times) / SECONDS, "median ms": cuts[49] * 1000, "p99 ms": cuts[98] * 1000}

    def jobs(self, names: list[str]) -> dict[str, object]:
        """First backups, behind which the others queue; killed at three quarters, then all are asked again."""

        def ask(number: int, by: Any) -> int:
            name, key = names[number % len(names)], f"bench-{number}"
            if number < JOBS // 10:
                return int(self.ask("POST", f"/rundeck/job/BACKUP/{name}", key=key, by=by)["id"])
            wanted = {"every": 168, "keep": number + 1}
            return int(self.ask("POST", f"/rundeck/job/ENABLE_AUTOMATIC_BACKUPS/{name}", wanted, key, by)["id"])

        began, by = monotonic(), self.connection()
        accepted = [ask(number, by) for number in range(JOBS * 3 // 4)]
        accepting = monotonic() - began
        at_kill = self.ask("GET", "/service")["jobs"]
        self.end(signal.SIGKILL)
        again = self.start()
        by = self.connection()
        everything = [ask(number, by) for number in range(JOBS)]
        waits.until("all to end", lambda: not self._left(), seconds=1800, setting="", every=0.5)
        whole = monotonic() - began
        ended = {job["id"]: job for job in self.ask("GET", f"/job?limit={JOBS}")}
        backups = [one["id"] for name in names for one in self.ask("GET", f"/instance/{name}/backup")["backups"]]
        return {
            "accepted a second": len(accepted) / accepting,
            "waiting or running at the kill": at_kill["PENDING"] + at_kill["RUNNING"],
            "seconds until it answered again": again,
            "lost": len(set(accepted) - set(ended)) + sum(a != b for a, b in zip(accepted, everything, strict=False)),
            "ended FINISHED_OK": sum(ended[job]["state"] == "FINISHED_OK" for job in everything),
            "begun twice": sum(ended[job]["attempts"] > 1 for job in everything),
            "backups wanted": JOBS // 10,
            "backups made": len(backups),
            "seconds for all": whole,
        }

    def _left(self) -> int:
        counts = self.ask("GET", "/service")["jobs"]
        return int(counts["PENDING"] + counts["RUNNING"])


def main() -> None:
    """Print the figures as JSON."""
    bench, names = Bench(), ["bench_a", "bench_b"]
    rows: dict[str, object] = {"load at the start": psutil.getloadavg()[0]}
    try:
        rows["seconds until it answers"] = bench.start()
        for name, kind in zip(names, ("MYSQL", "PG"), strict=True):
            bench.ask("POST", f"/instance/{name}?wait=60", {"db_type": kind})
        for path in (f"/instance/{names[0]}", "/instance", "/job?limit=20"):
            rows[f"GET {path}"] = bench.reads(path)
            print(path, rows[f"GET {path}"], file=sys.stderr)
        rows[f"{JOBS} jobs across a kill"] = bench.jobs(names)
    finally:
        bench.end(signal.SIGTERM)
        DockerHost(Home(NAME), waits.silent).remove_all()
        shutil.rmtree(bench.home.path)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
