"""Drills of a schedule, instances that are nearly full, and what was done by hand: all are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lab.core import errors
from lab.core.home import Home
from lab.dbod import command, database
from lab.dbod.contract import Operation, Request
from lab.dbod.serve.queue import JobState, Queue
from lab.dbod.serve.room import Room
from lab.dbod.serve.service import Service
from tests.unit.dbod.tinyhost import TinyHost

from .test_queue import T, at, quiet, serve

DAY = timedelta(days=1)
CLOCK = [T]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The clock is the test's; an instance has a backup and, since a day before ``T``, a schedule with drills."""
    monkeypatch.setattr("lab.dbod.serve.queue.now", lambda: CLOCK[0].isoformat())
    CLOCK[0] = T
    made = serve(tmp_path)
    made.ask(Request(Operation.CREATE, "one"), "test")
    made.ask(Request(Operation.BACKUP, "one"), "test")
    made.ask(Request(Operation.AUTOMATIC_BACKUPS, "one", every=168, drill=3, keep=5), "test")
    while made.workers.run_one():
        pass
    schedule = made.scheduler.schedules
    schedule.set(Request(Operation.AUTOMATIC_BACKUPS, "one", every=168, day=1, drill=3, keep=5), T - DAY)
    return made


def drilled(service: Service, days: float) -> list[str]:
    """How the jobs ended that are due so many days after ``T``."""
    CLOCK[0] = T + days * DAY
    made = [job for job in service.scheduler.tick(at(T + days * DAY)) if job.operation is Operation.DRILL]
    while service.workers.run_one():
        pass
    return [service.queue.get(job.id).state for job in made]


def spoil(service: Service) -> None:
    host = service.provider
    assert isinstance(host, TinyHost)
    data = host.read("one")
    for one in data["backups"]:
        one["rows"] = ["spoilt"]
    host.write("one", data)


def test_a_drill_comes_when_its_days_are_over_and_not_before(service: Service) -> None:
    assert [drilled(service, days) for days in (0, 1.9, 2.1, 2.2, 5, 5.2)] == [
        [], [], [JobState.FINISHED_OK], [], [], [JobState.FINISHED_OK],
    ]  # fmt: skip


def test_a_drill_that_fails_is_told_and_tried_again_a_day_later(service: Service) -> None:
    spoil(service)
    assert drilled(service, 2.1) == [JobState.FINISHED_FAIL]
    (alarm,) = service.scheduler.alarms(at(T + 2.2 * DAY))
    assert "one was tried and is of no use" in alarm.what
    assert "it is spoilt" in alarm.error
    assert drilled(service, 2.6) == []
    assert drilled(service, 3.2) == [JobState.FINISHED_FAIL], "it waits for the third day after"
    service.ask(Request(Operation.BACKUP, "one"), "test")
    while service.workers.run_one():
        pass
    host = service.provider
    assert isinstance(host, TinyHost)
    data = host.read("one")
    data["backups"][-1]["rows"] = []
    host.write("one", data)
    assert drilled(service, 4.3) == [JobState.FINISHED_OK]
    assert service.scheduler.alarms(at(T + 4.4 * DAY)) == []


def test_without_a_period_there_is_none(service: Service) -> None:
    service.scheduler.schedules.set(Request(Operation.AUTOMATIC_BACKUPS, "one", every=168, day=1), T)
    assert drilled(service, 6) == []


def test_what_is_nearly_full_is_told_until_it_is_not() -> None:
    room = Room(60.0)
    room.saw([{"name": "a", "full": 0.95}, {"name": "b", "full": 0.5}, {"name": "c"}], T)
    room.saw([{"name": "a", "full": 0.97}], T + DAY)
    (alarm,) = room.alarms()
    assert (alarm.what, alarm.since, alarm.tries) == ("a has 97% of its room in use", T, 2)
    assert "./inv dbod resize --instance=a --disk=" in alarm.error
    room.saw([{"name": "a", "full": 0.4}], T + 2 * DAY)
    assert room.alarms() == []


def test_what_was_done_by_hand_is_in_history_and_figures(tmp_path: Path) -> None:
    home = Home("dbod-unit", tmp_path)
    home.make()
    queue = Queue(database.of(home))
    host = TinyHost(tmp_path / "host")
    host.root.mkdir()
    for wanted in (Request(Operation.CREATE, "one"), Request(Operation.BACKUP, "one"), Request(Operation.LIST)):
        command.perform(host, home, wanted, quiet)
    with pytest.raises(errors.NoSuch):
        command.perform(host, home, Request(Operation.BACKUP, "two"), quiet)
    done = queue.newest()
    assert [(job.operation, job.state, job.asker) for job in done] == [
        (Operation.BACKUP, JobState.FINISHED_OK, command.ASKER),
        (Operation.CREATE, JobState.FINISHED_OK, command.ASKER),
    ]
    assert queue.log(done[0].id)
    assert queue.busy() == {}
    assert [row["n"] for row in queue.backups_a_day(1)] == [1]
