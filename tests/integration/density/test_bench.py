"""The density bench for real: Docker, QEMU. Small: two levels, a few databases."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from lab.core import raw_rows, waits
from lab.core.errors import LabBusy
from lab.core.home import LABEL
from lab.core.progress import Events
from lab.density import bake
from lab.density.analysis import summary
from lab.density.arms.base import Ground
from lab.density.arms.containers import Containers
from lab.density.bake import Baked
from lab.density.dockers import PREFIX, Dockers
from lab.density.engine import ALL
from lab.density.folder import folder
from lab.density.host import cgroup, journal, surroundings
from lab.density.host.cgroup import Budget
from lab.density.measure import bench, fleet, profile
from lab.density.measure.profile import Spec
from lab.density.vm import machine
from lab.report import density

pytestmark = pytest.mark.density
MIB = 1024 * 1024
TINY = dataclasses.replace(
    profile.QUICK, name="tiny", blocks=1, idle_blocks=1, load_blocks=1, levels=(1, 2), machine_levels=(1, 2),
    idle_seconds=2, window_seconds=4, settle_seconds=3, ksm_seconds=5, fit_blocks=0, knee_blocks=0, noise_blocks=0,
    knee_limit=2, machine_knee_limit=1,
)  # fmt: skip


def spec(*names: str, **changes: Any) -> Spec:
    made = profile.spec(["mariadb"], names, "400MiB", quick=True, seed=3)
    return dataclasses.replace(made, profile=dataclasses.replace(TINY, **changes))


def leftovers() -> list[str]:
    """Whatever of a density run is on this host."""
    client = Dockers("look").client
    left = [c.name for c in client.containers.list(all=True, filters={"label": LABEL}) if _ours(c.labels)]
    left += [n.name for n in client.networks.list(filters={"label": LABEL}) if _ours(n.attrs["Labels"])]
    left += [str(p) for p in (folder() / "runs").glob("*")]
    base = cgroup.ROOT / "memory" if cgroup.version() == 1 else cgroup.ROOT
    left += [str(p) for p in base.glob(f"trove-lab-{PREFIX}*")]
    return [str(name) for name in left]


def _ours(labels: dict[str, str]) -> bool:
    return labels.get(LABEL, "").startswith(PREFIX)


@pytest.fixture
def ground() -> Iterator[tuple[Ground, Baked, Budget]]:
    dockers = Dockers("itest")
    with bake.alone():
        journal.sweep(dockers)
        record = journal.Journal("itest")
        budget = Budget(dockers.name, systemd=dockers.systemd)
        record.cgroup(dockers.name)
        try:
            yield Ground(dockers, record, None, 60), bake.bake(dockers, ALL["mariadb"], lambda _: None), budget
        finally:
            journal.clean(record, dockers)
    assert not leftovers()


@pytest.mark.parametrize(
    "hold",
    [
        # tail keeps the end of a pipe that is still open in its own memory
        "{ head -c 67108864 /dev/zero; exec sleep 600; } | exec tail -c 67108864",
        # as PostgreSQL's buffers are when the session that filled them is gone: shared, and mapped by nobody
        "head -c 67108864 /dev/zero > /dev/shm/held; exec sleep 600",
    ],
    ids=["own", "shared"],
)
def test_the_account_sees_an_allocation_that_we_made(ground: tuple[Ground, Baked, Budget], hold: str) -> None:
    """A container that holds 64 MiB: the parts and the cgroup say 64 MiB, within 5 %."""
    base, baked, budget = ground
    budget.open(None)
    before = budget.usage().working
    with base.dockers.network("known") as network:
        container = base.dockers.client.containers.run(
            baked.tag, entrypoint=["sh", "-c", hold], detach=True, labels=base.dockers.label, network=network.name,
            cgroup_parent=budget.path, shm_size="80m",
        )  # fmt: skip
        try:
            pid = int(base.dockers.client.api.inspect_container(str(container.id))["State"]["Pid"])
            arm = Containers(base, baked, budget)
            arm._pids["known"] = pid

            def held() -> int:
                return arm.resident().parts["database"]

            waits.until("64 MiB", lambda: held() >= 64 * MIB, seconds=30, setting="x", every=0.2)
            assert held() == pytest.approx(64 * MIB, rel=0.05)
            assert budget.usage().working - before == pytest.approx(64 * MIB, rel=0.1)
        finally:
            container.remove(force=True)


def test_the_budget_is_enforced_and_a_killed_database_is_a_failed_step(tmp_path: Path) -> None:
    bench.bench(spec("container", fit_blocks=1), tmp_path, Events(), allow_dirty=True)
    (fit,) = raw_rows.of(raw_rows.read(tmp_path), "fit")
    steps = raw_rows.of(raw_rows.read(tmp_path), "fit-step", phase="ramp")
    assert 2 <= fit["n"] <= 6
    assert [(s["n"], s["passed"]) for s in steps[-2:]] == [(fit["found"], True), (fit["found"] + 1, False)]
    assert all(s["cgroup"]["current"] <= 401 * MIB for s in steps)
    assert not leftovers()


def test_two_levels_of_containers_and_machines_end_in_a_report(tmp_path: Path) -> None:
    wanted = spec("container", "vm", "vm-lean", "vm-clone")
    bench.bench(wanted, tmp_path, Events(), allow_dirty=True)
    raw = raw_rows.read(tmp_path)
    assert {r["arm"]: (r["status"], r["why"]) for r in raw_rows.of(raw, "trial")} == {
        "container": ("done", ""),
        "vm": ("done", ""),
        "vm-lean": ("done", ""),
        "vm-clone": ("done", ""),
    }
    told = summary.summarise(raw)
    assert told.same
    cost = {name: arm.slope.point / MIB for (_, name), arm in told.arms.items() if arm.slope}
    if not any(r["loud"] for r in raw_rows.of(raw, "trial")):
        assert 40 < cost["container"] < 150
        assert cost["vm"] > cost["vm-lean"] > 1.5 * cost["container"]
    page = density.report(tmp_path).read_text()
    assert "One more mariadb database costs" in page
    assert not leftovers()
    # again: everything is done, nothing is measured twice
    bench.bench(wanted, tmp_path, Events(), allow_dirty=True)
    assert len(raw_rows.of(raw_rows.read(tmp_path), "trial")) == len(raw_rows.of(raw, "trial"))


CHILD = """
import sys
from pathlib import Path
from tests.integration.density.test_bench import spec
from lab.density.measure import bench
from lab.core.progress import Events
from lab.core.errors import LabError
try:
    bench.bench(spec(*sys.argv[2:]), Path(sys.argv[1]), Events(), allow_dirty=True)
except LabError as error:
    print(error.remedy)
    sys.exit(error.exit_code)
"""


def _child(folder: Path, *arms: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-c", CHILD, str(folder), *(arms or ("container", "shared"))]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _until_containers(child: subprocess.Popen[str]) -> None:
    client = Dockers("look").client
    waits.until(
        "its containers",
        lambda: [c for c in client.containers.list(filters={"label": LABEL}) if _ours(c.labels)],
        seconds=90,
        setting="x",
        every=0.1,
        fatal=lambda: None if child.poll() is None else "it ended",
    )


def test_a_killed_run_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    child = _child(tmp_path)
    _until_containers(child)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert leftovers()
    dockers = Dockers("next")
    with bake.alone():
        assert any(line.startswith("container") for line in journal.sweep(dockers))
    assert not leftovers()


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    child = _child(tmp_path)
    _until_containers(child)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f"--out={tmp_path}" in said
    assert not leftovers()


def test_ctrl_c_does_not_wait_for_a_machine_that_boots(tmp_path: Path) -> None:
    child = _child(tmp_path, "vm-lean")
    waits.until(
        "its machine",
        lambda: list((folder() / "runs").glob("*/vm-lean-1/probe.sock")),
        seconds=120,
        setting="x",
        every=0.1,
        fatal=lambda: None if child.poll() is None else "it ended",
    )
    began = monotonic()
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "--out=" in said
    assert monotonic() - began < 5
    assert not leftovers()


def test_a_database_that_never_answers_is_a_row_and_the_run_goes_on(tmp_path: Path) -> None:
    """Three seconds are too few for a machine to boot here or anywhere, and enough for a container."""
    hasty = dataclasses.replace(spec("vm-lean", "container"), answer_seconds=3.0)
    machines = dataclasses.replace(hasty.profile, levels=(1, 2))
    bench.bench(dataclasses.replace(hasty, profile=machines), tmp_path, Events(), allow_dirty=True)
    raw = raw_rows.read(tmp_path)
    ended = {r["arm"]: (r["status"], r["error"]) for r in raw_rows.of(raw, "trial")}
    assert ended == {"vm-lean": ("failed", "gave-up"), "container": ("done", "")}
    late = raw_rows.of(raw, "start", arm="vm-lean")[0]
    assert late["error"].startswith("Waited 3 s for vm-lean-mariadb-0 to answer.")
    assert not leftovers()


def test_a_port_that_somebody_else_has_is_a_row_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(machine, "free_port", lambda: other.getsockname()[1])
        bench.bench(spec("vm-lean"), tmp_path, Events(), allow_dirty=True)
    (ended,) = raw_rows.of(raw_rows.read(tmp_path), "trial")
    assert ended["status"] == "failed"
    assert "host forwarding" in ended["why"]
    assert not leftovers()


def test_a_run_that_is_out_of_time_ends_and_the_same_command_goes_on(tmp_path: Path) -> None:
    wanted = spec("container", "shared")
    short = dataclasses.replace(wanted.profile, minutes=0)
    bench.bench(dataclasses.replace(wanted, profile=short), tmp_path / "none", Events(), allow_dirty=True)
    assert [r["left"] for r in raw_rows.of(raw_rows.read(tmp_path / "none"), "stopped")] == [2]
    assert not leftovers()


def test_searches_end_in_figures(tmp_path: Path) -> None:
    """The knee of one or two containers at an objective that any keeps, and a neighbour."""
    wanted = spec("container", knee_blocks=1, noise_blocks=1)
    bench.bench(dataclasses.replace(wanted, objective_ms=20_000), tmp_path, Events(), allow_dirty=True)
    raw = raw_rows.read(tmp_path)
    assert {r["status"] for r in raw_rows.of(raw, "trial")} == {"done"}
    relative, absolute = raw_rows.of(raw, "knee")
    assert [relative["relative"], absolute["relative"]] == [True, False]
    assert (absolute["n"], absolute["capped"], absolute["confirmed"]) == (2, True, True)
    loads = raw_rows.of(raw, "load")
    assert len({tuple(r["draw"]) for r in loads}) == len(loads)
    assert all(r["busy"] > 0 for r in loads)
    assert not any(r["missing"] for r in loads)
    assert [r["phase"] for r in raw_rows.of(raw, "noise")] == ["warm-up", "quiet", "noisy"]
    assert all(r["transactions"] > 0 for r in raw_rows.of(raw, "noise"))
    assert not leftovers()


def test_two_runs_at_once_are_refused() -> None:
    with bake.alone(), pytest.raises(LabBusy):
        bench.bench(spec("container"), Path("/nowhere"), Events(), allow_dirty=True)


def test_a_small_fleet_answers_and_goes(tmp_path: Path) -> None:
    wanted = tmp_path / "fleet.json"
    wanted.write_text('{"mariadb": 3, "postgresql": 2}')
    fleet.fleet(str(wanted), tmp_path / "out", Events(), settle_seconds=6)
    told = json.loads((tmp_path / "out" / "fleet.json").read_text())
    assert told["answered_at_start"] == told["answered_after_settling"] == 5
    assert not told["dead"]
    assert not leftovers()


def test_what_the_host_does_is_seen() -> None:
    before = surroundings.mark()
    assert 0 <= surroundings.outside() <= surroundings.processors() + 0.5
    assert surroundings.since(before)["swapped"] >= 0  # type: ignore[operator]
