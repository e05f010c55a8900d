"""The doctor's findings: from recorded texts, from servers of our own, from a kernel that does not boot."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab import doctor
from lab.core import process
from lab.core.errors import DockerUnusable
from lab.core.units import GIB
from lab.doctor import hardware, kvm, reach, software
from lab.doctor.finding import Finding


def server(status: int, stall: float = 0) -> Iterator[str]:
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            done.wait(stall)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/"
        done.set()
        listening.shutdown()


@pytest.mark.parametrize(("status", "ok"), [(200, True), (401, True), (404, False), (407, False), (503, False)])
def test_an_answer_is_judged(status: int, ok: bool) -> None:
    for url in server(status):
        answer = reach.http(url)
        assert answer.ok is ok
        assert str(status) in answer.detail
        assert answer.clock is not None
        assert abs(answer.clock) < 5


def test_silence_is_bounded() -> None:
    for url in server(200, stall=30):
        answer = reach.http(url, seconds=0.3)
        assert not answer.ok
        assert "no answer" in answer.detail


def test_nobody_there_is_said_in_a_phrase() -> None:
    answer = reach.http("http://127.0.0.1:1/")
    assert (answer.ok, answer.detail) == (False, "127.0.0.1: [Errno 111] Connection refused")


def test_an_unknown_name() -> None:
    assert not reach.resolves("no-such-host.invalid").ok
    assert reach.resolves("localhost").ok


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo"])
def test_a_clock_that_is_not_told(date: str) -> None:
    assert reach.skew(date) is None


def test_a_clock_that_is_off() -> None:
    assert (reach.skew("Mon, 01 Jan 2024 00:00:00 GMT") or 0) > 10**7


def test_memory_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    def free(gib: float) -> Finding:
        real = psutil.virtual_memory()
        monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=int(gib * GIB)))
        try:
            return hardware.memory(12)
        finally:
            monkeypatch.undo()

    assert [free(g).status for g in (20, 8, 5)] == ["ok", "warn", "fail"]
    assert free(5).fix
    assert not free(20).fix


def test_disk_thresholds() -> None:
    assert {f.status for f in hardware.disk(0, "a lab")} == {"ok"}
    assert {f.status for f in hardware.disk(10**9, "a lab")} == {"fail"}


def test_a_probe_that_breaks_is_a_finding_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def cgroups() -> Finding:
        raise OSError("no such thing")

    monkeypatch.setattr(hardware, "cgroups", cgroups)
    found = {f.id: f for f in doctor.probe()}
    assert found["cgroups"].status == "warn"
    assert "no such thing" in found["cgroups"].detail
    assert len(found) > 15


def test_every_finding_that_asks_for_something_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor.probe()
    assert len({f.id for f in found}) == len(found)
    assert json.loads(json.dumps([f.as_dict() for f in found]))
    for finding in found:
        assert finding.title
        assert finding.detail
        assert finding.fix or finding.status in ("ok", "info"), finding


def test_without_docker_the_plan_hears_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.containers import client
    from lab.host import packages

    monkeypatch.setattr(client, "usable", lambda: DockerUnusable("nobody", "").cause)
    monkeypatch.setattr(packages, "may_install", lambda: False)
    usable, why = doctor.facts().docker
    assert not usable
    assert "no right to install" in why
    usable, why = doctor.facts(install=False).docker
    assert usable
    assert "--no-install" in why


def test_the_proof_program_runs_as_linux_would_run_it(tmp_path: Path) -> None:
    """The first half of it, at least: a traced or unprivileged process may say its words, not reboot."""
    program = tmp_path / "init"
    program.write_bytes(kvm._program())
    program.chmod(0o755)
    said = process.run("unshare", "--user", "--map-root-user", program, check=False, timeout=5)
    assert said.stdout == f"{kvm.WORDS}\n"


def test_a_machine_without_the_device_is_no_riddle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    assert kvm.prove() == kvm.Proof(False, "there is no /dev/kvm")


def test_a_kernel_that_does_not_boot_is_told_from_one_that_cannot_be_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kvm").write_text("")
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    monkeypatch.setattr(kvm, "kernels", list)
    assert kvm.prove().works is None
    if not process.have("qemu-system-x86_64"):
        pytest.skip("needs QEMU")
    broken = tmp_path / "vmlinuz-broken"
    broken.write_bytes(b"\0" * 4096)
    monkeypatch.setattr(kvm, "kernels", lambda: [broken])
    proof = kvm.prove(seconds=3)
    assert proof.works is False
    assert "does not boot" in proof.why


def test_a_libvirt_that_hangs_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended every `up`, whatever the provider."""
    program = tmp_path / "virsh"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(software, "ANSWER_SECONDS", 0.2, raising=False)
    monkeypatch.setattr("lab.host.packages.missing", lambda parts: [])
    found = software.libvirt()
    assert (found.status, "does not answer" in found.detail) == ("warn", True)
