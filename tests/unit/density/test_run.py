"""A run's settings, order, rows and leftovers; no Docker, no QEMU."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from lab.core import raw_rows
from lab.core.errors import BadFile, BadValue, DiskFull, GaveUp, LabBusy, LabError, Unsupported
from lab.core.progress import Events
from lab.density import bake
from lab.density.arms.base import Ground
from lab.density.host import journal, mergeable, procfs, surroundings
from lab.density.host.clock import Clock, OutOfTime
from lab.density.measure import bench, ladder, manifest, profile
from lab.density.measure.profile import FULL, QUICK, Spec
from lab.density.measure.stage import Bench, Stage
from lab.density.vm import guestfiles
from lab.density.vm.guestfiles import Kit


def spec(**changes: object) -> Spec:
    values: dict[str, object] = {"engines": ["mariadb"], "arm_names": ["container", "vm"], "budget": "1GiB"}
    values |= {"quick": True, "seed": 1} | changes
    return profile.spec(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"engines": ["oracle"]}, Unsupported, "no engine 'oracle'"),
        ({"arm_names": ["lxc"]}, Unsupported, "no arm 'lxc'"),
        ({"engines": []}, BadValue, "engine"),
        ({"budget": "900TiB"}, BadValue, "900TiB"),
        ({"budget": "0"}, BadValue, "'0'"),
        ({"budget": "1MiB"}, BadValue, "1MiB"),
        ({"budget": "much"}, BadValue, "much"),
        ({"objective_ms": -1}, BadValue, "-1"),
        ({"objective_ms": 0}, BadValue, "0"),
        ({"answer_seconds": 0}, BadValue, "answer-seconds"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    changes: dict[str, object], error: type[LabError], says: str
) -> None:
    with pytest.raises(error) as caught:
        spec(**changes)
    assert says in caught.value.cause
    assert "\n" not in caught.value.cause
    assert caught.value.remedy


def test_sizes() -> None:
    assert profile.parse_size("2GiB", "x") == 2 * 1024**3
    assert profile.parse_size("512m", "x") == 512 * 1024**2
    assert profile.parse_size("1.5 GB", "x") == 3 * 1024**3 // 2


def test_every_block_has_every_arm_in_an_order_that_the_seed_decides() -> None:
    wanted = dataclasses.replace(spec(), profile=FULL)
    first = bench.schedule(wanted)
    assert first == bench.schedule(wanted)
    assert first != bench.schedule(dataclasses.replace(wanted, seed=2))
    for block in range(FULL.blocks):
        ladders = [t.arm for t in first if t.block == block and t.kind == "ladder"]
        assert sorted(ladders) == ["container", "vm"]
    assert len({tuple(t.arm for t in first if t.block == b and t.kind == "ladder") for b in range(FULL.blocks)}) > 1
    assert len({t.key for t in first}) == len(first)
    assert {t.kind for t in first if t.block == FULL.blocks // 2} == {"ladder", "fit", "knee", "noise"}


def test_ladders_climb_where_starts_are_cheap_and_descend_where_they_are_not() -> None:
    assert ladder.order(FULL, "container", 0, slow=False) == FULL.levels
    assert ladder.order(FULL, "shared", 0, slow=False) == FULL.levels
    assert ladder.order(FULL, "vm-lean", 0, slow=False) == (1, 6, 5, 4, 3, 2)
    assert ladder.order(FULL, "vm-lean", FULL.alone_blocks, slow=False) == (6, 5, 4, 3, 2, 1)
    assert ladder.order(FULL, "container-ksm", 9, slow=False) == tuple(reversed(FULL.levels))


def test_slow_machines_visit_every_level_over_the_run_and_two_at_least_in_each_block() -> None:
    visited = [ladder.order(FULL, "vm", block, slow=True) for block in range(FULL.blocks)]
    assert {level for levels in visited for level in levels} == set(FULL.machine_levels)
    assert all(len(levels) >= 2 for levels in visited)
    assert all(len(ladder.order(QUICK, "vm", block, slow=True)) >= 2 for block in range(QUICK.blocks))


class NoDocker:
    """An engine without containers or networks."""

    systemd = False
    name = "trove-lab-density-test"
    client = mock.Mock(**{"containers.list.return_value": [], "networks.list.return_value": []})


def run_all(folder: Path, clock: Clock, known: list[raw_rows.Row] | None = None) -> list[raw_rows.Row]:
    wanted = spec(arm_names=["container", "shared"])
    wanted = dataclasses.replace(wanted, profile=dataclasses.replace(QUICK, blocks=1, knee_blocks=0, noise_blocks=0))
    ground = Ground(NoDocker(), journal.Journal("t", folder), None, 60, clock)  # type: ignore[arg-type]
    work = Bench(wanted, ground, raw_rows.Rows(folder), lambda _: None)
    with mock.patch.object(surroundings, "LOOK_SECONDS", 0.01):
        bench._all(work, {"mariadb": mock.Mock()}, raw_rows.of(known or [], "trial"))
    return raw_rows.read(folder)


def test_a_run_out_of_time_begins_nothing_and_says_what_it_left(tmp_path: Path) -> None:
    raw = run_all(tmp_path, Clock.after(-1))
    assert {r["trial"] for r in raw_rows.of(raw, "left-out", why="time limit")} == {
        "0/mariadb/container/ladder",
        "0/mariadb/shared/ladder",
    }
    assert [r["left"] for r in raw_rows.of(raw, "stopped")] == [2]
    assert not raw_rows.of(raw, "trial")


def test_a_trial_that_is_cut_short_is_marked_not_counted_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(stage: Stage) -> None:
        stage.row("start", seconds=1.0)
        raise OutOfTime

    monkeypatch.setitem(bench.KINDS, "ladder", cut)
    first = run_all(tmp_path, Clock.after(60))
    assert [r["status"] for r in raw_rows.of(first, "trial")] == ["stopped", "stopped"]
    assert [r["left"] for r in raw_rows.of(first, "stopped")] == [2]
    assert not [r for r in raw_rows.finished(first) if "trial" in r]

    monkeypatch.setitem(bench.KINDS, "ladder", lambda stage: stage.row("start", seconds=2.0))
    both = run_all(tmp_path, Clock.after(60), first)
    assert [r["seconds"] for r in raw_rows.of(raw_rows.finished(both), "start")] == [2.0, 2.0]
    assert run_all(tmp_path, Clock.after(60), both) == both


def test_a_failed_trial_is_a_row_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(stage: Stage) -> None:
        if stage.trial.arm == "container":
            raise GaveUp("the database", "it was killed for memory")
        raise OSError("the network is gone")

    monkeypatch.setitem(bench.KINDS, "ladder", fails)
    ended = {r["arm"]: r for r in raw_rows.of(run_all(tmp_path, Clock.after(60)), "trial")}
    assert {arm: r["status"] for arm, r in ended.items()} == {"container": "failed", "shared": "failed"}
    assert "killed for memory" in ended["container"]["why"]
    assert ended["shared"]["error"] == "database-gone"


def test_a_trial_that_is_not_expected_to_end_in_time_is_not_begun(tmp_path: Path) -> None:
    known = [
        {"kind": "trial", "trial": "x", "engine": "mariadb", "arm": arm, "test": "ladder", "status": "done",
         "seconds": 500.0}
        for arm in ("container", "shared")
    ]  # fmt: skip
    assert len(raw_rows.of(run_all(tmp_path, Clock.after(60), known), "left-out")) == 2


def test_a_full_disk_stops_the_run_with_its_own_error(tmp_path: Path) -> None:
    told = raw_rows.Rows(tmp_path)
    told.path.symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        told.add("one")


def test_full_has_what_a_full_run_promises() -> None:
    assert FULL.blocks >= 10
    assert len(FULL.levels) >= 6
    assert len(FULL.machine_levels) >= 6
    assert FULL.knee_blocks >= 5
    assert FULL.noise_blocks >= 5
    assert FULL.window_seconds >= 60
    assert QUICK.minutes <= 15
    assert FULL.minutes <= 60


def test_the_command_line_repeats_the_run() -> None:
    assert bench.command(spec(), Path("here")) == (
        "./inv density-bench --engine=mariadb --arms=container,vm --budget=1073741824 --seed=1 --out=here --quick"
    )


def test_a_line_that_a_kill_cut_is_left_out_and_the_next_row_is_whole(tmp_path: Path) -> None:
    first = raw_rows.Rows(tmp_path)
    first.add("one", n=1)
    with first.path.open("a") as file:
        file.write('{"kind": "tw')
    assert [r["kind"] for r in raw_rows.read(tmp_path)] == ["one"]
    raw_rows.Rows(tmp_path).add("three")
    assert [r["kind"] for r in raw_rows.read(tmp_path)] == ["one", "three"]


def test_a_folder_without_rows_and_a_spoiled_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        raw_rows.read(tmp_path)
    (tmp_path / raw_rows.FILE).write_text('no row\n{"kind": "x"}\n')
    with pytest.raises(BadFile, match="line 1"):
        raw_rows.read(tmp_path)


def test_a_changed_checkout_is_not_measured_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> None:
        raise LabBusy("density", "the test")

    monkeypatch.setattr(bench, "commit", lambda: "0123abcd-dirty")
    monkeypatch.setattr(bake, "alone", busy)
    with pytest.raises(Unsupported, match="in no commit"):
        bench.bench(spec(), tmp_path, Events())
    with pytest.raises(LabBusy):
        bench.bench(spec(), tmp_path, Events(), allow_dirty=True)
    monkeypatch.setattr(bench, "commit", lambda: "0123abcd")
    with pytest.raises(LabBusy):
        bench.bench(spec(), tmp_path, Events())


def test_another_runs_folder_is_not_continued(tmp_path: Path) -> None:
    one = {"version": 1, "spec": spec().as_dict(), "engines": {}, "accelerator": None, "protocol": "a"}
    assert manifest.settle(tmp_path, one) is False
    assert manifest.settle(tmp_path, one) is True
    for part, other in (("spec", spec(seed=2).as_dict()), ("protocol", "b")):
        with pytest.raises(BadValue) as caught:
            manifest.settle(tmp_path, one | {part: other})
        assert f"another {part}" in caught.value.remedy


def test_a_killed_runs_process_is_ended_and_one_that_reuses_its_pid_is_not(tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record = journal.Journal("dead", tmp_path)
        record.process(left.pid)
        data = json.loads((record.folder / "journal.json").read_text())
        data["processes"].append([other.pid, "1"])
        data["owner"] = [os.getpid(), "1"]
        (record.folder / "journal.json").write_text(json.dumps(data))
        removed = journal.sweep(NoDocker(), tmp_path)  # type: ignore[arg-type]
        assert removed == [f"process {left.pid}"]
        assert left.wait(5) != 0
        assert other.poll() is None
        assert not record.folder.exists()
    finally:
        for child in (left, other):
            child.kill()
            child.wait()


def test_a_living_runs_things_are_left_alone(tmp_path: Path) -> None:
    record = journal.Journal("alive", tmp_path)
    assert journal.sweep(NoDocker(), tmp_path) == []  # type: ignore[arg-type]
    assert record.folder.exists()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the helper is x86-64 machine code")
def test_the_merge_helper_becomes_the_program_or_says_why_not(tmp_path: Path) -> None:
    helper = tmp_path / "merge"
    helper.write_bytes(mergeable.program())
    helper.chmod(0o755)
    done = subprocess.run(
        [helper, "/bin/sh", "-c", 'cat /proc/self/ksm_stat 2>&1; echo "$1"', "x", "a b"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 125)
    if done.returncode == 0:
        assert done.stdout.endswith("a b\n")
        assert "ksm_merge_any: yes" in done.stdout or "ksm_merge_any" not in done.stdout
        assert subprocess.run([helper, "/no/such"], check=False).returncode == 127


def test_the_initramfs_is_an_archive_that_cpio_would_read(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(b"box")
    data = guestfiles.initramfs(Kit(tmp_path / "k", tmp_path / "busybox", {"virtio_blk": b"module"}, "1"))
    names, at = [], 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, length = fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        if name == "TRAILER!!!":
            break
        names.append(name)
        at = -(-(at + 110 + length) // 4) * 4
        at = -(-(at + size) // 4) * 4
    assert names == ["bin", "dev", "proc", "root", "bin/busybox", "virtio_blk.ko", "init"]


def test_processes_are_told_by_pid_and_start() -> None:
    assert procfs.started(os.getpid()) == procfs.started(os.getpid())
