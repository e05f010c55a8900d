"""clouds.yaml and openrc as stock clients read them; and that ensure-functions make nothing twice."""

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from lab.cloud import access
from lab.core import process

URL = "http://127.0.0.1:25000/v3"
ACCOUNTS = {
    "admin": {"username": "admin", "password": "Adm1nSecret", "project": "admin"},
    "demo": {"username": "demo", "password": "Dem0Secret", "project": "demo"},
}


def test_openstacksdk_reads_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", "http://somewhere.else/v3")
    monkeypatch.setenv("OS_PASSWORD", "another")
    path = access.write_access(tmp_path, URL, "RegionOne", ACCOUNTS)
    for name, account in ACCOUNTS.items():
        auth = access.connect(path, name).config.config["auth"]
        assert auth["auth_url"] == URL
        assert (auth["username"], auth["password"], auth["project_name"]) == tuple(account.values())


def test_access_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    access.write_access(tmp_path, URL, "RegionOne", ACCOUNTS)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"clouds.yaml": 0o600, "openrc-admin": 0o600, "openrc-demo": 0o600}


def test_openrc_and_clouds_yaml_say_the_same(tmp_path: Path) -> None:
    path = access.write_access(tmp_path, URL, "RegionOne", ACCOUNTS)
    done = process.run("bash", "-euc", f". {tmp_path}/openrc-demo; env")
    env = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("OS_"))
    auth = yaml.safe_load(path.read_text())["clouds"]["demo"]["auth"]
    assert {f"OS_{key.upper()}": value for key, value in auth.items()}.items() <= env.items()


def test_a_service_can_be_elsewhere_than_the_catalogue_says(tmp_path: Path) -> None:
    url = "http://127.0.0.1:28080/v1/AUTH_%(project_id)s"
    path = access.write_access(tmp_path, URL, "RegionOne", ACCOUNTS, {"demo": {"object_store": url}})
    demo = access.connect(path, "demo")
    assert demo.config.get_endpoint("object-store") == url
    assert demo.config.get_endpoint("image") is None
    assert access.connect(path, "admin").config.get_endpoint("object-store") is None
    said = process.run("bash", "-euc", f". {tmp_path}/openrc-demo; echo $OS_OBJECT_STORE_ENDPOINT_OVERRIDE").stdout
    assert said.strip() == url


class Kind:
    """A list of objects with the calls that openstacksdk has for one resource."""

    def __init__(self) -> None:
        self.made: list[SimpleNamespace] = []

    def create(self, **attributes: Any) -> SimpleNamespace:
        one = SimpleNamespace(id=f"id-{len(self.made)}", **attributes)
        self.made.append(one)
        return one

    def find(self, name: str, ignore_missing: bool = True) -> SimpleNamespace | None:
        return next((one for one in self.made if one.name == name), None)


def test_an_endpoint_is_made_once_and_follows_its_url() -> None:
    endpoints = Kind()
    identity = SimpleNamespace(
        endpoints=lambda service_id, interface: [
            e for e in endpoints.made if (e.service_id, e.interface) == (service_id, interface)
        ],
        create_endpoint=endpoints.create,
        update_endpoint=lambda endpoint, url: setattr(endpoint, "url", url),
    )
    connection: Any = SimpleNamespace(identity=identity)
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:2"):
        access.ensure_endpoint(connection, "s", "public", url, "RegionOne")
    access.ensure_endpoint(connection, "s", "internal", "http://10.99.99.1:5000", "RegionOne")
    assert [(e.interface, e.url) for e in endpoints.made] == [
        ("public", "http://127.0.0.1:2"),
        ("internal", "http://10.99.99.1:5000"),
    ]


def test_security_group_rules_are_completed_not_repeated() -> None:
    groups, rules = Kind(), Kind()
    network = SimpleNamespace(
        security_groups=lambda name, project_id: [g for g in groups.made if g.name == name],
        create_security_group=groups.create,
        security_group_rules=lambda security_group_id, direction: rules.made,
        create_security_group_rule=rules.create,
    )
    connection: Any = SimpleNamespace(network=network)
    access.ensure_security_group(connection, "g", "p", [{"protocol": "icmp"}])
    for _ in range(2):
        access.ensure_security_group(connection, "g", "p", [{"protocol": "icmp"}, {"protocol": "tcp", "port": 22}])
    assert len(groups.made) == 1
    assert [(r.protocol, r.port_range_min, r.port_range_max) for r in rules.made] == [
        ("icmp", None, None),
        ("tcp", 22, 22),
    ]


def test_a_key_pair_with_another_key_is_replaced() -> None:
    pairs = Kind()
    compute = SimpleNamespace(
        find_keypair=pairs.find, create_keypair=pairs.create, delete_keypair=lambda pair: pairs.made.remove(pair)
    )
    connection: Any = SimpleNamespace(compute=compute)
    access.ensure_keypair(connection, "k", "ssh-ed25519 AAA first@host")
    access.ensure_keypair(connection, "k", "ssh-ed25519 AAA renamed@host")
    assert [p.public_key for p in pairs.made] == ["ssh-ed25519 AAA first@host"]
    access.ensure_keypair(connection, "k", "ssh-ed25519 BBB first@host")
    assert [p.public_key for p in pairs.made] == ["ssh-ed25519 BBB first@host"]
