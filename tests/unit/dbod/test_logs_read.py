"""The engines' logs read without a server: gaps, torn and spoilt files, times out of order, and where to stop."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lab.dbod.dockerhost import beneath, binlog, wal
from lab.dbod.dockerhost.binlog import FORMAT, GTID, GTID_LIST, HEADER, MAGIC, Gap

QUERY, XID, STOP = 2, 16, 3
T = 1_700_000_000
"""Unix seconds: the time that is wanted."""
MADE, NOW = T - 100, T + 1000


def event(kind: int, stamp: int, at: int, body: bytes, *, sums: bool = True) -> bytes:
    """One event with its checksum, as MariaDB writes it."""
    size = HEADER.size + len(body) + (4 if sums else 0)
    data = HEADER.pack(stamp, kind, 1, size, at + size, 0) + body
    return data + (struct.pack("<I", zlib.crc32(data)) if sums else b"")


class Log:
    """Binary logs in a folder: ``transaction`` and ``rotate`` write as a server would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number, self.sequence = folder, 0, 0
        self.names: list[str] = []
        self.begin(T - 500)

    def begin(self, stamp: int) -> None:
        self.number += 1
        self.path = self.folder / f"binlog.{self.number:06d}"
        self.names.append(self.path.name)
        self.path.write_bytes(MAGIC)
        head = struct.pack("<H50sIB", 4, b"11.8", 0, 19) + bytes(20) + b"\x01"
        self.add(FORMAT, stamp, head)
        known = [(0, 1, self.sequence)] if self.sequence else []
        self.add(GTID_LIST, stamp, struct.pack("<I", len(known)) + b"".join(struct.pack("<IIQ", *k) for k in known))
        (self.folder / "binlog.index").write_text("".join(f"/srv/log/{name}\n" for name in self.names))

    def add(self, kind: int, stamp: int, body: bytes = b"") -> int:
        at = self.path.stat().st_size
        with self.path.open("ab") as file:
            file.write(event(kind, stamp, at, body))
        return at

    def transaction(self, stamp: int) -> int:
        """Its position."""
        self.sequence += 1
        at = self.add(GTID, stamp, struct.pack("<QIB", self.sequence, 0, 0) + bytes(6))
        self.add(QUERY, stamp, b"INSERT")
        self.add(XID, stamp, bytes(8))
        return at

    def here(self) -> dict[str, object]:
        """What a backup notes."""
        gtid = f"0-1-{self.sequence}" if self.sequence else ""
        return {"file": self.path.name, "position": self.path.stat().st_size, "gtid": gtid}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path)
    made.transaction(T - 200)
    return made


def read(log: Log, start: dict[str, object], until: float = T, *, ended: bool = True) -> binlog.Survey:
    return binlog.survey(log.folder, binlog.Query(start, until, MADE, NOW, ended))


def test_it_stops_before_the_first_transaction_that_is_later(log: Log) -> None:
    start = log.here()
    log.transaction(T - 50)
    log.add(STOP, T + 5)
    log.begin(T + 5)
    late = log.transaction(T + 6)
    found = read(log, start)
    assert (found.stop_file, found.stop_position) == ("binlog.000002", late)
    assert (found.transactions, found.reached, found.late) == (1, T - 50, T + 6)
    everything = read(log, start, T + 100)
    assert (everything.stop_file, everything.stop_position) == ("binlog.000002", log.path.stat().st_size)
    assert everything.transactions == 2


@pytest.mark.parametrize(
    ("statement", "texts"),
    [
        (b"INSERT INTO t SELECT UUID()", 1),
        (b"/* tool */ update t set x = 1 limit 1", 1),
        (b"DELETE FROM t WHERE x < 5", 1),
        (b"DELETE FROM `app`.`m`", 0),
        (b"CREATE TABLE t (x INT)", 0),
        (b"COMMIT", 0),
    ],
)
def test_rows_that_are_in_the_log_as_text_are_counted(log: Log, statement: bytes, texts: int) -> None:
    start = log.here()
    for stamp in (T - 50, T + 6):  # the later one is not wanted
        log.sequence += 1
        log.add(GTID, stamp, struct.pack("<QIB", log.sequence, 0, 0) + bytes(6))
        log.add(QUERY, stamp, struct.pack("<IIBHH", 7, 0, 3, 0, 2) + b"xxapp\0" + statement)
        log.add(XID, stamp, bytes(8))
    assert read(log, start).texts == texts


def test_a_file_that_is_gone_is_seen_and_how_far_one_comes(log: Log) -> None:
    start = log.here()
    for number in range(3):
        log.transaction(T - 60 + number)
        log.begin(T - 60 + number)
    (log.folder / "binlog.000003").unlink()
    with pytest.raises(Gap, match=r"binlog\.000003 is gone"):
        read(log, start)
    (log.folder / "binlog.000001").unlink()
    with pytest.raises(Gap, match=r"binlog\.000001, in which the backup's log goes on, is gone"):
        read(log, start)


def test_a_file_that_does_not_go_on_where_the_one_before_ended_is_seen(log: Log) -> None:
    start = log.here()
    log.transaction(T - 60)
    log.sequence += 5  # written and lost
    log.begin(T - 50)
    log.transaction(T - 40)
    with pytest.raises(Gap, match="does not go on where the file before it ended") as caught:
        read(log, start)
    assert caught.value.reached == T - 60


def test_a_log_that_was_begun_anew_is_seen(tmp_path: Path) -> None:
    first = Log(tmp_path)
    start = first.here()  # nothing was written yet: the GTIDs alone would not tell
    first.transaction(T - 50)
    again = Log(tmp_path)
    again.path.write_bytes(MAGIC)
    again.add(FORMAT, T - 40, struct.pack("<H50sIB", 4, b"11.8", 0, 19) + bytes(20) + b"\x01")
    again.add(GTID_LIST, T - 40, struct.pack("<I", 0))
    again.transaction(T - 30)
    with pytest.raises(Gap, match="RESET MASTER"):
        read(again, start)


def test_times_that_go_backwards_are_refused_and_not_guessed(log: Log) -> None:
    start = log.here()
    log.transaction(T - 50)
    log.transaction(T + 300)
    log.transaction(T - 40)
    with pytest.raises(Gap, match="go backwards") as caught:
        read(log, start)
    assert caught.value.reached == T - 50
    assert read(log, start, T - 45).transactions == 1


def test_a_stamp_ahead_of_the_clock_is_refused(log: Log) -> None:
    start = log.here()
    log.transaction(NOW + 3600)
    with pytest.raises(Gap, match="ahead of the clock"):
        read(log, start)


def test_a_torn_end_is_left_out_of_the_last_file_only(log: Log) -> None:
    start = log.here()
    whole = log.path.stat().st_size
    log.transaction(T - 50)
    with log.path.open("r+b") as file:
        file.truncate(whole + 10)
    found = read(log, start, ended=False)
    assert (found.stop_position, found.transactions) == (whole, 0)
    with pytest.raises(Gap, match="its end is gone"):
        read(log, start)  # but not where the server was stopped in order
    log.sequence -= 1  # never committed, which the next file shows
    log.begin(T - 40)
    log.transaction(T - 30)
    assert read(log, start).transactions == 1
    log.sequence += 1
    log.begin(T - 20)
    with pytest.raises(Gap, match="does not go on"):
        read(log, start)


def test_a_transaction_that_is_torn_in_its_middle_is_left_out_whole(log: Log) -> None:
    start = log.here()
    at = log.transaction(T - 50)
    with log.path.open("r+b") as file:
        file.truncate(log.path.stat().st_size - 10)
    found = read(log, start, ended=False)
    assert (found.stop_position, found.transactions, found.gtid) == (at, 0, {0: (1, 1)})


@given(st.data())
def test_a_flipped_bit_is_seen_wherever_it_is(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    log = Log(tmp_path_factory.mktemp("log"))
    log.transaction(T - 200)
    start = log.here()
    log.transaction(T - 50)
    log.begin(T - 40)
    log.transaction(T - 30)
    name = data.draw(st.sampled_from(log.names))
    path = log.folder / name
    spoilt = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(spoilt) - 1))
    bit = data.draw(st.integers(0, 7))
    # the format event's flag "in use" is set and cleared in place, and is in no checksum: it says nothing of the data
    assume((at, bit) != (21, 0))
    spoilt[at] ^= 1 << bit
    read(log, start)
    path.write_bytes(bytes(spoilt))
    with pytest.raises(Gap):
        read(log, start)


# --- PostgreSQL --------------------------------------------------------------------------------------------

UNTIL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def line(lsn: str, seconds: float) -> str:
    when = UNTIL + timedelta(seconds=seconds)
    return (
        f"rmgr: Transaction len (rec/tot):     34/    34, tx:        740, lsn: {lsn}, prev 0/0154E1A0, "
        f"desc: COMMIT {when:%Y-%m-%d %H:%M:%S.%f} UTC"
    )


def test_the_last_commit_by_the_time_is_the_target() -> None:
    said = "\n".join([line("0/1000028", -9), line("0/1000128", -1), line("0/1000228", 1)])
    target = wal.target(said, "000000010000000000000001", "0/1000028", UNTIL)
    assert (target.lsn, target.commits, target.reached) == ("0/1000128", 2, UNTIL - timedelta(seconds=1))
    assert wal.target(said, "000000010000000000000001", "0/1000200", UNTIL).lsn == ""


def test_commit_times_that_go_backwards_are_refused() -> None:
    said = "\n".join([line("0/1000028", -9), line("0/1000128", 5), line("0/1000228", -8)])
    with pytest.raises(wal.Gap, match="go backwards"):
        wal.target(said, "000000010000000000000001", "0/1000028", UNTIL)


def test_a_log_that_breaks_before_its_last_segment_is_spoilt() -> None:
    broken = "pg_waldump: error: error in WAL record at 0/1000228: invalid record length"
    said = f"{line('0/1000028', -9)}\n{broken}"
    assert wal.target(said, "000000010000000000000001", "0/1000028", UNTIL).commits == 1
    with pytest.raises(wal.Gap, match="spoilt at 0/1000228"):
        wal.target(said, "000000010000000000000002", "0/1000028", UNTIL)


def test_what_pg_waldump_could_not_read_is_not_taken_for_nothing() -> None:
    """Seen: FINISHED_OK and a row gone, where the log's next segment had just been begun as the backup was made."""
    said = "pg_waldump: error: could not find a valid record after 0/198A000\n"
    with pytest.raises(wal.Gap, match="could not find a valid record"):
        wal.target(said, "000000010000000000000003", "0/198A000", UNTIL)


CONTROL = """\
pg_control version number:            1700
Database cluster state:               shut down
pg_control last modified:             Thu Nov 26 22:18:45 2026
Latest checkpoint location:           0/1000300
Latest checkpoint's REDO location:    0/1000300
"""


def test_the_log_is_read_to_the_servers_last_record() -> None:
    commit, end = line("0/1000028", -9), "pg_waldump: error: error in WAL record at {}: invalid record length"
    whole = "\n".join([commit, end.format("0/1000300"), CONTROL])
    assert wal.target(whole, "000000010000000000000001", "0/1000028", UNTIL).commits == 1
    short = "\n".join([commit, end.format("0/1000028"), CONTROL])
    with pytest.raises(wal.Gap, match="before the server's last record"):
        wal.target(short, "000000010000000000000001", "0/1000028", UNTIL)
    with pytest.raises(wal.Gap, match="before the server's last record"):
        wal.target(f"{commit}\n{CONTROL}", "000000010000000000000000", "0/1000028", UNTIL)


def test_segments_have_no_hole() -> None:
    names = [f"0000000100000000000000{n:02X}" for n in (0xFE, 0xFF)] + ["000000010000000100000000"]
    assert wal.segments([*names, "00000002.history", "x"], "0/FE000028") == names
    with pytest.raises(wal.Gap, match="the segment after 0000000100000000000000FE is gone"):
        wal.segments([names[0], names[2]], "0/FE000028")
    with pytest.raises(wal.Gap, match="is gone"):
        wal.segments(names, "0/FD000028")


# --- beneath -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An instance's folder, with an outside that nobody may reach."""
    for name in ("inside/data", "inside/log-1", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside/secret").write_text("secret")
    return tmp_path / "inside"


def test_nothing_is_copied_through_a_link_or_onto_one(folder: Path) -> None:
    secret = folder.parent / "outside/secret"
    (folder / "log-1/binlog.000001").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic"):
        beneath.do("copy", {"pairs": [(f"{folder}/log-1/binlog.000001", f"{folder}/data/x")]})
    assert not (folder / "data/x").exists()
    (folder / "log-1/plain").write_text("plain")
    (folder / "data/relay").symlink_to(secret)
    (folder / "data/relay.part").symlink_to(secret)
    beneath.do("copy", {"pairs": [(f"{folder}/log-1/plain", f"{folder}/data/relay")]})
    beneath.do("write", {"path": f"{folder}/data/relay", "text": "ours"})
    assert secret.read_text() == "secret"
    assert (folder / "data/relay").read_text() == "ours"
    assert not (folder / "data/relay").is_symlink()


def test_pipes_and_folders_are_no_logs(folder: Path) -> None:
    os.mkfifo(folder / "log-1/binlog.000001")
    with pytest.raises(beneath.Planted, match="no plain file"):
        beneath.do("copy", {"pairs": [(f"{folder}/log-1/binlog.000001", f"{folder}/data/x")]})
    (folder / "log-2").symlink_to(folder.parent / "outside")
    with pytest.raises(beneath.Planted, match="no folder"):
        beneath.do("names", {"folder": f"{folder}/log-2"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its root folder")
def test_the_program_is_another_user_in_another_root(folder: Path) -> None:
    program = "import sys; from lab.dbod.dockerhost import beneath\n"
    program += "beneath.ACTIONS['who'] = lambda: [beneath.os.getuid(), beneath.os.getgid(), beneath.os.getgroups(), "
    program += "sorted(p.name for p in beneath.Path('/').iterdir())]\nbeneath.main()"
    done = subprocess.run([sys.executable, "-c", program, folder, "who"], input="{}", capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout == '{"value": [1001, 1001, [], ["data", "log-1"]]}'
