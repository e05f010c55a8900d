"""A whole fleet at once: every database a container on this host, each answering a query, then taken down again."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from lab.core import raw_rows, waits
from lab.core.errors import BadFile, BadValue, HostTooSmall, Interrupted
from lab.core.progress import Progress
from lab.core.state import write_atomically
from lab.core.units import GIB, MIB
from lab.density import bake, engine
from lab.density.analysis import account
from lab.density.arms.base import Ground, Start
from lab.density.arms.containers import Containers
from lab.density.dockers import Dockers
from lab.density.engine import TRANSIENT, Place
from lab.density.folder import folder
from lab.density.host import journal, procfs, surroundings
from lab.density.host.cgroup import Budget
from lab.density.host.resident import Resident
from lab.host import packages as lab_host

STEP = "fleet"
DBOD = {"mariadb": 141, "postgresql": 27}
"""CERN's Database on Demand in 2014: 168 instances, 141 of them MySQL (Lipp 2014); MariaDB stands for MySQL."""
TOGETHER = 8
MOST = 1000
"""A Linux bridge has 1,024 ports."""
TYPICAL = 100 * MIB
"""Memory that one database is expected to need at least, in bytes, before anything is measured."""
SAMPLE_SECONDS = 5.0


@dataclass(frozen=True)
class Fleet:
    """How many databases of each engine, and where that comes from."""

    counts: dict[str, int]
    source: str

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def load(name: str) -> Fleet:
    """``dbod``, or a JSON file such as {"mariadb": 10, "postgresql": 2}. Raises: BadFile, BadValue, Unsupported."""
    if name == "dbod":
        return Fleet(dict(DBOD), "DBOD 2014: 141 MySQL (here MariaDB) and 27 others (here PostgreSQL)")
    path = Path(name)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(path, str(error), 'Give --fleet=dbod, or a JSON file such as {"mariadb": 10}.') from error
    if not isinstance(data, dict) or not data:
        raise BadFile(path, "it names no engine", 'It should look like {"mariadb": 10, "postgresql": 2}.')
    engine.named(list(data))
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in data.values()) or not sum(data.values()):
        raise BadValue("fleet", data, "a whole number of databases for each engine, at least one in all", name)
    return Fleet(data, str(path))


def fleet(
    name: str,
    out: Path,
    progress: Progress,
    *,
    settle_seconds: float = 60.0,
    answer_seconds: float = 300.0,
    install: bool = True,
) -> Path:
    """Bring the fleet up, watch it for ``settle_seconds``, ask each database again, take it down.

    ``out`` then holds rows.jsonl and fleet.json. Raises: HostTooSmall, DockerUnusable, Interrupted, BadFile.
    """
    wanted = load(name)
    if wanted.total > MOST:
        raise BadValue("fleet", wanted.total, f"at most {MOST} databases on one host", name)
    lab_host.ensure({"docker", "rootfs"}, lambda text: progress.note(STEP, text), folder() / "install.log", install)
    free = procfs.meminfo()["MemAvailable"]
    if wanted.total * TYPICAL > free:
        raise HostTooSmall(
            "memory",
            f"{free / GIB:.1f} GiB",
            f"about {wanted.total * TYPICAL / GIB:.1f} GiB for {wanted.total} databases",
            "Give a smaller fleet with --fleet=FILE.",
        )
    began = monotonic()
    progress.started(STEP, f"bringing up {wanted.total} databases as containers")
    status = "failed"
    with bake.alone():
        run_id = secrets.token_hex(4)
        dockers = Dockers(run_id)
        journal.sweep(dockers)
        record = journal.Journal(run_id)
        try:
            told = _run(
                wanted, Ground(dockers, record, None, answer_seconds), raw_rows.Rows(out), settle_seconds, progress
            )
            write_atomically(out / "fleet.json", json.dumps(told, indent=1))
            status = "done"
        except KeyboardInterrupt as stop:
            raise Interrupted(f"./inv density-fleet --fleet={name}") from stop
        finally:
            progress.note(STEP, "taking it down")
            journal.clean(record, dockers)
            progress.finished(STEP, status, monotonic() - began)
    return out


def summary(out: Path) -> list[str]:
    """What the fleet in ``out`` did, in sentences."""
    seen = json.loads((out / "fleet.json").read_text(encoding="utf-8"))
    said = [
        f"{seen['answered_at_start']} of {sum(seen['fleet'].values())} databases answered a query "
        f"{seen['up_seconds']:.0f} s after the first was ordered; {seen['answered_after_settling']} at the end.",
        f"Memory: {seen['memory_bytes'] / GIB:.1f} GiB for all, {seen['memory_bytes_each'] / MIB:.0f} MiB each.",
        f"{seen['source']}. Rows and figures: {out}",
    ]
    return [*said, *seen["failed"], *seen["dead"]]


def _run(
    wanted: Fleet, ground: Ground, out: raw_rows.Rows, settle_seconds: float, progress: Progress
) -> dict[str, Any]:
    def note(text: str) -> None:
        progress.note(STEP, text)

    baked = {
        name: bake.bake(ground.dockers, engine.ALL[name], note) for name, count in wanted.counts.items() if count
    }
    budget = Budget(ground.dockers.name, systemd=ground.dockers.systemd)
    ground.journal.cgroup(ground.dockers.name)
    budget.open(None)
    arms = {name: Containers(ground, one, budget, f"fleet-{name}") for name, one in baked.items()}
    outside = surroundings.outside()
    surroundings.drop_caches()
    before, free, began = procfs.meminfo(), procfs.available(), monotonic()
    starts: list[Start] = []
    for name, arm in arms.items():
        arm.open(wanted.counts[name])
        progress.note(STEP, f"starting {wanted.counts[name]} {name}")
        starts += arm.add(wanted.counts[name], TOGETHER)
    up_seconds = monotonic() - began
    for start in starts:
        out.add("start", **asdict(start))
    watched = _watch(list(arms.values()), free, settle_seconds, out, progress)
    answered, asked_seconds = _ask_all(arms)
    lost = free - procfs.available()
    told = {
        "fleet": wanted.counts,
        "source": wanted.source,
        "answered_at_start": sum(not s.error for s in starts),
        "failed": [f"{s.name}: {s.error}" for s in starts if s.error],
        "up_seconds": round(up_seconds, 2),
        "answered_after_settling": answered,
        "ask_all_seconds": round(asked_seconds, 2),
        "memory_bytes": lost,
        "memory_bytes_each": lost // max(1, answered),
        "outside_cores": outside,
        "sampling_cores": watched,
        "dead": [why for arm in arms.values() for why in arm.dead()],
        "parts": _total([arm.resident() for arm in arms.values()]),
        "kernel": {part: procfs.meminfo().get(part, 0) - before.get(part, 0) for part in account.KEPT},
    }
    for arm in arms.values():
        arm.close()
    budget.close()
    out.add("fleet", **told)
    return told


def _watch(arms: list[Containers], free: int, seconds: float, out: raw_rows.Rows, progress: Progress) -> float:
    """Sample until ``seconds`` are over; gives what sampling costs, in cores."""
    began, used = monotonic(), process_time()
    while monotonic() - began < seconds:
        dead = [why for arm in arms for why in arm.dead()]
        out.add(
            "fleet-sample",
            seconds=round(monotonic() - began, 2),
            lost=free - procfs.available(),
            dead=len(dead),
            stalled=procfs.pressure_full(),
        )
        progress.note(STEP, f"settling, {monotonic() - began:.0f} of {seconds:.0f} s")
        waits.pause(SAMPLE_SECONDS)
    cost = round((process_time() - used) / max(monotonic() - began, 0.01), 4)
    out.add("fleet-parts", parts=_total([arm.resident() for arm in arms]))
    return cost


def _ask_all(arms: dict[str, Containers]) -> tuple[int, float]:
    """How many answer a query now, and the seconds that asking all of them took."""
    began = monotonic()

    def asked(pair: tuple[str, Place]) -> bool:
        name, place = pair
        try:
            return engine.ALL[name].answers(place, bake.password())
        except TRANSIENT:
            return False

    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = list(pool.map(asked, [(name, place) for name, arm in arms.items() for place in arm.places()]))
    return sum(answers), monotonic() - began


def _total(residents: list[Resident]) -> dict[str, int]:
    """Parts summed over engines; the daemons are the same ones in each."""
    total: dict[str, int] = {}
    for one in residents:
        for name, size in one.parts.items():
            total[name] = size if name == "daemons" else total.get(name, 0) + size
    return total
