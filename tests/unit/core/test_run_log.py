"""The run's log: what waited is written, what belongs to no lab is not, and threads do not tear rows apart."""

import json
import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lab.core import run_log
from lab.core.progress import Events, Recorded
from lab.core.run_log import RUN, RunLog


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "logs" / run_log.FILE).read_text().splitlines()]


def test_what_waited_is_written_in_order_once_the_lab_is_known(tmp_path: Path) -> None:
    log = RunLog()
    log.begin(["status", "--name=a"])
    log.add("decided", setting="provider", value="docker", why="it answers")
    assert not (tmp_path / "logs").exists()
    log.belongs_to(tmp_path)
    log.add("ended", exit=0)
    assert [row["event"] for row in rows(tmp_path)] == ["begun", "decided", "ended"]
    assert rows(tmp_path)[0]["typed"] == ["status", "--name=a"]
    assert (tmp_path / "logs" / run_log.FILE).stat().st_mode & 0o777 == 0o600


def test_a_lab_that_is_not_there_gets_no_folder(tmp_path: Path) -> None:
    log = RunLog()
    log.belongs_to(tmp_path / "gone")
    log.add("ended", exit=13)
    assert not (tmp_path / "gone").exists()


def test_a_users_own_words_are_left_out(tmp_path: Path) -> None:
    log = RunLog()
    log.begin(["ssh", "-c", "mysql -psecret"])
    log.add("x")
    log.belongs_to(tmp_path)
    log.begin(["ssh", "--command=mysql -psecret"])
    log.belongs_to(tmp_path)
    assert "secret" not in (tmp_path / "logs" / run_log.FILE).read_text()


def test_it_grows_to_a_limit(tmp_path: Path) -> None:
    log = RunLog()
    log.belongs_to(tmp_path)
    log.add("note", text="x" * (run_log.MOST_BYTES + 1))
    log.add("ended", exit=0)
    assert [row["event"] for row in rows(tmp_path)] == ["ended"]
    assert (tmp_path / "logs" / f"{run_log.FILE}.1").exists()


@given(st.lists(st.text(), max_size=8))
def test_whatever_was_typed_is_a_row(words: list[str]) -> None:
    log = RunLog()
    log.begin(words)
    json.dumps(log._rows)


def test_threads_write_whole_rows(tmp_path: Path) -> None:
    log = RunLog()
    log.belongs_to(tmp_path)

    def speak() -> None:
        for _ in range(50):
            log.add("note", text="y" * 999)

    threads = [threading.Thread(target=speak) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(tmp_path)) == 400


def test_a_steps_events_are_kept(tmp_path: Path) -> None:
    RUN.begin(["up"])
    RUN.belongs_to(tmp_path)
    progress = Recorded(Events((tmp_path / "events").open("w")))
    progress.started("machine", "start the machine")
    progress.note("machine", "waiting")
    progress.note("machine", "waiting")
    progress.finished("machine", "done", 1.25)
    progress.close()
    assert [row["event"] for row in rows(tmp_path)] == ["begun", "started", "note", "finished"]
    assert rows(tmp_path)[-1]["seconds"] == 1.2
    RUN.begin([])
