"""The box that we build boots as a real virtual machine to SSH; Vagrant accepts each provider's description."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.core import process
from lab.core.errors import CommandFailed
from lab.core.home import Home
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.core.ssh import Address, Remote
from lab.core.waits import until
from lab.guest import boot_proof
from lab.lifecycle import leftovers
from lab.machine import box, image, keys, network, seed, virtual
from lab.machine.contract import Wanted
from lab.machine.vagrant import Vagrant
from lab.machine.virtual import VirtualMachine

pytestmark = pytest.mark.integration

BOOT_SECONDS = 300
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"


def say(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = tmp_path_factory.mktemp("box") / "box.log"
    return box.build(image.base("trixie", Job(say, log, 900)), Job(say, log, 1800))


def test_a_real_virtual_machine_answers_ssh_with_the_key_of_its_seed(disk: Path, tmp_path: Path) -> None:
    home = Home("itest-vm", tmp_path)
    home.make()
    mine, its = keys.pair(home), keys.pair(home, "host_ed25519")
    disc = home.path / "seed.iso"
    seed.write(disc, mine.public, its)
    assert disc.stat().st_mode & 0o777 == 0o600
    port = network.free_ports(["ssh"], {})["ssh"]
    keys.know(home, "127.0.0.1", port, its.public)
    address = Address("127.0.0.1", port, "root", home.path / "id_ed25519", home.path / "known_hosts")
    grown = tmp_path / "grown.qcow2"
    process.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", grown, "12G")
    extra: list[process.Argument] = [
        *("-drive", f"file={disc},if=ide,media=cdrom,readonly=on,format=raw"),
        *("-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:22"),
    ]
    with boot_proof.machine(grown, tmp_path / "console.log", memory=1024, extra=extra) as boot:
        remote = Remote(address)
        until("SSH", remote.answers, seconds=BOOT_SECONDS, setting="the test's bound", fatal=boot.ended)
        assert remote.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip() == "running"
        assert remote.run("systemd-detect-virt", "--container", check=False).stdout.strip() == "none"
        assert remote.run("hostname").stdout.strip() == "machine"
        assert int(remote.run("df", "--output=size", "-BG", "/").stdout.split()[-1].rstrip("G")) >= 11
        assert remote.run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").stdout.strip() == "cgroup2fs"
        remote.run("modprobe", "--dry-run", "openvswitch")
        remote.run("modprobe", "--dry-run", "geneve")


def test_the_box_is_what_vagrant_libvirt_reads(disk: Path, tmp_path: Path) -> None:
    made = box.package(disk, "libvirt")
    process.run("tar", "-C", tmp_path, "-xf", made)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    told = json.loads(process.run("qemu-img", "info", "--output=json", tmp_path / "box.img").stdout)
    assert metadata == {"provider": "libvirt", "format": "qcow2", "virtual_size": told["virtual-size"] >> 30}
    assert told["virtual-size"] == metadata["virtual_size"] << 30
    assert told["format"] == "qcow2"


def test_the_box_is_what_virtualbox_imports(tmp_path: Path) -> None:
    small = tmp_path / "small.qcow2"
    process.run("qemu-img", "create", "-q", "-f", "qcow2", small, "1G")
    made, target = box.package(small, "virtualbox", 3), tmp_path / "box"
    target.mkdir()
    process.run("tar", "-C", target, "-xf", made)
    assert json.loads((target / "metadata.json").read_text()) == {"provider": "virtualbox"}
    seen = ElementTree.parse(target / "box.ovf")
    spaces = {"ovf": "http://schemas.dmtf.org/ovf/envelope/1", "rasd": RASD}
    (file,), (disk,) = seen.findall(".//ovf:File", spaces), seen.findall(".//ovf:Disk", spaces)
    image = target / file.attrib[f"{{{spaces['ovf']}}}href"]
    assert image.stat().st_size == int(file.attrib[f"{{{spaces['ovf']}}}size"])
    told = json.loads(process.run("qemu-img", "info", "--output=json", image).stdout)
    assert told["virtual-size"] == int(disk.attrib[f"{{{spaces['ovf']}}}capacity"]) == 3 << 30
    assert told["format-specific"]["data"]["create-type"] == "streamOptimized"
    items = {item.findtext("rasd:InstanceID", "", spaces): item for item in seen.findall(".//ovf:Item", spaces)}
    (hung,) = (i for i in items.values() if i.findtext("rasd:ResourceType", "", spaces) == "17")
    parent = items[hung.findtext("rasd:Parent", "", spaces)]
    assert parent.findtext("rasd:ResourceType", "", spaces) == "5", "Debian's cloud kernel has no driver for AHCI"


@pytest.fixture
def virtualbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vagrant only asks for VirtualBox's version before it judges a Vagrantfile for it."""
    program = tmp_path / "bin/VBoxManage"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 7.0.20r163906\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("virtualbox")
@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_vagrant_accepts_the_description(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "IMAGES", tmp_path)  # a host need not have libvirt for this
    home = Home("itest-v", tmp_path)
    home.make()
    machine = VirtualMachine(home, provider, 60)
    machine._describe(Wanted(image="", memory=8, cpus=2, disk=40, ports={"web": 80}), "trove-lab/x")
    vagrant = Vagrant(home, provider, 60)
    try:
        vagrant.validate()
    except CommandFailed as error:
        if f"provider '{provider}' could not be found" in error.cause:
            pytest.skip(f"Vagrant's provider {provider} is not installed here")
        raise


@pytest.mark.usefixtures("virtualbox")
def test_vagrant_refuses_a_description_with_a_mistake(tmp_path: Path) -> None:
    home = Home("itest-v", tmp_path)
    home.make()
    VirtualMachine(home, "virtualbox", 60)._describe(Wanted(image="", memory=8, cpus=2, disk=40), "trove-lab/x")
    description = json.loads((home.path / "machine.json").read_text())
    (home.path / "machine.json").write_text(json.dumps({**description, "ports": {"web": {"guest": 80}}}))
    with pytest.raises(CommandFailed):
        Vagrant(home, "virtualbox", 60).validate()


def test_without_the_lab_the_vagrantfile_says_what_is_missing(tmp_path: Path) -> None:
    own = {"VAGRANT_DOTFILE_PATH": str(tmp_path)}
    ended = process.run("vagrant", "validate", cwd=RESOURCES, env=own, check=False)
    assert not ended.ok
    assert "LAB_MACHINE is not set" in ended.stderr + ended.stdout


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_boxes_are_added_once_and_found_again(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    home = Home("itest-x", tmp_path)
    home.make()
    empty = tmp_path / "empty.qcow2"
    process.run("qemu-img", "create", "-q", "-f", "qcow2", empty, "1G")
    vagrant = Vagrant(home, provider, 120)
    for _ in range(2):
        vagrant.add_box("trove-lab/empty", box.package(empty, provider, 2))
    assert process.run("vagrant", "box", "list").stdout.split()[:2] == ["trove-lab/empty", f"({provider},"]
    assert "box trove-lab/empty" in leftovers.boxes()
    leftovers.remove_boxes()
    assert leftovers.boxes() == []
