"""The memory account against a /proc and cgroups that we wrote ourselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lab.density.analysis import account
from lab.density.arms.base import Resident
from lab.density.host import cgroup, ksm, procfs
from lab.density.host.guest import Guest
from lab.density.host.procfs import Share
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


def test_the_account_closes_on_a_host_that_we_made_up() -> None:
    """Each database costs 80 MiB of its own, 2 of shim, 1 of page tables and 0.5 that nobody tells about.

    Somebody else takes 3 MiB more at each level meanwhile: no cost of a database.
    """

    def moment(n: int) -> dict[str, Any]:
        lost, others = n * (83.5 * MIB), 500 * MIB + n * 3 * MIB
        meminfo = {"MemAvailable": 9000 * MIB - lost - others, "PageTables": 5 * MIB + n * MIB}
        meminfo |= {"SUnreclaim": 70 * MIB, "AnonPages": n * 82 * MIB + 90 * MIB + others, "Shmem": 0}
        return {
            "meminfo": meminfo,
            "elsewhere": {"processors_free": 0},
            "parts": {"database": n * 80 * MIB, "shims": n * 2 * MIB, "daemons": 90 * MIB},
        }

    levels = [1, 2, 4, 8]
    got = account.close(levels, [moment(n) for n in levels])
    assert got.slope == pytest.approx(83.5 * MIB)
    assert got.parts["database"] == pytest.approx(80 * MIB)
    assert got.parts["page_tables"] == pytest.approx(MIB)
    assert got.parts["daemons"] == pytest.approx(0, abs=1)
    assert got.others == pytest.approx(3 * MIB)
    assert got.residual == pytest.approx(0.5 * MIB)
    assert got.share == pytest.approx(0.5 / 83.5)


def test_memory_that_nobody_accounts_for_is_residual_not_hidden() -> None:
    def moment(n: int) -> dict[str, Any]:
        return {
            "meminfo": {"MemAvailable": -n * 100 * MIB, "AnonPages": n * 40 * MIB},
            "elsewhere": {"processors_free": 0},
            "parts": {"database": n * 40 * MIB},
        }

    assert account.close([1, 2], [moment(1), moment(2)]).share == pytest.approx(0.6)


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
