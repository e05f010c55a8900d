"""The log bundle: what it must not show."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from lab.core.home import Home
from lab.lifecycle import logs


@pytest.mark.parametrize(
    "line",
    [
        "{'MYSQL_ROOT_PASSWORD': 'Hidden123abc', 'X': 1}",
        "POSTGRES_PASSWORD=Hidden123abc",
        "backup --os-token=Hidden123abc --db-password Hidden123abc",
        "ALTER USER 'root' IDENTIFIED BY 'Hidden123abc'",
        "instance_rpc_encr_key = Hidden123abc",
        '{"password": "Hidden123abc"}',
        "Password: Hidden123abc",
        "connection = mysql+pymysql://nova:Hidden123abc@127.0.0.1/nova?charset=utf8",
        "transport_url=rabbit://openstack:Hidden123abc@host:5672/",
        "amqp://:Hidden123abc@host",
        "Authorization: Bearer Hidden123abc",
        "'authorization': 'Basic Hidden123abc='",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nHidden123abc\nmore\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nHidden123abc",
        "got eyJhbGciOi.Hidden123abc.signature for it",
        f"issued gAAAAABHidden123abc{'x' * 60}==",
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str) -> None:
    assert "Hidden123abc" not in logs.masked(line)


@pytest.mark.parametrize("line", ["password is wrong", "state: ACTIVE", "Token 12"])
def test_what_does_not_stays_readable(line: str) -> None:
    assert logs.masked(line).replace("********", "")


def test_the_bundle_of_a_lab_without_a_machine(tmp_path: Path) -> None:
    home = Home("x", tmp_path / ".lab")
    home.make()
    secret = home.secrets["db"]
    home.log("configure").write_text(f"the word is {secret}\n")
    home.state["fact"] = 1
    target, missing = logs.bundle(home, None, tmp_path / "b.tar.gz")
    assert target.stat().st_mode & 0o077 == 0
    assert "machine does not answer" in missing[0]
    with tarfile.open(target) as tar:
        texts = {m.name.split("/", 1)[1]: tar.extractfile(m).read().decode() for m in tar}  # type: ignore[union-attr]
    assert texts["host/logs/configure.log"] == "the word is ********\n"
    assert "host/state.json" in texts
    assert not [name for name, text in texts.items() if secret in text]
