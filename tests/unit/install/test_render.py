"""The machine's configuration files: goldens for both kinds of host, and what must hold for every one of them."""

import configparser
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.core import process
from lab.core.errors import CommandFailed
from lab.guest import backup
from lab.install import render, site
from lab.install.site import Site
from tests.golden import FOLDER, same

PUBLISHED = {service: 20000 + port for service, port in site.PUBLISHED.items()}
SITES = {
    "userspace-qemu": Site(PUBLISHED),
    "userspace-docker": Site(PUBLISHED, virt_type="docker"),
    "backups": Site(PUBLISHED, virt_type="docker", backups=True),
    "beside": Site(PUBLISHED, virt_type="docker", beside="qemu"),
    "walls": Site(PUBLISHED, virt_type="docker", walls=True),
    "dashboard": Site(PUBLISHED),
    "kernel-kvm": Site(PUBLISHED, datapath="system", virt_type="kvm", default_datastore="postgresql"),
}
IDS = {"mgmt_network": "id-of-mgmt", "mgmt_security_group": "id-of-group", "public_network": "id-of-public"}


class Named(dict[str, str]):
    """Secrets that show which one landed where."""

    def __missing__(self, key: str) -> str:
        return f"secret{key.replace('_', '')}"


def rendered(kind: str) -> list[render.File]:
    if kind == "dashboard":
        return render.render(SITES[kind], Named(), render.dashboard())
    wanted = [*render.first(SITES[kind]), *render.AFTER_NETWORKS]
    return render.render(SITES[kind], Named(), wanted, IDS)


@pytest.mark.parametrize("kind", SITES)
def test_goldens(kind: str) -> None:
    files = {file.path: file.text for file in rendered(kind)}
    if kind in ("backups", "beside", "walls"):  # only what is other than without
        without = {file.path: file.text for file in rendered("userspace-docker")}
        files = {path: text for path, text in files.items() if without.get(path) != text}
    for path, text in files.items():
        same(f"install/{kind}{path}", text)
    folder = FOLDER / "install" / kind
    assert sorted(files) == sorted(f"/{p.relative_to(folder).as_posix()}" for p in folder.rglob("*") if p.is_file())


def test_the_userspace_datapath_alone_needs_its_two_helpers() -> None:
    paths = {kind: {file.path for file in rendered(kind)} for kind in SITES}
    assert paths["userspace-qemu"] - paths["kernel-kvm"] == {
        "/etc/libvirt/hooks/qemu",
        "/usr/local/bin/qemu-system-x86_64",
    }
    assert paths["kernel-kvm"] < paths["userspace-qemu"]


def test_containers_bring_their_files_and_leave_those_of_emulation() -> None:
    paths = {kind: {file.path for file in rendered(kind)} for kind in SITES}
    assert paths["userspace-docker"] - paths["kernel-kvm"] == {f"/{name}" for name in render.CONTAINERS_ONLY}
    assert paths["kernel-kvm"] < paths["userspace-docker"]


def test_backups_bring_swift_and_name_their_image() -> None:
    without = {file.path: file.text for file in rendered("userspace-docker")}
    having = {file.path: file.text for file in rendered("backups")}
    assert all(path.startswith(tuple(f"/{name}" for name in render.SWIFT)) for path in having.keys() - without.keys())
    assert {path for path in without if having[path] != without[path]} == {"/etc/trove/trove-guestagent.conf"}
    assert having["/etc/trove/trove-guestagent.conf"].count(f"backup_docker_image = {backup.image()}\n") == 2


def test_the_dashboard_is_no_part_of_what_the_cloud_s_steps_are_marked_with() -> None:
    """Added to a lab that runs, it would have every schema migrated anew."""
    ours = {file.path for file in rendered("dashboard")}
    assert ours
    assert all(ours.isdisjoint(file.path for file in rendered(kind)) for kind in SITES if kind != "dashboard")


def test_the_dashboard_s_settings_are_python_and_signed_by_the_lab_s_secret() -> None:
    (text,) = (file.text for file in rendered("dashboard") if file.path.endswith(".py"))
    names: dict[str, Any] = {}
    exec(text, names)
    assert names["SECRET_KEY"] == "secretdashboard"
    assert names["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost"]


def test_a_machine_with_neighbours_shuts_every_port_that_is_led_elsewhere() -> None:
    without = {file.path: file.text for file in rendered("userspace-docker")}
    having = {file.path: file.text for file in rendered("walls")}
    assert having.keys() - without.keys() == {f"/{name}" for name in render.WALLS}
    assert {path for path in without if having[path] != without[path]} == {
        "/etc/systemd/system/trove-lab-address.service"
    }
    walls = having["/etc/trove-lab/walls.sh"]
    assert all(f"-p tcp --dport {port} -j DROP" in walls for port in site.PUBLISHED.values())


def test_a_second_compute_service_keeps_the_chassis_s_name_and_the_first_binds_its_ports_to_it() -> None:
    paths = {kind: {file.path: file.text for file in rendered(kind)} for kind in SITES}
    extra = paths["beside"].keys() - paths["userspace-docker"].keys()
    assert extra == {f"/{name}" for name in (*render.BESIDE, *render.USERSPACE_ONLY)}

    def settings(*files: str) -> configparser.ConfigParser:
        read = configparser.ConfigParser(interpolation=None)
        for file in files:
            read.read_string(paths["beside"][f"/etc/nova/{file}"])
        return read

    containers, machines = settings("nova.conf", "nova-compute.conf"), settings("nova.conf", "nova-machines.conf")
    chassis = paths["beside"]["/etc/openvswitch/system-id.conf"].strip()
    assert machines["DEFAULT"]["host"] == containers["docker"]["network_host"] == chassis
    assert containers["DEFAULT"]["host"] not in ("", chassis)
    assert containers["DEFAULT"]["state_path"] != machines["DEFAULT"]["state_path"]
    alone = {line for line in paths["userspace-docker"]["/etc/nova/nova.conf"].splitlines() if "ratio" in line}
    for line in alone:
        key, _, value = line.partition(" = ")
        assert int(machines["DEFAULT"][key]) * 2 == int(value)


def test_the_driver_lands_where_nova_looks_for_it() -> None:
    there = {file.path for file in render.driver("/library")}
    assert {f"/library/nova/virt/docker/{name}" for name in ("__init__.py", "driver.py")} < there


@pytest.mark.parametrize("kind", SITES)
def test_no_file_with_a_secret_can_be_read_by_others(kind: str) -> None:
    holding = [file for file in rendered(kind) if "secret" in file.text]
    assert len(holding) > (8 if kind != "dashboard" else 0)
    for file in holding:
        assert file.mode & 0o007 == 0, file.path


@pytest.mark.parametrize("kind", SITES)
def test_every_ini_file_parses_without_a_key_or_section_said_twice(kind: str) -> None:
    for file in rendered(kind):
        plain = file.path.startswith(("/etc/rabbitmq/", "/etc/openvswitch/"))
        if file.path.endswith((".ini", ".cnf", ".conf", ".service")) and not plain:
            parser = configparser.ConfigParser(strict=True, interpolation=None, allow_no_value=True)
            parser.read_string(file.text, file.path)


@pytest.mark.parametrize("kind", SITES)
def test_shell_files_parse_and_json_is_json(kind: str, tmp_path: Path) -> None:
    scripts = 0
    for file in rendered(kind):
        if file.path.endswith(".json"):
            json.loads(file.text)
        if file.text.startswith("#!"):
            (tmp_path / "script").write_text(file.text)
            process.run("bash", "-n", tmp_path / "script")
            assert file.mode == 0o755, file.path
            scripts += 1
    counts = {"userspace-qemu": 4, "userspace-docker": 3, "backups": 3, "beside": 5, "walls": 4, "kernel-kvm": 2,
              "dashboard": 0}  # fmt: skip
    assert scripts == counts[kind]


def test_the_shell_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/bash\nif true; then\n")
    with pytest.raises(CommandFailed):
        process.run("bash", "-n", tmp_path / "script")


def test_a_published_port_stands_in_no_file() -> None:
    """Only the catalogue knows them, so that a machine can come back with others."""
    text = "".join(file.text for file in rendered("userspace-qemu"))
    assert not [port for port in PUBLISHED.values() if str(port) in text]


def test_what_a_template_names_must_be_given() -> None:
    with pytest.raises(Exception, match="mgmt_network"):
        render.render(SITES["kernel-kvm"], Named(), render.AFTER_NETWORKS)


def test_archive_keeps_owner_group_and_mode() -> None:
    files = rendered("userspace-qemu")
    with tarfile.open(fileobj=io.BytesIO(render.archive(files))) as tar:
        there = {f"/{m.name}": (m.uname, m.gname, m.mode, m.size) for m in tar.getmembers()}
    assert there == {f.path: ("root", f.group, f.mode, len(f.text.encode())) for f in files}
    assert there["/etc/nova/nova.conf"][1:3] == ("nova", 0o640)


def test_the_same_site_gives_the_same_archive() -> None:
    """Marks on the machine are hashes of it."""
    assert render.archive(rendered("kernel-kvm")) == render.archive(rendered("kernel-kvm"))
