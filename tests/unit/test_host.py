"""What a host lacks, and what is typed to get it."""

from pathlib import Path

import pytest

from lab import engine, host, process
from lab.errors import DockerUnusable, MissingTools
from lab.host import Tool

ABSENT = (
    Tool("docker", "no-such-engine", "docker.io no-such-package?", "moby-engine"),
    Tool("rootfs", "/no/such/key*.gpg", "debian-archive-keyring", "debian-keyring"),
    Tool("rootfs", "sh", "dash", "dash"),
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "TOOLS", ABSENT)


def silent(_: str) -> None:
    pass


def test_only_what_the_parts_need_and_the_host_lacks() -> None:
    assert host.missing(["docker"]) == [ABSENT[0]]
    assert host.missing(["docker", "rootfs"]) == [ABSENT[0], ABSENT[1]]
    assert host.missing(["vagrant"]) == []


def test_the_command_leaves_out_packages_that_this_release_does_not_have() -> None:
    if not process.have("apt-get"):
        pytest.skip("apt's")
    wanted = "apt-get update && apt-get install -y --no-install-recommends debian-archive-keyring docker.io"
    assert host.install_command(host.missing(["docker", "rootfs"])) == wanted


def test_no_install_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(MissingTools) as caught:
        host.ensure(["docker"], silent, tmp_path / "log", install=False)
    assert "no-such-engine" in caught.value.cause
    assert "--no-install" in caught.value.cause
    assert "docker.io" in caught.value.remedy
    assert not (tmp_path / "log").exists()


def test_no_right_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host, "may_install", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingTools) as caught:
        host.ensure(["rootfs"], silent, tmp_path / "log")
    assert "neither root nor sudo" in caught.value.cause
    assert "sudo apt-get install" in caught.value.remedy or "sudo dnf" in caught.value.remedy


def test_a_host_that_lacks_nothing_is_left_alone(tmp_path: Path) -> None:
    host.ensure(["ssh"], silent, tmp_path / "log", install=False)
    assert not (tmp_path / "log").exists()


def test_an_engine_named_by_the_user_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    assert engine.usable() is not None
    with pytest.raises(DockerUnusable, match="engine"):
        host.start_engine(silent)


def test_only_our_own_engine_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import json
    import os

    import psutil

    monkeypatch.setattr(host, "cache", lambda: tmp_path)
    assert host.stop_engine(silent) is False
    record = tmp_path / "engine.json"
    # a recycled process number: ours, but neither dockerd nor of that time
    record.write_text(json.dumps({"pid": os.getpid(), "began": psutil.Process().create_time()}))
    assert host.stop_engine(silent) is False
    assert not record.exists()
    record.write_text("half a rec")
    assert host.stop_engine(silent) is False
