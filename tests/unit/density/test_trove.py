"""Trove's arms: whose a process is, what a guest tells, what is refused, and what the page then says. No cloud."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from lab.core import raw_rows
from lab.core.errors import BadValue, Unsupported
from lab.core.home import Home
from lab.density import clouds
from lab.density.analysis import account, summary
from lab.density.arms import instances
from lab.density.arms.instances import Instances
from lab.density.engine import MARIADB
from lab.density.host import procfs, trees
from lab.density.host.clock import ENDLESS
from lab.density.host.resident import Resident
from lab.density.host.trees import Process
from lab.density.measure import ladder, manifest, profile
from lab.density.measure.profile import TROVE
from lab.lifecycle import labs as lifecycle
from lab.report import density
from tests.unit.dbod import faketrove

MIB = 1024 * 1024
GUEST = "e1f89fe84d55" + "0" * 52
HOST = [
    Process(1, 0, "init", "/init"),
    Process(5, 1, "dockerd", "dockerd"),
    Process(6, 1, "containerd-shim-runc-v2", "containerd-shim-runc-v2 -namespace moby -id machine"),
    Process(10, 6, "systemd", "/sbin/init"),
    Process(11, 10, "nova-compute", "python3 /usr/bin/nova-compute"),
    Process(12, 10, "mariadbd", "mariadbd"),
    Process(13, 10, "dockerd", "dockerd"),
    Process(14, 13, "containerd", "containerd"),
    Process(20, 10, "containerd-shim-runc-v2", f"containerd-shim-runc-v2 -namespace moby -id {GUEST} -address x"),
    Process(21, 20, "systemd", "/sbin/init"),
    Process(22, 21, "python3", "/usr/bin/python3 /usr/bin/trove-guestagent --config-dir=/etc/trove/conf.d"),
    Process(23, 22, "sudo", "sudo mount"),
    Process(24, 21, "dockerd", "/usr/sbin/dockerd"),
    Process(25, 24, "containerd", "containerd"),
    Process(26, 21, "containerd-shim-runc-v2", "containerd-shim-runc-v2 -namespace moby -id nested -address x"),
    Process(27, 26, "mariadbd", "mariadbd"),
    Process(28, 27, "sh", "sh -c true"),
    Process(30, 10, "qemu-system-x86_64", "qemu-system-x86_64 -name guest=i -uuid 1-2-3 -accel tcg,tb-size=256"),
    Process(40, 5, "mariadbd", "another container of the host"),
]
"""A host as one lab with a guest of either hypervisor was seen to look, shortened."""


def test_every_process_of_the_machine_is_somebodys_and_no_other_is() -> None:
    tree = trees.machine(HOST, 10)
    assert tree.guests == {
        GUEST: {
            "shims": [26, 20],
            "guest_system": [21],
            "agent": [22, 23],
            "guest_docker": [24, 25],
            "database": [27, 28],
        },
        "1-2-3": {"qemu": [30]},
    }
    assert sorted(tree.daemons) == [13, 14]
    assert sorted(tree.cloud) == [10, 11, 12]


def test_a_machine_that_is_gone_has_nothing() -> None:
    assert trees.machine(HOST, 99) == trees.Tree()


def test_a_guest_tells_its_parts_and_the_rest_is_named() -> None:
    def row(pid: int, ppid: int, name: str, command: str, held: int) -> list[object]:
        return [pid, ppid, name, command, f"x [rollup]\nPss_Anon: {held} kB\nPss_Shmem: 0 kB\n"]

    meminfo = "MemTotal: 1000 kB\nMemFree: 100 kB\nAnonPages: 700 kB\nShmem: 10 kB\nCached: 90 kB\nSlab: 30 kB\n"
    table = [
        row(1, 0, "systemd", "/sbin/init", 20),
        row(2, 0, "kthreadd", "", 0),
        row(7, 1, "python3", "python3 /usr/bin/trove-guestagent", 70),
        row(8, 1, "dockerd", "dockerd", 40),
        row(9, 1, "containerd-shim", "containerd-shim-runc-v2 -id x", 8),
        row(10, 9, "mariadbd", "mariadbd", 500),
    ]
    told = clouds.parse(json.dumps({"meminfo": meminfo, "processes": table}))
    assert told.database.held == 500 * 1024
    assert told.parts == {n: v * 1024 for n, v in
                          {"guest_system": 20, "agent": 70, "guest_docker": 40, "shims": 8}.items()}  # fmt: skip
    sums = account.guests(Resident({}, 0, (told, told)))
    assert sums["answered"] == 2
    assert sums["agent"] == 2 * 70 * 1024
    assert sums["other_programs"] == 2 * (710 - 638) * 1024


def test_the_limit_of_the_translation_cache_is_read_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_text("qemu\0-accel\0tcg,tb-size=256\0")
    monkeypatch.setattr(procfs, "PROC", tmp_path)
    assert instances._cache(7) == 256
    assert instances._cache(8) == 1024


def test_arms_without_trove_need_no_lab() -> None:
    assert clouds.of(["vm", "container"], "no-such-lab") is None


def test_a_lab_that_is_not_there_is_refused_with_the_command_that_makes_it() -> None:
    with pytest.raises(Unsupported) as caught:
        clouds.of(["container", "trove-container"], "no-such-lab")
    assert caught.value.cause == "The arm trove-container needs a lab that is up, and 'no-such-lab' is not."
    assert caught.value.remedy == "./inv up --hypervisor=docker --no-database --name=no-such-lab"


@pytest.mark.parametrize(
    ("provider", "hypervisor", "arm", "says", "mends"),
    [
        ("docker", "docker", "trove-vm", "qemu or kvm, and 'one' has docker", "docker --beside=qemu --no-database"),
        ("docker", "qemu", "trove-container", "is docker, and 'one' has qemu", "docker --beside=qemu --no-database"),
        ("libvirt", "docker", "trove-container", "is a virtual machine", "--provider=docker"),
    ],
)
def test_another_hypervisor_is_refused_in_one_sentence(
    provider: str, hypervisor: str, arm: str, says: str, mends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home("one", tmp_path)
    home.make()
    home.state["spec"] = {"name": "one", "provider": provider, "hypervisor": hypervisor}
    home.clouds_yaml.touch()
    monkeypatch.setattr(lifecycle, "home_of", lambda _: home)
    monkeypatch.setattr(lifecycle, "machine_of", lambda _: SimpleNamespace(status=lambda: "running"))
    with pytest.raises(Unsupported) as caught:
        clouds.of([arm], "one")
    assert says in caught.value.cause
    assert "\n" not in caught.value.cause
    assert mends in caught.value.remedy


def test_troves_arms_have_a_profile_of_their_own_and_are_in_no_run_that_did_not_ask() -> None:
    def spec(arms: list[str], *, quick: bool = False) -> profile.Spec:
        return profile.spec(["mariadb"], arms, "1GiB", quick=quick, seed=1)

    assert not {"trove-vm", "trove-container"} & set(spec([]).arms)
    assert spec(["trove-vm", "container"]).profile == TROVE
    assert spec(["trove-vm"], quick=True).profile.blocks == 1
    assert profile.from_dict(json.loads(json.dumps(spec(["trove-vm"]).as_dict()))) == spec(["trove-vm"])


def test_troves_containers_climb_and_descend_in_turn_and_its_machines_start_alone_first() -> None:
    up, down = (ladder.order(TROVE, "trove-container", block, slow=False) for block in (0, 1))
    assert up == TROVE.levels
    assert down == tuple(reversed(TROVE.levels))
    assert ladder.order(TROVE, "trove-vm", 0, slow=True) == (1, 3, 2)
    assert ladder.order(TROVE, "trove-vm", 1, slow=True) == (1, 4, 3, 2)


def test_another_command_adds_its_arms_to_the_run(tmp_path: Path) -> None:
    def made(arms: list[str], accelerator: object, labs: dict[str, object]) -> dict[str, Any]:
        spec = profile.spec(["mariadb"], arms, "1GiB", quick=False, seed=1).as_dict()
        return {"version": 1, "spec": spec, "engines": {}, "protocol": "a", "accelerator": accelerator, "labs": labs,
                "guest_kernel": None, "command": f"./inv density-bench --arms={','.join(arms)}"}  # fmt: skip

    tcg = {"name": "tcg"}
    assert manifest.settle(tmp_path, made(["trove-container", "vm"], tcg, {"trove-container": 1})) is False
    assert manifest.settle(tmp_path, made(["trove-vm"], None, {"trove-vm": 2})) is True
    kept = json.loads((tmp_path / "manifest.json").read_text())
    assert kept["spec"]["arms"] == ["trove-container", "vm", "trove-vm"]
    assert kept["labs"] == {"trove-container": 1, "trove-vm": 2}
    assert kept["accelerator"] == tcg
    assert kept["command"].splitlines()[1] == "./inv density-bench --arms=trove-vm"
    with pytest.raises(BadValue):
        manifest.settle(tmp_path, made(["vm", "trove-vm"], {"name": "kvm"}, {}))


def cloud_of(api: Any, beside: str) -> clouds.Cloud:
    nobody: Any = None
    return clouds.Cloud(nobody, "docker", nobody, api, nobody, "small", 512, "net", 2, beside)


def test_one_lab_serves_both_arms_where_machines_stand_beside_containers(tmp_path: Path) -> None:
    access, fake = faketrove.access(Home("one", tmp_path))
    fake.versions = ("11.8", "11.8-vm")
    cloud = cloud_of(access.user, beside="qemu")
    assert (cloud.runs("trove-container"), cloud.newest("trove-container", "mariadb")) == ("docker", "11.8")
    assert (cloud.runs("trove-vm"), cloud.newest("trove-vm", "mariadb")) == ("qemu", "11.8-vm")
    assert cloud.newest("trove-vm", "redis") is None


@pytest.fixture
def arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Instances, faketrove.FakeTrove]:
    """The arm over a Trove in memory; the way to the instances and their SQL are left out."""
    monkeypatch.setattr(instances, "password", lambda: "secret")
    monkeypatch.setattr(instances.Instances, "_fill", lambda *_: None)
    access, fake = faketrove.access(Home("one", tmp_path))
    cloud = cloud_of(access.user, beside="nothing")
    ground: Any = SimpleNamespace(
        cloud=cloud, journal=SimpleNamespace(folder=tmp_path / "run1"), patience=2, dockers=None, clock=ENDLESS
    )
    baked = SimpleNamespace(engine=mock.Mock(spec=MARIADB, port=3306, answers=lambda *_: True))
    baked.engine.name = "mariadb"
    made = Instances("trove-container", ground, baked)  # type: ignore[arg-type]
    made._group = "g0"
    made._tunnel = SimpleNamespace(to=lambda host, port: 40000 + port, close=lambda: None)  # type: ignore[assignment]
    return made, fake


def test_instances_are_asked_for_with_what_the_bench_has(arm: tuple[Instances, faketrove.FakeTrove]) -> None:
    made, fake = arm
    starts = made.add(3, 2)
    assert [s.together for s in starts] == [2, 2, 1]
    assert all(s.active is not None and s.active <= s.seconds and not s.error for s in starts)
    assert [p.port for p in made.places()] == [43306] * 3
    asked = next(body for verb, path, body in fake.requests if (verb, path) == ("POST", "/instances"))["instance"]
    assert asked["configuration"] == "g0"
    assert asked["users"] == [{"name": "bench", "password": "secret", "databases": [{"name": "bench"}]}]
    fake.groups["g0"] = {"id": "g0"}
    made.close()
    assert not fake.instances
    assert not fake.groups
    made.close()


def test_a_broken_instance_says_why_and_is_taken_away_too(arm: tuple[Instances, faketrove.FakeTrove]) -> None:
    made, fake = arm
    ask = fake._made

    def broken(wanted: dict[str, Any]) -> Any:
        told = ask(wanted)
        told["instance"] |= {"status": "ERROR", "fault": {"message": "no valid host was found"}}
        return told

    fake._made = broken  # type: ignore[method-assign]
    (start,) = made.add(1, 1)
    assert start.error == "no valid host was found"
    assert not made.places()
    fake.groups["g0"] = {"id": "g0"}
    made.close()
    assert not fake.instances


def test_the_clouds_growth_is_shown_and_not_counted(density_run: Callable[[int], Any]) -> None:
    run = density_run(2)
    told = json.loads((run.folder / "manifest.json").read_text())
    told["spec"]["arms"] += ["trove-container"]
    told["labs"] = {"trove-container": {"hypervisor": "docker", "release": "2025.1", "installer": "packages",
                                        "distro": "debian-13", "flavor": "db.small", "memory_mib": 1024}}  # fmt: skip
    (run.folder / "manifest.json").write_text(json.dumps(told))
    made = raw_rows.Rows(run.folder)
    parts = {"database": 150 * MIB, "agent": 70 * MIB, "guest_docker": 40 * MIB, "cloud": 30 * MIB}
    for block in (0, 1):
        common: dict[str, Any] = {"block": block, "engine": "mariadb", "arm": "trove-container"}
        common["trial"] = f"{block}/mariadb/trove-container/ladder"
        for arm_name, value in (("container", "16777216"), ("trove-container", "33554432")):
            if block == 0:
                made.add("settings", **{**common, "arm": arm_name}, values={"pool": value, "equal": "1"})
        for level in (0, 1, 2, 3):
            for state in ("warm", "dropped"):
                held = {name: level * size for name, size in parts.items()}
                held["cloud"] += 3000 * MIB
                free = 2e10 - sum(held.values()) - level * 5 * MIB
                made.add("memory", **common, level=level, state=state, settled=True, emulated=False, files=0, ksm={},
                         elsewhere={"processors_free": 0}, parts=held, guest={}, cgroup={},
                         meminfo={"MemAvailable": free, "AnonPages": sum(held.values())})  # fmt: skip
        made.add("start", **common, name="x", seconds=24.0, together=1, error="", active=21.0, emulated=False)
        made.add("trial", **common, test="ladder", status="done", why="", error="", loud=False)
    page = density.report(run.folder).read_text()
    arm = summary.summarise(raw_rows.read(run.folder)).arms["mariadb", "trove-container"]
    assert arm.slope is not None
    assert arm.unexplained is not None
    assert arm.slope.point == pytest.approx(265 * MIB)
    assert arm.unexplained.point == pytest.approx(5 / 295, abs=1e-6)
    assert arm.parts["cloud"] == pytest.approx(30 * MIB)
    assert {r["lost"] for r in arm.ladders} == {n * 265 * MIB for n in (1, 2, 3)}
    assert arm.active == [21.0, 21.0]
    told_settings = json.loads((run.folder / "summary.json").read_text())["settings_that_differ"]["mariadb"]
    assert told_settings == {"pool": {"container": "16777216", "trove-container": "33554432"}}
    for words in ("265.0 MiB", "+30.0", "33554432", "Trove's guest agent", "the cloud's services, not counted"):
        assert words.replace("'", "&#39;") in page or words in page, words
