"""The memory account against a /proc and cgroups that we wrote ourselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lab.core import waits
from lab.density import protocol
from lab.density.analysis import account
from lab.density.host import cgroup, ksm, procfs
from lab.density.host.procfs import Share
from lab.density.host.resident import Guest, Resident
from lab.density.vm import qemu
from lab.density.vm.machine import LEAN

MIB = 1024 * 1024
ROLLUP = """55a0-7fff ---p 00000000 00:00 0    [rollup]
Rss:              105672 kB
Pss:               90000 kB
Pss_Anon:          80420 kB
Pss_File:           9000 kB
Pss_Shmem:           580 kB
"""
SMAPS = """7f0000000000-7f000c000000 rw-p 00000000 00:00 0
Size:             196608 kB
Pss:              150000 kB
7f1000000000-7f1002000000 rwxp 00000000 00:00 0
Size:              32768 kB
Pss:               30000 kB
7f2000000000-7f2000100000 r-xp 00000000 fe:00 1234                       /usr/bin/qemu-system-x86_64
Size:               1024 kB
Pss:                 512 kB
7f3000000000-7f3000400000 rw-p 00000000 00:00 0                          [heap]
Size:               4096 kB
Pss:                4000 kB
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one QEMU (7)."""
    one = tmp_path / "7"
    one.mkdir()
    (one / "smaps").write_text(SMAPS)
    (one / "smaps_rollup").write_text("x [rollup]\nPss_Anon: 184000 kB\nPss_File: 512 kB\nPss_Shmem: 0 kB\n")
    fields = [
        "S",
        "1",
        "7",
        "7",
        "0",
        "-1",
        "0",
        "0",
        "0",
        "0",
        "0",
        "150",
        "50",
        "30",
        "20",
        *["0"] * 4,
        "4242",
        "0",
    ]
    (one / "stat").write_text(f"7 (qemu (x) y) {' '.join(fields)}\n")
    (tmp_path / "stat").write_text("cpu  100 0 50 800 50 0 0 40 0 0\ncpu0 100 0 50 800 50 0 0 40 0 0\n")
    (tmp_path / "vmstat").write_text("pgpgin 8\npgpgout 16\npswpin 3\npswpout 4\npgfault 9\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "memory").write_text("some avg10=0.00 total=9\nfull avg10=0.00 avg60=0 total=2500000\n")
    return tmp_path


def test_a_rollup_is_read_in_bytes() -> None:
    assert procfs.parse_rollup(ROLLUP) == Share(80420 * 1024, 580 * 1024, 9000 * 1024)
    assert procfs.parse_rollup(ROLLUP).held == 81000 * 1024


def test_processes_are_summed_and_a_gone_one_is_nothing(proc: Path) -> None:
    assert procfs.share(8, proc) is None
    assert procfs.shares([7, 8, 7], proc).anon == 2 * 184000 * 1024


def test_a_machine_is_split_into_its_parts(proc: Path) -> None:
    parts, files = qemu.parts(7, LEAN.memory, LEAN.cache, proc)
    assert parts == {"guest_ram": 150000 * 1024, "tcg_cache": 30000 * 1024, "vmm": 4000 * 1024}
    assert files == 512 * 1024


def test_times_and_counters(proc: Path) -> None:
    assert procfs.cpu_seconds(7, proc) == 250 / procfs.TICKS
    assert procfs.cpu_seconds(8, proc) == 0
    assert procfs.started(7, proc) == "4242"
    assert procfs.started(8, proc) is None
    assert procfs.swapped_pages(proc) == 7
    assert procfs.disk_bytes(proc) == (8 * 1024, 16 * 1024)
    assert procfs.pressure_full(proc) == 2.5
    cpu = procfs.cpu(proc)
    assert (cpu.busy, cpu.steal, cpu.total) == pytest.approx(tuple(v / procfs.TICKS for v in (150, 40, 1040)))


def test_a_kernel_without_psi_is_told_apart_from_one_at_ease(tmp_path: Path) -> None:
    assert procfs.pressure_full(tmp_path) is None


OWN = {"database": 80.0, "shims": 2.0, "daemons": 0.5}
"""MiB that one more database costs in processes."""
KERNEL = {"PageTables": 3.0, "SUnreclaim": 4.0, "KernelStack": 1.0, "Percpu": 1.0}
SECRET = 0.5
LEVELS = (1, 2, 4, 8)


def moment(n: int, fault: str = "", foreign: float = 0.0) -> dict[str, Any]:
    """``n`` databases on a host that we made up; ``fault``: the part that is read at half its size.

    ``SECRET`` MiB of each database nobody tells about; somebody else takes ``foreign`` MiB more at each level.
    """
    own = {name: size * n * MIB for name, size in OWN.items()}
    kernel = {name: size * n * MIB for name, size in KERNEL.items()}
    lost = sum(own.values()) + sum(kernel.values()) + (SECRET + foreign) * n * MIB
    meminfo = {"MemAvailable": 9000 * MIB - lost, "AnonPages": 500 * MIB + sum(own.values()) + foreign * n * MIB}
    halved = {name: size / (2 if name == fault else 1) for name, size in {**own, **kernel}.items()}
    return {
        "meminfo": {**meminfo, "Shmem": 0, **{name: halved[name] for name in KERNEL}},
        "elsewhere": {"processors_free": 0},
        "parts": {name: halved[name] for name in OWN},
    }


def test_the_account_closes_on_a_host_that_we_made_up() -> None:
    cost = sum(OWN.values()) + sum(KERNEL.values()) + SECRET
    got = account.close(LEVELS, [moment(n, foreign=3) for n in LEVELS])
    assert got.slope == pytest.approx(cost * MIB)
    assert got.raw == pytest.approx((cost + 3) * MIB)
    assert got.parts["database"] == pytest.approx(80 * MIB)
    assert got.parts["page_tables"] == pytest.approx(3 * MIB)
    assert got.others == pytest.approx(3 * MIB)
    assert got.residual == pytest.approx(SECRET * MIB)
    assert got.unexplained == pytest.approx((SECRET + 3) / (cost + 3))


@pytest.mark.parametrize("part", [*OWN, *KERNEL])
def test_a_part_that_is_read_at_half_its_size_shows_in_what_is_published(part: str) -> None:
    """The residual alone stays as it was where a process is read too small: the others' memory grows by as much."""
    whole, halved = (account.close(LEVELS, [moment(n, fault) for n in LEVELS]) for fault in ("", part))
    half = {**OWN, **KERNEL}[part] / 2 * MIB
    assert halved.unexplained - whole.unexplained == pytest.approx(half / whole.raw)
    if part in OWN:
        assert halved.residual == pytest.approx(whole.residual)


def test_the_database_at_half_its_size_is_above_what_lets_a_ladder_pass() -> None:
    whole, halved = (account.close(LEVELS, [moment(n, fault) for n in LEVELS]) for fault in ("", "database"))
    assert abs(whole.unexplained) <= protocol.UNEXPLAINED < abs(halved.unexplained)


def test_a_sample_is_the_moment_in_the_middle_and_no_instant_off_the_free_list_is_in_it() -> None:
    usual = [moment(2, foreign=f / 100) for f in (1, 3, 2)]
    gone = [moment(2, foreign=32) for _ in range(2)]
    found = account.middle([gone[0], usual[0], gone[1], usual[1], usual[2]])
    assert account.available(found) == account.available(usual[1])
    assert found["parts"] == usual[1]["parts"]
    assert found["spread"] == pytest.approx((64 - 0.02) * MIB)


def test_a_sample_takes_its_moments_over_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(waits, "pause", pauses.append)
    looks = iter(range(100))
    account.sample(lambda: Resident({"database": next(looks)}, 0))
    assert next(looks) == protocol.MOMENTS == 5
    assert sum(pauses) == protocol.SAMPLE_SECONDS == 2.0


def test_free_pages_on_processors_lists_are_no_loss(proc: Path) -> None:
    (proc / "zoneinfo").write_text(
        "Node 0, zone Normal\n  pages free 100\n  pagesets\n    cpu: 0\n              count:    300\n"
        "              high:  800\n    cpu: 1\n              count:    200\n"
    )
    (proc / "net").mkdir()
    (proc / "net" / "sockstat").write_text("sockets: used 9\nTCP: inuse 2 orphan 0 tw 0 alloc 3 mem 4\nUDP: mem 1\n")
    page = os.sysconf("SC_PAGE_SIZE")
    assert procfs.held_elsewhere(proc) == {"processors_free": 500 * page, "sockets": 5 * page}
    one = {"meminfo": {"MemAvailable": 1000}, "elsewhere": procfs.held_elsewhere(proc)}
    assert account.available(one) == 1000 + 500 * page


def test_guests_are_told_apart_inside_their_ram() -> None:
    info = {"MemTotal": 150, "MemFree": 20, "Cached": 30, "Buffers": 2, "Shmem": 1, "AnonPages": 80, "Slab": 9,
            "KernelStack": 1, "PageTables": 1, "Percpu": 1}  # fmt: skip
    told = account.guests(Resident({"guest_ram": 1}, 0, (Guest(info, Share(70, 0, 20)),) * 2))
    assert told == {
        "answered": 2, "total": 300, "free": 40, "database": 140, "other_programs": 22, "page_cache": 62,
        "kernel": 24,
    }  # fmt: skip


def test_cgroup_version_1_is_seen_although_2_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("")
    assert cgroup.version(tmp_path) == 1
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    assert cgroup.version(tmp_path) == 2


@pytest.mark.parametrize(
    ("listed", "folder"),
    [
        ("11:cpu,cpuacct:/no\n4:memory:/docker/one\n0::/no\n", "memory/docker/one"),
        ("0::/x.slice/one\n", "x.slice/one"),
    ],
    ids=["v1", "v2"],
)
def test_shared_memory_of_a_process_s_cgroup(tmp_path: Path, listed: str, folder: str) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    (root / folder).mkdir(parents=True)
    (proc / "7").mkdir(parents=True)
    if not folder.startswith("memory"):
        (root / "cgroup.controllers").write_text("memory\n")
    (proc / "7" / "cgroup").write_text(listed)
    (root / folder / "memory.stat").write_text("shmem 70\ntotal_shmem 70\n")
    assert cgroup.shared(7, root, proc) == 70
    assert cgroup.shared(8, root, proc) == 0


def test_a_budget_is_a_limit_on_everything_below_it_v1(tmp_path: Path) -> None:
    folder = tmp_path / "memory" / "trove-lab-density-x"
    folder.mkdir(parents=True)
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.use_hierarchy"):
        (folder / name).write_text("")
    (folder / "memory.usage_in_bytes").write_text("1000\n")
    (folder / "memory.max_usage_in_bytes").write_text("1200\n")
    (folder / "memory.kmem.usage_in_bytes").write_text("30\n")
    (folder / "memory.stat").write_text("inactive_file 5\ntotal_inactive_file 400\n")
    for place in (folder, folder / "child"):
        place.mkdir(exist_ok=True)
        (place / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    budget = cgroup.Budget("trove-lab-density-x", systemd=False, root=tmp_path)
    budget.open(5000)
    assert (folder / "memory.limit_in_bytes").read_text() == "5000"
    assert (folder / "memory.memsw.limit_in_bytes").read_text() == "5000"
    assert budget.path == "/trove-lab-density-x"
    assert budget.usage() == cgroup.Usage(1000, 1200, 600, 30, 2)


def test_a_budget_is_a_limit_on_everything_below_it_v2(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    folder = tmp_path / "trove_lab_density_x.slice"
    folder.mkdir()
    (folder / "memory.max").write_text("max")
    (folder / "memory.swap.max").write_text("max")
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.peak").write_text("1200\n")
    (folder / "memory.stat").write_text("kernel 30\ninactive_file 400\n")
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    budget = cgroup.Budget("trove-lab-density-x", systemd=True, root=tmp_path)
    budget.open(5000)
    assert (folder / "memory.max").read_text() == "5000"
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "cgroup.subtree_control").read_text() == "+memory"
    assert budget.path == "trove_lab_density_x.slice"
    assert budget.usage() == cgroup.Usage(1000, 1200, 600, 30, 2)
    assert budget.procs.parent.parent == folder


def test_ksm_is_put_back_as_it_was_found(tmp_path: Path) -> None:
    found = {"run": "0", "pages_to_scan": "100", "sleep_millisecs": "20"}
    for name, value in found.items():
        (tmp_path / name).write_text(value + "\n")
    told: list[dict[str, str]] = []
    with ksm.running(told.append, tmp_path):
        assert (tmp_path / "run").read_text() == "1"
        assert told == [found]
    assert {name: (tmp_path / name).read_text() for name in found} == found
    assert told == [found, {}]
