"""State and secrets: atomic, locked, and clear about damage."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.core import state
from lab.core.errors import DiskFull, LabBusy, StateBroken
from lab.core.secrets import ALPHABET, Secrets
from lab.core.state import State

ROOT = Path(__file__).parents[3]


def test_facts_survive(tmp_path: Path) -> None:
    first = State(tmp_path / "s.json", "a")
    first["machine.port"] = 2222
    first.record("machine", "done", 1.23, "2026-01-01T00:00:00+00:00")
    again = State(tmp_path / "s.json", "a")
    assert again["machine.port"] == 2222
    assert again.steps["machine"]["seconds"] == 1.2
    again.forget("machine.port")
    assert "machine.port" not in State(tmp_path / "s.json", "a")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 99}', '{"version": 1, "facts": 3, "steps": {}}', "\x00"]
)
def test_damage_is_named_with_its_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(StateBroken) as caught:
        State(path, "a")
    assert "./inv up --name=a-2" in caught.value.remedy
    assert path.read_text() == text, "a damaged file is the user's evidence and stays"


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.json"
    State(path, "a")["x"] = 1
    before = path.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        State(path, "a")["x"] = 2
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["s.json"]


def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    code = (
        "import sys, itertools; from pathlib import Path; from lab.core.state import State\n"
        "s = State(Path(sys.argv[1]), 'a')\n"
        "for i in itertools.count(): s['x'] = [i] * 2000"
    )
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        child.kill()
        child.wait()
        value = State(path, "a")["x"]
        assert value == [value[0]] * 2000


def test_the_lock_is_held_once_and_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from lab.core.state import lock\n"
        "with lock(Path(sys.argv[1]), 'a'): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(LabBusy) as caught, state.lock(tmp_path, "a"):
        pass
    assert str(child.pid) in caught.value.cause
    child.kill()
    child.wait()
    with state.lock(tmp_path, "a"):
        pass


def test_two_processes_of_a_lab_lose_no_secret_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    early, late = Secrets(path, "a"), Secrets(path, "a")
    first, second = early["one"], late["two"]
    assert json.loads(path.read_text()) == {"one": first, "two": second}
    assert late["one"] == first
    early.share("three", "one")
    assert Secrets(path, "a")["three"] == first


def test_secrets_are_random_alphanumeric_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    one, other = Secrets(path, "a"), Secrets(tmp_path / "other.json", "b")
    assert one["db"] != other["db"]
    assert set(one["db"]) <= set(ALPHABET)
    assert len(one["db"]) == 24
    assert path.stat().st_mode & 0o777 == 0o600
    assert Secrets(path, "a")["db"] == one["db"]
    assert one.redact(f"x{one['db']}y") == "x********y"
    assert json.loads(path.read_text()) == {"db": one["db"]}
