"""How a machine container is started, what goes into images, and the keys."""

import subprocess
import sys
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from lab.build import rootfs
from lab.containers import client
from lab.core.home import Home
from lab.core.resources import RESOURCES
from lab.host.kernel import Kernel
from lab.machine import keys
from lab.machine.container import create_args
from lab.machine.contract import Wanted

DEVICES = ("/dev/net/tun", "/dev/fuse", "/dev/kvm")
ORDINARY = Kernel(lacking=(), cgroup=2, ipv6=True, devices=(*DEVICES, "/dev/vhost-net"))
NARROW = Kernel(lacking=("SYS_RESOURCE",), cgroup=1, ipv6=False, devices=DEVICES)
WANTED = Wanted(image="x", memory=12, cpus=0, disk=40)


def args(wanted: Wanted, facts: Kernel) -> str:
    return " ".join(create_args("trove-lab-x", "trove-lab=x", wanted, facts))


def test_an_ordinary_host_gives_everything_without_privileged() -> None:
    given = args(replace(WANTED, kvm=True, cpus=4), ORDINARY)
    assert "--cap-add=ALL" in given
    for absent in ("--cap-drop", "--privileged", "--publish", "--volume"):
        assert absent not in given
    for part in (
        "--cgroupns=private",
        "--device /dev/kvm",
        "--device /dev/vhost-net",
        "--cpus 4",
        "--memory 12g",
        "--label trove-lab=x",
        "--network trove-lab-x",
        "--sysctl net.ipv6.conf.lo.disable_ipv6=0",
        "--hostname machine",
    ):
        assert part in given


def test_a_narrow_host_gets_what_it_can_start() -> None:
    given = args(WANTED, NARROW)
    assert "--cap-drop=SYS_RESOURCE" in given
    assert "--cgroupns=host" in given
    for absent in ("ipv6", "/dev/kvm", "--cpus", "/dev/vhost-net"):
        assert absent not in given


def test_kvm_is_given_only_when_proven() -> None:
    assert "/dev/kvm" not in args(replace(WANTED, kvm=False), ORDINARY)


def test_a_build_context_depends_on_content_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "Dockerfile").write_text("FROM x\n")
        (tmp_path / name / "sub/run").write_text("#!/bin/sh\n")
        (tmp_path / name / "sub/run").chmod(0o755)
    first, second = (client.context(tmp_path / n, {"extra": b"E"}) for n in ("one", "two"))
    assert first == second
    assert client.context(tmp_path / "one", {"extra": b"F"}) != first
    with tarfile.open(fileobj=BytesIO(first)) as tar:
        assert {m.name: oct(m.mode) for m in tar} == {"Dockerfile": "0o644", "extra": "0o644", "sub/run": "0o755"}
    (tmp_path / "two/sub/run").chmod(0o644)
    assert client.context(tmp_path / "two", {"extra": b"E"}) != first


def test_the_tag_counts_arguments() -> None:
    one = client.content_tag("r", b"tar", {"A": "1"})
    assert one != client.content_tag("r", b"tar", {"A": "2"})
    assert one == client.content_tag("r", b"tar", {"A": "1"})
    assert one.startswith("r:")


def test_a_cut_file_is_not_whole(tmp_path: Path) -> None:
    import json

    tar, record = tmp_path / "a.tar", tmp_path / "a.json"
    tar.write_bytes(b"x" * 1000)
    record.write_text(json.dumps({"sha256": rootfs.digest(tar), "size": 1000}))
    assert rootfs.whole(tar, record)
    tar.write_bytes(b"x" * 999)
    assert not rootfs.whole(tar, record)
    tar.write_bytes(b"x" * 999 + b"y")
    assert not rootfs.whole(tar, record)
    tar.write_bytes(b"x" * 1000)
    for broken in ("", "[]", "{}", '{"size": 1000}'):
        record.write_text(broken)
        assert not rootfs.whole(tar, record)


def test_the_key_pair_is_made_once_and_ssh_reads_it(tmp_path: Path) -> None:
    home = Home("x", tmp_path)
    pair = keys.pair(home)
    assert keys.pair(home) == pair
    private = home.path / "id_ed25519"
    assert private.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
    assert said.split()[:2] == pair.public.split()[:2]


@pytest.mark.parametrize(("port", "where"), [(22, "10.0.0.1"), (2222, "[10.0.0.1]:2222")])
def test_known_hosts_hold_one_key(port: int, where: str, tmp_path: Path) -> None:
    home = Home("x", tmp_path)
    keys.know(home, "10.0.0.1", port, "ssh-ed25519 AAAA old")
    keys.know(home, "10.0.0.1", port, "ssh-ed25519 BBBB new")
    assert (home.path / "known_hosts").read_text() == f"{where} ssh-ed25519 BBBB\n"


def test_lab_init_is_a_sound_script() -> None:
    script = RESOURCES / "dockerfiles/base/lab-init"
    subprocess.run(["sh", "-n", script], check=True)
    assert script.stat().st_mode & 0o100


def test_a_host_without_vagrant_is_told_once_and_by_us() -> None:
    code = "import os; os.environ['PATH'] = '/nowhere'; import lab.machine.vagrant"
    done = subprocess.run([sys.executable, "-c", code], cwd=RESOURCES, capture_output=True, text=True, check=True)
    assert done.stderr == ""
