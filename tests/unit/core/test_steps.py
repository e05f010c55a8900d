"""The engine: order, overlap, resume after failure, Ctrl-C and kill -9."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.core import steps, waits
from lab.core.errors import GaveUp, Interrupted, LabError
from lab.core.state import State
from lab.core.steps import Step


class Record:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def started(self, step: str, title: str) -> None:
        self.events.append((step, "started"))

    def note(self, step: str, text: str) -> None:
        self.events.append((step, text))

    def finished(self, step: str, status: str, seconds: float) -> None:
        self.events.append((step, status))

    def close(self) -> None:
        pass


class World:
    """Files stand for what steps make, so that reality can be asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, name: str, *after: str, fail: bool = False) -> Step:
        def run(note: waits.Note) -> None:
            if fail:
                raise GaveUp(name, "it broke")
            (self.path / name).touch()

        return Step(name, name, (self.path / name).exists, run, after)


def test_order_and_second_run(tmp_path: Path) -> None:
    world, state, record = World(tmp_path), State(tmp_path / "state.json", "a"), Record()
    plan = [world.step("c", "b"), world.step("a"), world.step("b", "a")]
    steps.run(plan, state, record, "again")
    assert [n for n, e in record.events if e == "done"] == ["a", "b", "c"]
    again = Record()
    steps.run(plan, state, again, "again")
    assert again.events == [("a", "kept"), ("b", "kept"), ("c", "kept")]


def test_reality_wins_over_the_state_file(tmp_path: Path) -> None:
    world, state = World(tmp_path), State(tmp_path / "state.json", "a")
    plan = [world.step("a"), world.step("b", "a")]
    steps.run(plan, state, Record(), "again")
    (tmp_path / "a").unlink()
    record = Record()
    steps.run(plan, state, record, "again")
    assert ("a", "done") in record.events
    assert ("b", "kept") in record.events


def test_a_failure_stops_what_is_after_it_and_is_resumed(tmp_path: Path) -> None:
    world, state = World(tmp_path), State(tmp_path / "state.json", "a")
    with pytest.raises(GaveUp):
        steps.run([world.step("a"), world.step("b", "a", fail=True), world.step("c", "b")], state, Record(), "again")
    assert state.steps["b"]["status"] == "failed"
    assert not (tmp_path / "c").exists()
    steps.run([world.step("a"), world.step("b", "a"), world.step("c", "b")], state, Record(), "again")
    assert (tmp_path / "c").exists()


def test_independent_steps_overlap(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(note: waits.Note) -> None:
        meeting.wait()

    both = [Step(n, n, lambda: False, meet) for n in ("a", "b")]
    steps.run(both, State(tmp_path / "s.json", "a"), Record(), "again")


CHILD = """
import signal, sys, time
from pathlib import Path
from lab.core import process, steps, waits
from lab.core.errors import LabError
from lab.core.progress import Events
from lab.core.state import State
from lab.core.steps import Step
# a shell's children in the background ignore it, and so would their children
signal.signal(signal.SIGINT, signal.default_int_handler)
root = Path(sys.argv[1])
def make(name, seconds):
    def run(note):
        process.run("sleep", str(seconds))
        (root / name).touch()
    return run
plan = [Step(n, n, (root / n).exists, make(n, s), a) for n, s, a in
        [("a", 0, ()), ("b", float(sys.argv[2]), ("a",)), ("c", 0, ("b",))]]
try:
    steps.run(plan, State(root / "state.json", "x"), Events(), "./inv up")
except LabError as error:
    print(error.cause, error.remedy)
    sys.exit(error.exit_code)
"""


def start(root: Path, seconds: float) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), str(seconds)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not (root / "a").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    return child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_and_run_again(tmp_path: Path, number: int) -> None:
    child = start(tmp_path, 30)
    began = time.monotonic()
    os.kill(child.pid, number)
    out, _ = child.communicate(timeout=20)
    assert time.monotonic() - began < 10
    if number == signal.SIGINT:
        assert child.returncode == Interrupted.exit_code
        assert "./inv up" in out
    assert not (tmp_path / "c").exists()
    again = start(tmp_path, 0)
    again.communicate(timeout=30)
    assert again.returncode == 0
    assert (tmp_path / "c").exists()


def test_every_error_has_an_id_and_an_exit_code_of_its_own() -> None:
    from lab.core import errors

    kinds = [
        k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, LabError) and k is not LabError
    ]
    assert len({k.id for k in kinds}) == len(kinds)
    assert len({k.exit_code for k in kinds}) == len(kinds)
    assert all(k.__doc__ for k in kinds)


def test_a_step_after_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    world, state = World(tmp_path), State(tmp_path / "state.json", "a")
    with pytest.raises(ValueError, match="'b' comes after 'a', which is no step"):
        steps.run([world.step("b", "a")], state, Record(), "again")
    assert not (tmp_path / "b").exists()


def test_a_circle_is_refused(tmp_path: Path) -> None:
    world, state = World(tmp_path), State(tmp_path / "state.json", "a")
    with pytest.raises(ValueError, match="cycle"):
        steps.run([world.step("b", "a"), world.step("a", "b")], state, Record(), "again")


def test_a_failure_to_look_is_that_steps_failure(tmp_path: Path) -> None:
    state, record = State(tmp_path / "state.json", "a"), Record()

    def look() -> bool:
        raise GaveUp("the machine", "its disk is gone")

    with pytest.raises(GaveUp) as failed:
        steps.run([Step("machine", "start the machine", look, lambda note: None)], state, record, "again")
    assert failed.value.step == "start the machine"
    assert record.events[-1] == ("machine", "failed")
    assert state.steps["machine"]["status"] == "failed"
