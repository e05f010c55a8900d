"""Open-loop load from this host: pgbench (-R -L) for PostgreSQL, sysbench (--rate) for MariaDB.

Latency counts from the scheduled start, so that a server which falls behind cannot hide it. sysbench 1.0's faults
are met as follows: an abort ("event queue is full", akopytov/sysbench#483) is a failed objective; counters are reset
after the warm-up (#408 otherwise); the uniform distribution is asked for (the default hits 1 % of the rows);
percentiles are taken from its histogram. The password travels in a file, never on a command line.

Each generator has a seed of its own: sysbench's default is the clock in seconds, so that all which start together
would ask at the same moments for the same rows.
"""

from __future__ import annotations

import hashlib
import re
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import Popen  # noqa: TID251 - the type of what lab.core.process gives

from scipy.stats import poisson

from lab.core import process, waits
from lab.core.errors import TimedOut
from lab.core.state import write_atomically
from lab.density.analysis import stats
from lab.density.engine import USER, Engine, Place
from lab.density.protocol import CHANCE

CLIENTS = 2
WARM_SECONDS = 3
GRACE_SECONDS = 45.0
LIMIT_MS = 1000
"""A transaction that is not begun within a second of its time is skipped and counted (pgbench -L)."""
Draw = tuple[int | str, ...]
"""What a window's seeds are made from: the study's seed, the block, N, the window's number in its trial."""
_BAR = re.compile(r"^\s+([\d.]+) \|\**\s+(\d+)$", re.MULTILINE)
_INTERVAL = re.compile(r"^\[ (\d+)s \].*\(ms,\d+%\): ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Load:
    """One database's window: sorted latencies in ms, transactions skipped or failed, ``drift`` of the median or p95.

    ``drift``: second half over first half of the window, 1 if the load was steady. ``error``: why there is no data.
    """

    latencies: tuple[float, ...]
    seconds: float
    skipped: int = 0
    failed: int = 0
    drift: float = 1.0
    error: str = ""

    @property
    def seen(self) -> int:
        """Transactions that the generator tells of, however they ended."""
        return len(self.latencies) + self.skipped + self.failed


@dataclass(frozen=True)
class Window:
    """All databases of one window. ``generator_cpu``: processor seconds of the load generators per wall second."""

    loads: tuple[Load, ...]
    rate: float
    generator_cpu: float

    def summary(self) -> dict[str, object]:
        """Plain values for a row; latencies in ms, ``lost`` the share skipped, failed or never begun."""
        broken = [load.error for load in self.loads if load.error or not load.latencies]
        pooled = sorted(v for load in self.loads for v in load.latencies)
        told: dict[str, object] = {"transactions": len(pooled), "broken": len(broken), "why": "".join(broken[:1])}
        told |= {"scheduled": round(self.scheduled), "missing": round(self.missing), "lost": round(self.lost, 5)}
        told["generator_cpu"] = round(self.generator_cpu, 3)
        told["tps"] = sum(len(load.latencies) / load.seconds for load in self.loads)
        if pooled:
            good = [load for load in self.loads if load.latencies]
            told["drift"] = median(load.drift for load in good)
            for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
                told[f"pooled_{name}"] = stats.percentile(pooled, share)
                told[f"worst_{name}"] = max(stats.percentile(load.latencies, share) for load in good)
            told["worst_p95_upper"] = max(stats.upper_quantile(load.latencies, 0.95) for load in good)
            told["pooled_p99_upper"] = stats.upper_quantile(pooled, 0.99)
        return told

    @property
    def scheduled(self) -> float:
        """How many transactions the generators meant to begin, the expectation of their Poisson arrivals."""
        return self.rate * sum(load.seconds for load in self.loads)

    @property
    def missing(self) -> float:
        """Scheduled transactions that were never seen, neither served nor skipped nor failed, beyond chance.

        A generator that falls behind shows it here alone: what waits when the window ends is in no report.
        """
        apart = sum(_short(self.rate * load.seconds, load.seen) for load in self.loads)
        return max(apart, _short(self.scheduled, sum(load.seen for load in self.loads)))

    @property
    def lost(self) -> float:
        """The share of scheduled transactions that was not served: skipped, failed, or missing beyond chance."""
        if not self.rate:
            return 0.0
        bad = sum(load.skipped + load.failed for load in self.loads) + self.missing
        return min(1.0, bad / max(1.0, sum(len(load.latencies) for load in self.loads) + bad))


def _short(expected: float, seen: int) -> float:
    return expected - seen if seen < poisson.ppf(CHANCE, expected) else 0.0


@dataclass
class _Generator:
    child: Popen[str]
    log: Path
    prefix: Path


def window(
    engine: Engine,
    places: Sequence[Place],
    password: str,
    folder: Path,
    *,
    rate: float,
    seconds: int,
    draw: Draw,
    aggressor: Place | None = None,
) -> Window:
    """Load every place with ``rate`` transactions a second for ``seconds`` after a warm-up.

    Arrivals at each are independent of the others', and are the same for the same ``draw``. ``aggressor`` is loaded
    as fast as it goes meanwhile, and is not in the result. Raises: TimedOut.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [
        _start(engine, place, password, folder / str(i), rate, seconds, seed(draw, i))
        for i, place in enumerate(places)
    ]
    noisy = []
    if aggressor:
        noisy = [_start(engine, aggressor, password, folder / "aggressor", 0, seconds, seed(draw, "aggressor"))]
    try:
        waits.until(
            "the load generators to end",
            lambda: all(g.child.poll() is not None for g in (*running, *noisy)),
            seconds=seconds + WARM_SECONDS + GRACE_SECONDS,
            every=0.2,
        )
    except TimedOut:
        pass
    finally:
        for generator in (*running, *noisy):
            process.stop(generator.child)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    loads = tuple(_result(engine, g, seconds) for g in running)
    shutil.rmtree(folder, ignore_errors=True)
    return Window(loads, rate, used / (seconds + WARM_SECONDS))


def seed(draw: Draw, instance: int | str) -> int:
    """A generator's seed, 1 to 2^31 - 1 (sysbench takes an int, and 0 for the clock)."""
    digest = hashlib.sha256(repr((*draw, instance)).encode()).digest()
    return int.from_bytes(digest[:8]) % (2**31 - 1) + 1


def command(engine: Engine, place: Place, prefix: Path, rate: float, seconds: int, seed: int) -> list[str]:
    """A generator's command line; ``rate`` 0: as fast as the database answers. ``prefix``: of the files it uses."""
    total, clients = seconds + WARM_SECONDS, CLIENTS if rate else 2 * CLIENTS
    if engine.name == "postgresql":
        words = ["pgbench", "-n", "-h", place.host, "-p", str(place.port), "-U", USER, "-T", str(total)]
        words += ["-c", str(clients), "-l", f"--log-prefix={prefix}", f"--random-seed={seed}"]
        words += ["-R", str(rate), "-L", str(LIMIT_MS)] if rate else []
        return [*words, place.database]
    words = ["sysbench", f"--config-file={_secret(prefix)}", "oltp_read_write", "--tables=1", "--table-size=60000"]
    words += ["--point-selects=4", "--range-selects=off", "--index-updates=1", "--non-index-updates=1"]
    words += ["--delete-inserts=0", "--rand-type=uniform", f"--rand-seed={seed}"]
    words += [f"--threads={clients}", f"--rate={round(rate)}", f"--time={total}"]
    return [*words, f"--report-checkpoints={WARM_SECONDS}", "--report-interval=1", "--histogram=on", "run"]


def _start(
    engine: Engine, place: Place, password: str, prefix: Path, rate: float, seconds: int, seed: int
) -> _Generator:
    log, secret = prefix.with_suffix(".log"), _secret(prefix)
    environment = {}
    if engine.name == "postgresql":
        write_atomically(secret, f"*:*:*:*:{password}\n", 0o600)
        environment = {"PGPASSFILE": str(secret)}
    else:
        options = {"host": place.host, "port": place.port, "user": USER, "password": password, "db": place.database}
        write_atomically(secret, "".join(f"mysql-{k}={v}\n" for k, v in options.items()), 0o600)
    words = command(engine, place, prefix, rate, seconds, seed)
    return _Generator(process.spawn(*words, log=log, env=environment, outlives_us=True), log, prefix)


def _secret(prefix: Path) -> Path:
    return prefix.with_suffix(".secret")


def _result(engine: Engine, generator: _Generator, seconds: int) -> Load:
    if generator.child.returncode != 0:
        return Load((), seconds, error=process.tail(generator.log, 2) or f"exit code {generator.child.returncode}")
    if engine.name == "postgresql":
        logs = sorted(generator.prefix.parent.glob(f"{generator.prefix.name}.[0-9]*"))
        return parse_pgbench("".join(p.read_text() for p in logs), seconds)
    return parse_sysbench(generator.log.read_text(errors="replace"), seconds)


def parse_pgbench(text: str, seconds: int) -> Load:
    """pgbench's transaction log (client, number, microseconds or a word, …); the warm-up is left out."""
    rows = [line.split() for line in text.splitlines()]
    timed = [(float(r[4]) + float(r[5]) / 1e6, r[2]) for r in rows if len(r) >= 6 and r[0].isdigit()]
    if not timed:
        return Load((), seconds, error="no transaction was logged")
    begin = min(at for at, _ in timed) + WARM_SECONDS
    kept = [(at, took) for at, took in timed if at >= begin]
    done = [(at, int(took) / 1000) for at, took in kept if took.isdigit()]
    halves = [[v for at, v in done if (at < begin + seconds / 2) is first] for first in (True, False)]
    drift = median(halves[1]) / median(halves[0]) if all(halves) else 1.0
    return Load(
        tuple(sorted(v for _, v in done)),
        seconds,
        skipped=sum(took == "skipped" for _, took in kept),
        failed=sum(took not in ("skipped",) and not took.isdigit() for _, took in kept),
        drift=drift,
    )


def parse_sysbench(text: str, seconds: int) -> Load:
    """sysbench's last report (since the checkpoint that ended the warm-up) and its lines of each second."""
    last = text.rpartition("Latency histogram")[2]
    bars = [(float(value), int(count)) for value, count in _BAR.findall(last)]
    if not bars:
        return Load((), seconds, error="no histogram was printed")
    failed = re.search(r"ignored errors:\s+(\d+)", last)
    lines = [float(p95) for second, p95 in _INTERVAL.findall(text) if int(second) > WARM_SECONDS]
    halves = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    drift = median(halves[1]) / median(halves[0]) if all(halves) and median(halves[0]) else 1.0
    values = tuple(value for value, count in bars for _ in range(count))
    return Load(values, seconds, failed=int(failed[1]) if failed else 0, drift=drift)
