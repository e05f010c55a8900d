"""A machine that is there already: how it is written, and what is asked before the lab goes from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config import settings
from lab.core.errors import BadValue, HostUnfit, Refused
from lab.core.home import Home
from lab.lifecycle import destroy, leftovers
from lab.lifecycle.destroy import Sweepers
from lab.machine import ssh
from lab.machine.ssh import SshMachine


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("ops@db1.example.org", ("ops@db1.example.org", 0)),
        ("ops@203.0.113.7:2222", ("ops@203.0.113.7", 2222)),
        ("alias", ("alias", 0)),
        ("ops@[2001:db8::7]:22", ("ops@2001:db8::7", 22)),
        ("ops@[2001:db8::7]", ("ops@2001:db8::7", 0)),
    ],
)
def test_where_it_is(where: str, expected: tuple[str, int], tmp_path: Path) -> None:
    assert settings.load({"host": where}, tmp_path, {}).spec.host == where
    assert ssh.split(where) == expected


@pytest.mark.parametrize(
    "where", ["-oProxyCommand=x", "ops@-x", "ops@a b", "ops@a;b", "a@b@c", "ops@h:123456", "$(x)@h", "ops@", "a/b"]
)
def test_what_is_no_address_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(BadValue) as caught:
        settings.load({"host": where}, tmp_path, {})
    assert "USER@ADDRESS" in caught.value.remedy


@pytest.fixture
def entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A lab on a machine where nothing listens."""
    home = Home("far", tmp_path)
    home.make()
    home.state["spec"] = {"host": "ops@127.0.0.1:1", "provider": "ssh"}
    home.state["machine.address"] = ["ops", "127.0.0.1", 1]
    (home.path / "known_hosts").touch()
    monkeypatch.setattr("lab.lifecycle.destroy.Home", lambda name: Home(name, tmp_path))
    monkeypatch.setattr("lab.containers.client.usable", lambda: "there is none")
    return home


def test_destroy_asks(entered: Home) -> None:
    with pytest.raises(Refused, match=r"ops@127\.0\.0\.1:1") as caught:
        destroy.destroy(["far"], Sweepers(), dry_run=False, keep_cache=True, yes=False)
    assert "--yes" in caught.value.remedy
    assert "what the lab put on ops@127.0.0.1:1" in leftovers.leftovers(entered, keep_cache=True)


def test_a_machine_that_does_not_answer_keeps_its_lab(entered: Home) -> None:
    assert SshMachine(entered, "ops@127.0.0.1:1", 5).status() == "halted"
    with pytest.raises(HostUnfit, match="does not answer") as caught:
        SshMachine(entered, "ops@127.0.0.1:1", 5).destroy(lambda _: None)
    assert f"rm -r {entered.path}" in caught.value.remedy
    assert entered.state["machine.address"]


def test_it_is_neither_switched_off_nor_kept(entered: Home) -> None:
    machine = SshMachine(entered, "ops@127.0.0.1:1", 5)
    with pytest.raises(HostUnfit, match="neither off nor on"):
        machine.halt(lambda _: None)
    with pytest.raises(HostUnfit, match="not the lab's to keep"):
        machine.save("x", lambda _: None)
    assert machine.snapshots() == []
