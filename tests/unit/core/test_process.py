"""The subprocess door and the waits."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lab.core import process, waits
from lab.core.errors import CommandFailed, DiskFull, GaveUp, MissingTools, TimedOut


def test_output_and_code() -> None:
    done = process.run("sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.code, done.stdout, done.stderr, done.ok) == (3, "out\n", "err\n", False)


def test_failure_shows_the_command_and_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with pytest.raises(CommandFailed) as caught:
        process.run("sh", "-c", "seq 100; exit 7", log=log)
    assert caught.value.code == 7
    assert "\n100" in caught.value.cause
    assert "\n50\n" not in caught.value.cause
    assert caught.value.log == log
    assert log.read_text().startswith("+ sh -c")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MissingTools, match="no-such-program-here"):
        process.run("no-such-program-here")


def test_a_full_disk_is_recognised() -> None:
    with pytest.raises(DiskFull):
        process.run("sh", "-c", "echo 'cp: No space left on device' >&2; exit 1")


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        process.run("sh", "-c", "sleep 60 & sleep 60", timeout=0.3, timeout_setting="my_timeout")
    assert time.monotonic() - began < 5
    assert "my_timeout" in caught.value.remedy


def test_standard_input_is_closed_or_given() -> None:
    assert process.run("cat").stdout == ""
    assert process.run("cat", stdin="words").stdout == "words"


def test_until_returns_what_the_probe_gave() -> None:
    answers = iter([None, None, "here"])
    assert waits.until("it", lambda: next(answers), seconds=5, setting="x", every=0.01) == "here"


def test_until_ends_at_its_deadline_and_tells_what_it_saw() -> None:
    def probe() -> bool:
        raise ConnectionError("refused")

    with pytest.raises(TimedOut) as caught:
        waits.until("the port", probe, seconds=0.1, setting="service_timeout", every=0.02, transient=(OSError,))
    assert "refused" in caught.value.cause
    assert "service_timeout" in caught.value.remedy


def test_until_gives_up_when_it_can_no_longer_come() -> None:
    began = time.monotonic()
    with pytest.raises(GaveUp, match="it died"):
        waits.until("the guest", lambda: None, seconds=60, setting="x", fatal=lambda: "it died")
    assert time.monotonic() - began < 2


def test_an_error_that_is_not_transient_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        waits.until("x", lambda: 1 // 0, seconds=5, setting="x", transient=(OSError,))


@pytest.mark.skipif(not process.have("setpriv"), reason="setpriv is part of util-linux")
@pytest.mark.parametrize("start", ["run('sleep', '77')", "spawn('sleep', '77', log=Path('/dev/null'))"])
def test_children_go_with_us_when_we_are_killed(start: str) -> None:
    code = f"import time; from pathlib import Path; from lab.core import process; process.{start}; time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    child: list[psutil.Process] = []
    deadline = time.monotonic() + 10
    while not (child and child[0].name() == "sleep") and time.monotonic() < deadline:
        child = psutil.Process(parent.pid).children()
        time.sleep(0.05)
    assert child[0].name() == "sleep"
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(child, timeout=5)
    assert not alive
