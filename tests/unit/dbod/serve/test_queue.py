"""The durable queue: order, exclusion, a kill between every two commits, schedules with a given clock."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.core import errors, waits
from lab.core.home import Home
from lab.dbod.contract import Operation, Request
from lab.dbod.database import Database
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.providers.shared import Shared
from lab.dbod.providers.trove import CloudHost
from lab.dbod.schedules import Schedule
from lab.dbod.serve import backoff, views
from lab.dbod.serve.backoff import Backoff
from lab.dbod.serve.book import FIELD
from lab.dbod.serve.clock import Now
from lab.dbod.serve.queue import ATTEMPTS, JobState, Queue, QueuedJob
from lab.dbod.serve.service import LOOK_SECONDS, Service
from lab.dbod.serve.states import KEPT, States
from tests.unit.dbod.faketrove import access
from tests.unit.dbod.tinyhost import TinyHost

Op = Operation
T = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)  # a Wednesday


LOOK = timedelta(seconds=LOOK_SECONDS)


def at(wall: datetime, set_by: timedelta = timedelta(0)) -> Now:
    """That moment, with a clock of the wall that was set forward (or back) meanwhile."""
    return Now(wall + set_by, (wall - T).total_seconds())


def quiet(_: str) -> None:
    pass


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "dbod.db", "unit")


def serve(root: Path, database: Database | None = None, workers: int = 1) -> Service:
    found = database or Database(root / "dbod.db", "unit")
    return Service(TinyHost(root, found), found, workers, quiet)


def run_all(service: Service) -> None:
    service.workers.recover()
    while service.workers.run_one():
        pass


# --- order and exclusion -----------------------------------------------------------------------------------


def test_jobs_of_one_instance_run_in_order_and_others_beside_them(database: Database) -> None:
    queue = Queue(database)
    a1, a2, b1 = (queue.accept(Request(Op.START, name), "t") for name in ("a", "a", "b"))
    assert queue.busy() == {"a": "JOB_PENDING", "b": "JOB_PENDING"}
    assert [_id(queue.claim()), _id(queue.claim()), queue.claim()] == [a1.id, b1.id, None]
    assert queue.busy() == {"a": "BUSY", "b": "BUSY"}
    end(queue, a1)
    assert _id(queue.claim()) == a2.id


def test_a_job_about_two_instances_waits_for_both_and_holds_both(database: Database) -> None:
    queue = Queue(database)
    first = queue.accept(Request(Op.START, "b"), "t")
    clone = queue.accept(Request(Op.CLONE, "a", target="b"), "t")
    after = queue.accept(Request(Op.BACKUP, "a"), "t")
    assert _id(queue.claim()) == first.id
    assert queue.claim() is None
    end(queue, first)
    assert _id(queue.claim()) == clone.id
    assert queue.claim() is None
    end(queue, clone)
    assert _id(queue.claim()) == after.id


def test_a_key_makes_asking_again_harmless(database: Database) -> None:
    queue = Queue(database)
    first = queue.accept(Request(Op.BACKUP, "a"), "t", "k")
    assert queue.accept(Request(Op.BACKUP, "a"), "t", "k") == first
    assert len(queue.newest()) == 1
    with pytest.raises(errors.Refused, match="another job"):
        queue.accept(Request(Op.BACKUP, "b"), "t", "k")


def test_many_workers_never_run_two_jobs_of_one_instance_together(tmp_path: Path) -> None:
    service, inside, together, order = serve(tmp_path, workers=6), set[str](), [], list[tuple[str, int]]()
    guard = threading.Lock()

    def start(request: Request, note: waits.Note) -> None:
        with guard:
            together.append(request.instance in inside)
            inside.add(request.instance)
            order.append((request.instance, int(request.id.rsplit("-")[-1])))
        waits.pause(0.001)
        with guard:
            inside.discard(request.instance)

    class Busy(TinyHost):
        @property
        def does(self) -> dict[Operation, Any]:
            return {**super().does, Op.START: start}

    service.workers._provider = Busy(tmp_path)
    asked = [service.queue.accept(Request(Op.START, f"i{n % 4}"), "t") for n in range(80)]
    service.workers.start()
    waits.until("the jobs' end", lambda: all(service.queue.get(job.id).done for job in asked), seconds=20, every=0.05)
    done = [service.queue.get(job.id) for job in asked]
    service.workers.stop(5)
    waits.cancelled.clear()
    assert {job.state for job in done} == {JobState.FINISHED_OK}
    assert together == [False] * 80
    assert all(
        [n for i, n in order if i == name] == sorted(n for i, n in order if i == name) for name in inside | {"i0"}
    )


def _id(job: QueuedJob | None) -> int:
    assert job is not None
    return job.id


def end(queue: Queue, job: QueuedJob) -> None:
    queue.finish(job, JobState.FINISHED_OK, "native", "", None, None, lambda *_: None)


# --- a kill between every two commits ----------------------------------------------------------------------

STORY: list[tuple[Operation, str, dict[str, Any]]] = [
    (Op.CREATE, "a", {}),
    (Op.BACKUP, "a", {}),
    (Op.RESTORE, "a", {}),
    (Op.CLONE, "a", {"target": "b"}),
    (Op.BACKUP, "b", {}),
    (Op.STOP, "a", {}),
    (Op.CREATE, "c", {}),
    (Op.DESTROY, "c", {}),
]


class Doomed(Database):
    """Ends its process as SIGKILL would, at a border of one of its commits: 2n is before the nth, 2n+1 after it."""

    border = -1
    count = 0

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        with super().write() as change:
            yield change
            self._border()
        self._border()

    def _border(self) -> None:
        Doomed.count += 1
        if Doomed.count - 1 == Doomed.border:
            os._exit(9)


def tell(service: Service) -> None:
    """Ask for the whole story, as an asker that had no answer does: with the same keys."""
    for number, (operation, name, given) in enumerate(STORY):
        service.queue.accept(Request(operation, name, **given), "t", f"story-{number}")


def in_a_child(body: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole_story(root: Path, border: int) -> None:
    Doomed.border, Doomed.count = border, 0
    service = serve(root, Doomed(root / "dbod.db", "unit"))
    tell(service)
    run_all(service)


def test_a_kill_at_any_border_of_a_commit_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    border, killed = 0, True
    while killed:
        root = tmp_path / str(border)
        root.mkdir()
        code = in_a_child(lambda root=root, border=border: whole_story(root, border))  # type: ignore[misc]
        assert code in {0, 9}
        killed = code == 9
        after = serve(root)
        accepted = len(after.queue.newest())
        tell(after)
        run_all(after)
        jobs = after.queue.newest()
        assert len(jobs) == len(STORY) >= accepted
        assert {job.state for job in jobs} == {JobState.FINISHED_OK}, (border, jobs)
        host = TinyHost(root)
        assert host.names() == ["a", "b"]
        of_a, of_b = host.read("a")["effects"], host.read("b")["effects"]
        assert [word.split()[0] for word in of_a] == ["create", "backup", "restore"], border
        assert [word.split()[0] for word in of_b] == ["clone", "backup"], border
        assert [change["attribute"] for change in after.book.history("a")] == ["clone", "data", "instance"]
        border += 1
    assert border > 6 * len(STORY)  # accepted, claimed, noted, ended: the borders were really there


def test_a_stopped_server_gives_the_job_back(tmp_path: Path) -> None:
    service = serve(tmp_path)
    service.provider._slow = 60.0  # type: ignore[attr-defined]
    job = service.queue.accept(Request(Op.CREATE, "a"), "t")
    service.workers.start()
    waits.until("the job to run", lambda: service.queue.get(job.id).state == JobState.RUNNING, seconds=5, setting="",
                every=0.01)  # fmt: skip
    service.workers.stop(0.2)
    waits.cancelled.clear()
    left = service.queue.get(job.id)
    assert left.state == JobState.PENDING
    assert "stopped" in service.queue.log(job.id)[-1]
    run_all(serve(tmp_path))
    assert Queue(Database(tmp_path / "dbod.db", "unit")).get(job.id).state == JobState.FINISHED_OK


# --- workers that die ---------------------------------------------------------------------------------------


class Deadly(TinyHost):
    """Its start is the test's."""

    body: Callable[[], Any]

    @property
    def does(self) -> dict[Operation, Any]:
        return {**super().does, Op.START: lambda _r, _n: self.body()}


def test_a_job_that_kills_its_server_each_time_fails_in_the_end(tmp_path: Path) -> None:
    service = serve(tmp_path)
    made, deadly, after = (service.queue.accept(Request(op, "a"), "t") for op in (Op.CREATE, Op.START, Op.BACKUP))

    def life() -> None:
        born = serve(tmp_path)
        born.workers._provider = host = Deadly(tmp_path)
        host.body = lambda: os._exit(9)
        run_all(born)

    lives = [in_a_child(life) for _ in range(6)]
    assert lives == [9] * ATTEMPTS + [0] * (6 - ATTEMPTS)
    ended = service.queue.get(deadly.id)
    assert (ended.state, ended.attempts) == (JobState.FINISHED_FAIL, ATTEMPTS)
    assert ended.error is not None
    assert ended.error["cause"] == (
        "Job 2 (start a) did not finish in 3 attempts and is not started again: the server ended while this ran."
    )
    assert {service.queue.get(job.id).state for job in (made, after)} == {JobState.FINISHED_OK}


def test_a_stop_in_order_is_no_attempt(tmp_path: Path) -> None:
    service = serve(tmp_path)
    service.workers._provider = host = Deadly(tmp_path)

    def stopped() -> None:
        raise errors.Interrupted("it again")

    host.body = stopped
    job = service.queue.accept(Request(Op.START, "a"), "t")
    for _ in range(2 * ATTEMPTS):
        assert not service.workers.run_one()
    left = service.queue.get(job.id)
    assert (left.state, left.attempts) == (JobState.PENDING, 0)


def test_a_worker_that_dies_is_started_again_and_this_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.dbod.serve.backoff.WORKER", Backoff(0.01, 0.02))
    said = list[str]()
    found = Database(tmp_path / "dbod.db", "unit")
    service = Service(TinyHost(tmp_path, found), found, 2, said.append)
    service.workers._provider = host = Deadly(tmp_path)
    host.body = object  # no JSON can tell that: how it went cannot be written down
    asked = [service.queue.accept(Request(op, "a"), "t") for op in (Op.CREATE, Op.START, Op.BACKUP)]
    service.workers.start()
    waits.until("the jobs' end", lambda: all(service.queue.get(job.id).done for job in asked), seconds=20, every=0.01)
    service.workers.stop(5)
    waits.cancelled.clear()
    states = [service.queue.get(job.id).state for job in asked]
    assert states == [JobState.FINISHED_OK, JobState.FINISHED_FAIL, JobState.FINISHED_OK]
    assert "its worker ended: TypeError" in str(service.queue.get(asked[1].id).why)
    assert service.workers.restarts == ATTEMPTS
    assert sum("of the server died: TypeError" in line for line in said) == ATTEMPTS


def test_a_worker_that_is_dead_is_an_alarm_until_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.dbod.serve.backoff.WORKER", Backoff(0.01, 0.01))
    service, claim, broken = serve(tmp_path), Queue.claim, [True]

    def claims(queue: Queue) -> QueuedJob | None:
        if broken:
            raise SystemExit("told to end")
        return claim(queue)

    monkeypatch.setattr(Queue, "claim", claims)
    service.workers.start()
    waits.until("the death", service.alarms, seconds=20, every=0.01)
    (alarm,) = service.alarms()
    assert (alarm.what, alarm.error) == ("worker-0 of the server died", "SystemExit: told to end")
    assert views.alarm(alarm).next >= views.alarm(alarm).since
    broken.clear()
    waits.until("the alarm's end", lambda: not service.alarms(), seconds=20, every=0.01)
    service.workers.stop(5)
    waits.cancelled.clear()


@pytest.mark.parametrize(("failures", "seconds"), [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (1000, 3600)])
def test_the_back_off_doubles_to_its_cap(failures: int, seconds: float) -> None:
    assert backoff.BACKUP.after(failures) == seconds


def test_a_fault_in_a_round_does_not_end_the_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.dbod.serve.service.BEAT_SECONDS", 0.01)
    service, rounds = serve(tmp_path), list[int]()

    def beat(*_: object) -> None:
        rounds.append(len(rounds))
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(service, "beat", beat)
    service.start()
    waits.until("the second round", lambda: len(rounds) > 1, seconds=20, every=0.01)
    service.stop()
    waits.cancelled.clear()
    assert "ZeroDivisionError" in service.trouble


# --- how a job ends ----------------------------------------------------------------------------------------


def test_refusals_faults_and_warnings_end_a_job_as_dbod_names_it(tmp_path: Path) -> None:
    service = serve(tmp_path)

    def warns(_request: Request, note: waits.Note) -> None:
        note("warning: it was a near thing")

    def faulty(_request: Request, _note: waits.Note) -> None:
        raise ZeroDivisionError("by zero")

    class Odd(TinyHost):
        @property
        def does(self) -> dict[Operation, Any]:
            return {**super().does, Op.START: warns, Op.STOP: faulty}

    service.workers._provider = Odd(tmp_path)
    asked = [
        service.queue.accept(Request(op, "a"), "t") for op in (Op.CREATE, Op.RESTORE, Op.START, Op.STOP, Op.PROMOTE)
    ]
    run_all(service)
    ended = [service.queue.get(job.id) for job in asked]
    fail = JobState.FINISHED_FAIL
    assert [job.state for job in ended] == [JobState.FINISHED_OK, fail, JobState.FINISHED_WARNING, fail, fail]
    assert ended[1].error is not None
    assert ended[1].error["cause"] == "a has no backup."
    assert ended[2].why == "it was a near thing"
    assert "ZeroDivisionError" in str(ended[3].why)
    assert ended[4].outcome == "missing"
    assert service.queue.busy() == {}


def test_a_disk_that_was_full_lets_the_job_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = serve(tmp_path)
    job = service.queue.accept(Request(Op.CREATE, "a"), "t")
    finish, full = service.queue.finish, [errors.DiskFull("x")]

    def fails_once(*words: Any) -> None:
        if full:
            raise full.pop()
        finish(*words)

    monkeypatch.setattr(service.queue, "finish", fails_once)
    monkeypatch.setattr("lab.dbod.serve.workers.LOOK_SECONDS", 0.01)
    run_all(service)
    run_all(service)
    assert service.queue.get(job.id).state == JobState.FINISHED_OK
    assert TinyHost(tmp_path).read("a")["effects"] == ["create"]


def test_a_damaged_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "dbod.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(errors.StateBroken, match="not a database"):
        Database(tmp_path / "dbod.db", "unit")


# --- schedules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "hour", "day", "latest", "following"),
    [
        (24, 3, 0, "2026-03-04 03:00", "2026-03-05 03:00"),
        (6, 1, 0, "2026-03-04 07:00", "2026-03-04 13:00"),
        (168, 5, 2, "2026-03-04 05:00", "2026-03-11 05:00"),
        (168, 5, 4, "2026-02-27 05:00", "2026-03-06 05:00"),
        (1, 0, 0, "2026-03-04 12:00", "2026-03-04 13:00"),
    ],
)
def test_due_times(every: int, hour: int, day: int, latest: str, following: str) -> None:
    one = Schedule("a", every, hour, day, 7, T)
    assert f"{one.latest(T):%Y-%m-%d %H:%M}" == latest
    assert f"{one.following(T):%Y-%m-%d %H:%M}" == following


def scheduled(root: Path) -> Service:
    service = serve(root)
    service.queue.accept(Request(Op.CREATE, "a"), "t")
    run_all(service)
    service.scheduler.schedules.set(Request(Op.AUTOMATIC_BACKUPS, "a", every=6, keep=3), T)
    return service


def test_a_backup_comes_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    assert service.scheduler.tick(at(T)) == []
    assert service.scheduler.tick(at(T + timedelta(hours=5, minutes=29))) == []
    (job,) = service.scheduler.tick(at(T + timedelta(hours=5, minutes=30)))
    assert service.scheduler.tick(at(T + timedelta(hours=5, minutes=31))) == []
    run_all(service)
    assert [(b["id"], b["automatic"]) for b in TinyHost(tmp_path).read("a")["backups"]] == [(job.request.id, True)]
    assert service.scheduler.runs("a")[0]["missed"] == 0
    assert service.queue.backups_a_day(1) == [
        {"day": f"{datetime.now(UTC):%Y-%m-%d}", "automatic": 1, "failed": 0, "n": 1}
    ]


def test_what_was_missed_is_run_once_and_recorded(tmp_path: Path) -> None:
    scheduled(tmp_path)
    again = serve(tmp_path)  # it was down for two days: 18:00, then seven more
    now = T + timedelta(days=2)
    (job,) = again.scheduler.tick(at(now))
    assert again.scheduler.tick(at(now)) == []
    (run,) = again.scheduler.runs("a")
    assert run == {"due": "2026-03-06T12:00:00+00:00", "at": now.isoformat(), "missed": 8, "job": job.id}
    assert "8 due times missed" in again.queue.log(job.id)[0]
    (following,) = again.scheduler.tick(at(T + timedelta(days=2, hours=6)))
    assert following.id != job.id
    assert [r["missed"] for r in again.scheduler.runs("a")] == [1, 8]  # the second was half an hour late


def test_a_kill_never_makes_two_backups_of_one_due_time(tmp_path: Path) -> None:
    scheduled(tmp_path)
    now = T + timedelta(hours=6)
    for border in range(4):

        def body(border: int = border) -> None:
            Doomed.border, Doomed.count = border, 0
            service = serve(tmp_path, Doomed(tmp_path / "dbod.db", "unit"))
            service.scheduler.tick(at(now))

        in_a_child(body)
    service = serve(tmp_path)
    service.scheduler.tick(at(now))
    assert [job.operation for job in service.queue.newest()] == [Op.BACKUP, Op.CREATE]
    assert len(service.scheduler.runs("a")) == 1


def test_switching_off_and_destroying_end_the_schedule(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    service.queue.accept(Request(Op.AUTOMATIC_BACKUPS, "a", on=False), "t")
    run_all(service)
    assert service.scheduler.schedules.all() == []
    service.scheduler.schedules.set(Request(Op.AUTOMATIC_BACKUPS, "a"), T)
    service.queue.accept(Request(Op.DESTROY, "a"), "t")
    run_all(service)
    assert service.scheduler.schedules.of("a") is None


# --- a clock that is set ------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


def backups(service: Service) -> int:
    return sum(job.operation is Op.BACKUP for job in service.queue.newest(limit=1000))


def live(service: Service, hours: int, set_by: timedelta, since: int = 0) -> list[int]:
    """Tick every quarter of an hour with a clock that is set by that much; the steady one's hours of the backups."""
    found = []
    for quarter in range(4 * since, 4 * (since + hours)):
        for _ in service.scheduler.tick(at(T + quarter * HOUR / 4, set_by)):
            found.append(quarter // 4)
            run_all(service)
    return found


@pytest.mark.parametrize("hours", [-1000, -30, -6, -5, -1, 1, 5, 6, 30, 1000])
def test_a_clock_that_is_set_while_the_server_runs_neither_skips_nor_doubles_a_backup(
    tmp_path: Path, hours: int
) -> None:
    service = scheduled(tmp_path)  # at 18:00 and every six hours: after 5.5 hours by the steady clock
    assert live(service, 8, timedelta(0)) == [5]
    after = [hour - 5 for hour in live(service, 48, hours * HOUR, since=8)]
    assert after[0] == 6  # the one that was planned is made when six hours have passed
    gaps = [b - a for a, b in itertools.pairwise(after)]
    assert all(3 <= gap <= 9 for gap in gaps), after
    assert gaps[1:] == [6] * len(gaps[1:]), after  # and on the hours that the clock now says
    assert sum(run["missed"] for run in service.scheduler.runs("a")) == 0


@pytest.mark.parametrize("hours", [-1000, -6, -1])
def test_a_clock_that_went_back_over_a_restart_neither_skips_nor_doubles_a_backup(tmp_path: Path, hours: int) -> None:
    assert live(scheduled(tmp_path), 7, timedelta(0)) == [5]
    again = serve(tmp_path)
    assert live(again, 1, hours * HOUR, since=7) == []
    first, *_ = live(again, 24, hours * HOUR, since=8)
    assert 3 <= first - 7 <= 9


def test_what_the_page_says_comes_next_is_when_it_comes(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    service.scheduler.tick(at(T))
    one = service.scheduler.schedules.of("a")
    assert one is not None
    assert service.scheduler.following(one, at(T + HOUR, -2 * HOUR)) == T + 5.5 * HOUR - 2 * HOUR


def test_a_clock_that_is_set_back_does_not_stop_the_looks(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    looks = list[datetime]()

    def look(now: datetime) -> None:
        looks.append(now)

    service.look = look  # type: ignore[method-assign]
    service.beat(at(T))
    service.beat(at(T + LOOK, -24 * HOUR))
    assert len(looks) == 2


# --- a scheduled backup that fails ---------------------------------------------------------------------------

MINUTE = timedelta(minutes=1)
DUE = T + 5.5 * HOUR


def failing(root: Path, monkeypatch: pytest.MonkeyPatch, wall: list[datetime]) -> Service:
    """A schedule's first backup has failed; ``wall`` is the clock of jobs."""
    monkeypatch.setattr("lab.dbod.serve.queue.now", lambda: wall[0].isoformat())
    monkeypatch.setattr("lab.dbod.serve.queue.moment", lambda: wall[0])
    service = scheduled(root)
    TinyHost(root).write("a", {**TinyHost(root).read("a"), "state": "STOPPED"})
    service.scheduler.tick(at(T))
    assert len(service.scheduler.tick(at(DUE))) == 1
    run_all(service)
    return service


def test_a_scheduled_backup_that_fails_is_tried_again_later_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = [DUE]
    service = failing(tmp_path, monkeypatch, wall)
    tries = list[int]()
    for minute in range(200):
        wall[0] = DUE + minute * MINUTE
        if service.scheduler.tick(at(wall[0])):
            tries.append(minute)
            run_all(service)
    assert tries == [1, 3, 7, 15, 31, 63, 123, 183]
    (alarm,) = service.scheduler.alarms(at(wall[0]))
    assert (alarm.what, alarm.tries) == ("The automatic backup of a fails", 9)
    assert (alarm.since, alarm.error) == (DUE, "a does not answer.")
    assert alarm.next == DUE + 243 * MINUTE
    row = views.alarm(alarm)
    assert (row.since, row.next) == ("2026-03-04T18:00:00+00:00", "2026-03-04T22:03:00+00:00")


def test_the_alarm_goes_when_it_works_again_and_both_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, said = [DUE], list[str]()
    service = failing(tmp_path, monkeypatch, wall)
    service._note = said.append
    service.beat(at(DUE))
    service.beat(at(DUE + MINUTE / 2))
    assert said == ["alarm: The automatic backup of a fails: a does not answer. Tried again at 2026-03-04 18:01 UTC"]
    assert [alarm.tries for alarm in service.scheduler.alarms(at(DUE))] == [1]
    TinyHost(tmp_path).write("a", {**TinyHost(tmp_path).read("a"), "state": "RUNNING"})
    wall[0] = DUE + MINUTE
    service.beat(at(wall[0]))
    assert service.scheduler.alarms(at(wall[0]))[0].next == wall[0]  # under way
    said.clear()
    run_all(service)
    service.beat(at(DUE + 2 * MINUTE))
    assert service.scheduler.alarms(at(DUE + 2 * MINUTE)) == []
    assert said[-1] == "no longer: The automatic backup of a fails"
    assert service.scheduler.tick(at(DUE + HOUR)) == []
    assert len(service.scheduler.tick(at(DUE + 6 * HOUR))) == 1


@pytest.mark.parametrize("ends", [Op.BACKUP, Op.AUTOMATIC_BACKUPS])
def test_a_backup_by_hand_or_another_schedule_ends_the_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Operation
) -> None:
    service = failing(tmp_path, monkeypatch, [DUE])
    TinyHost(tmp_path).write("a", {**TinyHost(tmp_path).read("a"), "state": "RUNNING"})
    service.queue.accept(Request(ends, "a", every=6, keep=3), "t")
    run_all(service)
    assert service.scheduler.alarms(at(DUE + MINUTE)) == []


@pytest.mark.parametrize(("set_by", "minutes"), [(timedelta(0), 1), (-1000 * HOUR, 1), (1000 * HOUR, 0)])
def test_a_restart_knows_the_alarm_and_when_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by: timedelta, minutes: int
) -> None:
    failing(tmp_path, monkeypatch, [DUE])
    again = serve(tmp_path)
    assert [alarm.tries for alarm in again.scheduler.alarms(at(DUE, set_by))] == [1]
    tried = [n for n in range(4) if again.scheduler.tick(at(DUE + n * MINUTE, set_by))]
    assert tried[0] == minutes


def test_an_alarm_is_in_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = failing(tmp_path, monkeypatch, [DUE])
    assert [alarm.what for alarm in service.alarms()] == ["The automatic backup of a fails"]


# --- the state checker's record ----------------------------------------------------------------------------


def test_every_minute_a_look_and_no_more(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    service.refresh()
    for seconds in (0, 2, 58, 60, 62):
        service.beat(at(T + timedelta(seconds=seconds)))
    record = service.states.of("a", T)
    assert [row["at"] - int(T.timestamp()) for row in record] == [0, 60]
    assert record[0]["state"] == "RUNNING"
    assert service.states.summary(T)[0] == {"at": int(T.timestamp()), "state": "RUNNING", "n": 1, "seconds": 0.001}


def test_the_record_is_bounded(database: Database) -> None:
    states = States(database)
    for n in range(5):
        states.add([{"name": "a", "state": "RUNNING"}], T + n * KEPT / 2)
    assert len(states.of("a", T)) == 3


def test_a_provider_that_cannot_say_makes_states_unknown(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    service.refresh()

    def gone(_request: Request, _note: waits.Note) -> None:
        raise errors.DockerUnusable("no engine listens", "Start it.")

    class Away(TinyHost):
        @property
        def does(self) -> dict[Operation, Any]:
            return {**super().does, Op.CHECK: gone, Op.LIST: gone}

    service.provider = Away(tmp_path)
    service.beat(at(T + LOOK))
    assert service.fact("a")["state"] == "UNKNOWN"
    assert "no engine listens" in service.trouble
    with pytest.raises(errors.NotUp):
        service.need("nobody")
    service.provider = TinyHost(tmp_path)
    service.beat(at(T + 2 * LOOK))
    assert (service.fact("a")["state"], service.trouble) == ("RUNNING", "")


def test_an_older_answer_never_replaces_a_newer_one(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    service.refresh()
    host = TinyHost(tmp_path)

    def stops_meanwhile(operation: Operation) -> waits.Note:
        def handler(_request: Request, _note: waits.Note) -> Any:
            old = host.does[operation](_request, _note)
            service.queue.accept(Request(Op.STOP, "a"), "t")
            run_all(service)
            return old

        return handler  # type: ignore[return-value]

    looks: dict[Operation, Callable[[], None]] = {Op.LIST: service.refresh, Op.CHECK: lambda: service.look(T)}
    for operation, look in looks.items():

        class Slow(TinyHost):
            @property
            def does(self, operation: Operation = operation) -> dict[Operation, Any]:  # noqa: PLR0206
                return {**super().does, operation: stops_meanwhile(operation)}

        service.queue.accept(Request(Op.START, "a"), "t")
        run_all(service)
        assert service.fact("a")["state"] == "RUNNING"
        service.provider = Slow(tmp_path)
        look()
        service.provider = host
        assert service.fact("a")["state"] == "STOPPED", operation


def test_a_create_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    service = serve(tmp_path)

    def fails(_request: Request, _note: waits.Note) -> None:
        raise errors.DockerUnusable("no engine listens", "Start it.")

    class Broken(TinyHost):
        @property
        def does(self) -> dict[Operation, Any]:
            return {**super().does, Op.CREATE: fails}

    service.workers._provider = Broken(tmp_path)
    service.book.write("a", FIELD, {"project": "x"}, "t")
    service.queue.accept(Request(Op.CREATE, "a"), "t")
    run_all(service)
    assert service.book.fields() == {}


def test_trove_and_the_shared_server_are_served_through_the_same_contract(tmp_path: Path) -> None:
    home = Home("unit", tmp_path)
    home.make()
    trove = Service(CloudHost(access(home)[0]), Database(tmp_path / "trove.db", "unit"), 1, quiet)
    trove.refresh()
    trove.ask(Request(Op.CREATE, "a"), "t")
    run_all(trove)
    assert views.instance(trove.fact("a")).state == "RUNNING"
    with pytest.raises(errors.Missing, match="no scheduler"):
        trove.ask(Request(Op.AUTOMATIC_BACKUPS, "a"), "t")
    shared = Service(Shared(DockerHost(home, quiet, owned=True)), Database(tmp_path / "s.db", "unit"), 1, quiet)
    shared.refresh()
    assert shared.facts() == []
    with pytest.raises(errors.Missing, match="a snapshot holds every database"):
        shared.ask(Request(Op.BACKUP, "a"), "t")


def test_a_job_on_an_instance_counts_for_more_than_its_last_state(tmp_path: Path) -> None:
    service = scheduled(tmp_path)
    service.refresh()
    service.queue.accept(Request(Op.BACKUP, "a"), "t")
    assert service.fact("a")["state"] == "JOB_PENDING"
    service.queue.claim()
    assert service.fact("a")["state"] == "BUSY"
