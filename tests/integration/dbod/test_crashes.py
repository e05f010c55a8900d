"""The process is killed at every effect of every operation: what was there stays whole, and the next one goes on.

An effect is a command, a change of a container, a commit, a file that is put in place, or a statement of SQL that
changes something: whatever leaves the process. A child does the operation and is killed right before its n-th effect.
``LAB_CRASHES=all`` tries all of them (an hour), in parts; a run of the tests takes one in ``STEP``, of each operation
with one of the engines.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.core import process
from lab.core.errors import LabError
from lab.dbod import database
from lab.dbod.contract import Operation
from lab.dbod.dockerhost import engines
from lab.dbod.dockerhost.servers import Servers
from lab.engines.sql import Session

from . import operations
from .hosts import do, named, opened
from .operations import NAME, OTHER, Asked, Life

pytestmark = pytest.mark.integration
STEP, PARTS = (8, range(8)) if os.environ.get("LAB_CRASHES") == "all" else (61, range(1))
CHANGES = ("create", "start", "stop", "kill", "remove", "destroy", "limit", "try_out")
READS = ("SELECT", "SHOW")
MOST = 400


@pytest.fixture(scope="module", params=list(engines.ALL))
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, databases: None) -> Iterator[Life]:
    host = opened(named(f"dbod-crash-{request.param}"), tmp_path_factory.mktemp("labs"))
    try:
        yield Life(host, request.param)
    finally:
        opened(host.home.name, host.home.root).remove_all()


def killed_before(effect: int, life: Life, one: Asked) -> int:
    """Do it in a child that is killed before its ``effect``-th effect; how many it had, if there are not so many."""
    pipe, end = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_child, args=(effect, life, one, end))
    child.start()
    end.close()
    child.join(180)
    assert child.exitcode is not None, "the operation hangs"
    if child.exitcode == -signal.SIGKILL:
        return 0
    assert child.exitcode == 0
    return int(pipe.recv())


def _child(effect: int, life: Life, one: Asked, end: Any) -> None:
    count = 0

    def counted(call: Callable[..., Any], counts: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
        def door(*given: Any, **more: Any) -> Any:
            nonlocal count
            if counts(*given):
                count += 1
                if count == effect:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **more)

        return door

    process.run = counted(process.run)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    for name in CHANGES:
        setattr(Servers, name, counted(getattr(Servers, name)))
    Session.execute = counted(  # type: ignore[method-assign]
        Session.execute, lambda _self, statement, *_: not statement.lstrip().upper().startswith(READS)
    )
    connect = database.Database._connection

    def tracing(self: database.Database) -> Any:
        made = connect(self)
        return _Counting(made, counted)

    database.Database._connection = tracing  # type: ignore[method-assign]
    life.again()
    done = life.ask(one)
    end.send(count)
    os._exit(0 if done.error is None else 3)


class _Counting:
    """A connection of which commits are effects."""

    def __init__(self, made: Any, counted: Callable[..., Callable[..., Any]]) -> None:
        self._made = made
        self.execute = counted(made.execute, lambda statement, *_: statement == "COMMIT")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("one", operations.ALL, ids=lambda one: one.id)
def test_a_kill_at_any_effect_loses_nothing(life: Life, one: Asked, part: int) -> None:
    number = operations.ALL.index(one)
    if len(PARTS) == 1 and number % 2 != list(engines.ALL).index(life.engine):
        pytest.skip("the other engine's turn")
    first = (part + number) % STEP + 1
    for effect in range(first, MOST, STEP):
        life.number += 1
        life.begin()
        if one.first:
            one.first(life)
        had = killed_before(effect, life, one)
        life.again()
        where = f"{one.id} killed before effect {effect}"
        try:
            if not had:
                lived(life, one)
            ended(life, one)
        except (AssertionError, LabError) as error:
            raise AssertionError(f"{where}: {error}") from error
        if had:
            print(f"{one.id}: {had} effects, killed before every {STEP}th from {first} on")
            return
    raise AssertionError("it has more effects than are tried")


def lived(life: Life, one: Asked) -> None:
    """Right after the kill: what was there is there, as before or as after, and can be worked with."""
    if life.host.records.find(NAME) is None:
        assert one.operation in {Operation.DESTROY, Operation.ADOPT}, "its record is gone"
        return
    if one.operation is Operation.DESTROY:
        return  # half of it may be gone: it was to go
    life.check()
    assert life.rows() in (one.before, one.after), life.rows()


def ended(life: Life, one: Asked) -> None:
    """The same request again does what it was to do."""
    if not life.repeat(one):
        return
    life.again()
    if one.after is None:
        assert life.host.records.find(NAME) is None
        store = life.host.store
        assert not [path for path in (store.path / NAME, store.backups / NAME) if path.exists()]
        return
    life.check()
    assert life.rows() == one.after
    if one.other:
        assert life.rows(OTHER) == one.other
    life.write(9)
    assert life.rows() == [*one.after, 9]
    do(life.host, Operation.BACKUP, NAME)
