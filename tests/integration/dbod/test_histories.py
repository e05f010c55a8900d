"""Random histories of a database on the real engines, against a model of what was committed when.

What must hold: a restore to a time gives exactly what was committed then, or is refused and changes nothing; and it
is refused only where it must be. ``LAB_HISTORIES`` is how many for each engine (10 unless told); they are the same
ones in every run. ``LAB_SEEDS`` is in how many parts they are made, each with so many and a seed of its own (0, 1,
…): ``pytest -n`` runs the parts beside each other, each worker on a host of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import hypothesis.core
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from lab.core import waits
from lab.core.errors import LabError, PortTaken
from lab.dbod import jobs
from lab.dbod.contract import Operation, Request
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.provider import DockerHost
from lab.engines.sql import Session

from .hosts import do, opened

pytestmark = pytest.mark.integration

NAME, CLONE = "history", "copy"
PLACES = ("one", "two")
TABLES = ("a", "b")
WRITES = ("rows", "rows", "delete", "drop", "DROP TABLE {}", "TRUNCATE TABLE {}", "ALTER TABLE {} ADD y{} INT")
COUNT = int(os.environ.get("LAB_HISTORIES", "10"))
SEEDS = range(int(os.environ.get("LAB_SEEDS", "1")))
STEPS = 8
SEEN: Counter[tuple[str, str]] = Counter()
"""How often what was tried, by engine: a run that restored nothing proves nothing."""
Content = dict[str, tuple[int, ...]]
"""``place.table`` to its rows; a place without tables is there as ``place.``"""


@dataclass(frozen=True)
class Mark:
    """What was there at a moment, and in which log that is."""

    moment: datetime
    log: int
    content: Content


@dataclass
class Kept:
    """A backup: what it holds, and whether the log after it was removed."""

    id: str
    moment: datetime
    log: int
    content: Content
    purged: bool = False


class History(RuleBasedStateMachine):
    """One instance's life."""

    def __init__(self, host: DockerHost, engine: str) -> None:
        super().__init__()
        self.host = host
        self.engine = engine
        self.content: Content = {}
        self.marks: list[Mark] = []
        self.backups: list[Kept] = []
        self.log = 1
        self.next = 0

    @initialize()
    def create(self) -> None:
        self.another_process()
        self.placed(Operation.CREATE, NAME, engine=self.engine)
        self.write("one", "a", "rows", kept=True)
        self.backup()
        self.write("one", "a", "rows", kept=True)
        self.mark()

    def teardown(self) -> None:
        """Each history ends with a look back: to the last mark that can be reached, if there is one."""
        with contextlib.ExitStack() as end:
            for name in (NAME, CLONE):
                end.callback(self.destroy, name)
            if reached := [mark for mark in self.marks if self.reaches(mark)]:
                self.travel(reached[-1])

    def destroy(self, name: str) -> None:
        if self.host.records.find(name):
            do(self.host, Operation.DESTROY, name)

    # --- what its users do -------------------------------------------------------------------------------

    @rule(
        place=st.sampled_from(PLACES), table=st.sampled_from(TABLES), what=st.sampled_from(WRITES), kept=st.booleans()
    )
    def write(self, place: str, table: str, what: str, kept: bool) -> None:
        key = f"{place}.{table}"
        if what == "drop":
            if f"{place}." in self.content:
                self.run(f"DROP DATABASE {place}")
                self.content = {k: rows for k, rows in self.content.items() if not k.startswith(f"{place}.")}
            return
        if f"{place}." not in self.content:
            self.run(f"CREATE DATABASE {place}")
            self.content[f"{place}."] = ()
        if key not in self.content:
            self.run(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, x VARCHAR(2000))", place)
            self.content[key] = ()
        if what == "rows":
            self.insert(key, 7, kept=kept)
        elif what == "delete":
            gone = self.content[key][::2][:3]
            for number in gone:
                self.run(f"DELETE FROM {table} WHERE id = {number}", place)
            self.content[key] = tuple(row for row in self.content[key] if row not in gone)
        else:
            self.next += 1
            self.run(what.format(table, self.next), place)
            if what.startswith("DROP"):
                del self.content[key]
            elif what.startswith("TRUNCATE"):
                self.content[key] = ()

    # --- what its operators do, and what befalls it ------------------------------------------------------

    @rule(how=st.sampled_from(("configure", "switch_log", "purge", "stop", "kill", "another_process")))
    def disturb(self, how: str) -> None:
        if how == "configure":
            do(self.host, Operation.CONFIG_PUT, NAME, settings={"max_connections": str(100 + len(self.marks))})
        elif how in {"stop", "kill"}:
            if how == "kill":
                self.host.servers.kill(NAME)
            else:
                do(self.host, Operation.STOP, NAME)
            do(self.host, Operation.START, NAME)
        elif how == "another_process":
            self.another_process()
        elif how == "switch_log" or self.engine == "postgresql":
            self.run("FLUSH BINARY LOGS" if self.engine == "mariadb" else "SELECT pg_switch_wal()")
        else:
            self.purge()
        self.check()

    def purge(self) -> None:
        with self.host.session(NAME) as session:
            last = session.execute("SHOW BINARY LOGS")[-1][0]
            session.execute(f"PURGE BINARY LOGS TO '{last}'")
        for one in self.backups:
            one.purged = one.purged or one.log == self.log

    def another_process(self) -> None:
        self.host = opened(self.host.home.name, self.host.home.root)

    @rule()
    def backup(self) -> None:
        made = do(self.host, Operation.BACKUP, NAME).value
        self.backups.append(Kept(made["id"], datetime.fromisoformat(made["at"]), self.log, dict(self.content)))

    def placed(self, operation: Operation, name: str, **given: Any) -> None:
        """Where other workers make instances as well, one may take the port that was free a moment ago."""
        waits.until(
            "a port",
            lambda: do(self.host, operation, name, **given),
            seconds=60,
            transient=(PortTaken,),
        )

    @rule(data=st.data())
    def clone(self, data: Any) -> None:
        one = data.draw(st.sampled_from(self.backups))
        self.placed(Operation.CLONE, NAME, backup=one.id, target=CLONE)
        try:
            assert self.read(CLONE) == one.content
        finally:
            do(self.host, Operation.DESTROY, CLONE)

    @rule()
    def mark(self) -> None:
        # MariaDB's log has whole seconds
        pause = 1.05 if self.engine == "mariadb" else 0.05
        waits.pause(pause)
        self.marks.append(Mark(datetime.now(UTC), self.log, dict(self.content)))
        waits.pause(pause)

    @rule(data=st.data())
    def restore_a_backup(self, data: Any) -> None:
        one = data.draw(st.sampled_from(self.backups))
        do(self.host, Operation.RESTORE, NAME, backup=one.id)
        self.log += 1
        self.content = dict(one.content)
        self.check()

    @rule(data=st.data())
    def restore_a_time(self, data: Any) -> None:
        self.travel(data.draw(st.sampled_from(self.marks)))

    def travel(self, mark: Mark) -> None:
        try:
            error = jobs.perform(self.host, Request(Operation.RESTORE, NAME, time=mark.moment.isoformat())).error
        except LabError as refusal:
            error = refusal
        SEEN[self.engine, "refused" if error else "restored"] += 1
        if error is None:
            self.log += 1
            self.content = dict(mark.content)
        else:
            assert not self.reaches(mark), error
        self.check()

    # --- the model's ------------------------------------------------------------------------------------

    def reaches(self, mark: Mark) -> bool:
        """Whether the newest backup before the mark is of its log, and the log after that was left alone."""
        before = [one for one in self.backups if one.moment <= mark.moment and one.log == mark.log]
        return bool(before) and not before[-1].purged

    def insert(self, key: str, count: int, *, kept: bool = True) -> None:
        place, table = key.split(".")
        numbers = range(self.next + 1, self.next + count + 1)
        self.next += count
        with self.session(NAME, place) as session:
            session.execute("BEGIN")
            for number in numbers:
                session.execute(f"INSERT INTO {table} (id, x) VALUES ({number}, '{'x' * 1000}')")
            session.execute("COMMIT" if kept else "ROLLBACK")
        if kept:
            self.content[key] = (*self.content[key], *numbers)

    def check(self) -> None:
        assert self.read(NAME) == self.content

    def read(self, name: str) -> Content:
        found: Content = {}
        for place in PLACES:
            wanted = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
            if self.engine == "postgresql":
                wanted = "SELECT 1 FROM pg_database WHERE datname = %s AND datconnlimit <> -2"
            with self.session(name) as session:
                if not session.execute(wanted, place):
                    continue
            found[f"{place}."] = ()
            with self.session(name, place) as session:
                schema = "public" if self.engine == "postgresql" else place
                tables = session.execute(
                    "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", schema
                )
                for (table,) in tables:
                    rows = session.execute(f"SELECT id FROM {table} ORDER BY id")
                    found[f"{place}.{table}"] = tuple(row[0] for row in rows)
        return found

    def run(self, statement: str, place: str = "") -> None:
        with self.session(NAME, place) as session:
            session.execute(statement)

    def session(self, name: str, place: str = "") -> contextlib.AbstractContextManager[Session]:
        return self.host.instance(name).session(database=place)


@pytest.mark.timeout(100_000)
@pytest.mark.parametrize("engine", list(engines.ALL))
@pytest.mark.parametrize("seed", SEEDS)
def test_a_restore_gives_what_was_committed_or_changes_nothing(
    host: DockerHost, engine: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed:
        monkeypatch.setattr(hypothesis.core, "global_force_seed", seed)
    run_state_machine_as_test(
        partial(History, host, engine),  # type: ignore[arg-type]
        settings=settings(
            max_examples=COUNT,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not seed,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    assert SEEN[engine, "restored"] >= COUNT // 2, SEEN
