"""stack.sh as a unit of the machine: started once, followed from any moment, fetched, its failures explained."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.config import catalog, plan
from lab.config.plan import Facts
from lab.config.settings import LabSpec
from lab.core.errors import GaveUp, GitUnreachable, MirrorLacks, SshFailed, StackFailed, Unsupported
from lab.core.home import Home
from lab.core.process import Argument, Finished
from lab.core.resources import PACKAGE, RESOURCES
from lab.core.waits import silent
from lab.host import pypi
from lab.install.devstack import installer, limits, machine_files, stack_log, stack_run
from lab.install.devstack.stack_run import StackRun

SUMMARY = """\
2026-05-23 10:00:01.100 | stack.sh log /opt/stack/logs/stack.sh.log.2026-05-23-100001
2026-05-23 10:00:02.100 | Installing package prerequisites
2026-05-23 10:00:32.500 | Starting RabbitMQ
2026-05-23 10:00:40.900 | Installing OpenStack project source
"""
DIED = """\
+ stack.sh:main:517                        :   trap exit_trap EXIT
+ stack.sh:main:558                        :   trap err_trap ERR
+ functions-common:git_clone:622           :   git_timed clone /opt/mirror/openstack/keystone.git
+ functions-common:git_timed:697           :   timeout -s SIGINT 0 git clone /opt/mirror/openstack/keystone.git
Cloning into '/opt/stack/keystone'...
fatal: failed to copy file to '/opt/stack/keystone/.git/objects/pack/pack-efa3.promisor': Permission denied
+ functions-common:git_timed:701           :   die 701 'git call failed: [git clone' '/opt/stack/keystone]'
+ functions-common:die:288                 :   local exitcode=0
[Call Trace]
/opt/stack/devstack/stack.sh:917:stack_install_service
/opt/stack/devstack/lib/stack:32:install_keystone
/opt/stack/devstack/functions-common:701:die
[ERROR] /opt/stack/devstack/functions-common:701 git call failed: [git clone /opt/stack/keystone]
Error on exit
ovs-ofctl: br-int is not a bridge or a socket
"""
"""As DevStack of 2026.1 said it, shortened."""
FAILED = """\
2026-05-23 10:00:41.000 | + lib/host:configure_ksm:20              :   sudo tee /sys/kernel/mm/ksm/run
2026-05-23 10:00:41.200 | tee: /sys/kernel/mm/ksm/run: Read-only file system
2026-05-23 10:00:41.300 | ++ ./stack.sh:configure_ksm:1             :   err_trap
2026-05-23 10:00:41.400 | stack.sh failed: full log in /opt/stack/logs/stack.sh.log.2026-05-23-100001
2026-05-23 10:00:41.500 | Killed
"""


def test_phases_are_devstacks_own_lines_with_their_seconds() -> None:
    ended = datetime(2026, 5, 23, 10, 1, 0, tzinfo=UTC)
    assert stack_log.phases(SUMMARY, ended) == [
        ("Installing package prerequisites", 30),
        ("Starting RabbitMQ", 8),
        ("Installing OpenStack project source", 20),
    ]
    assert stack_log.phases("") == []


def test_a_death_is_told_with_its_place_and_the_known_trap() -> None:
    why = stack_log.failure(DIED, catalog.load().traps)
    assert why.where == "/opt/stack/devstack/functions-common:701"
    assert why.command == "git call failed: [git clone /opt/stack/keystone]"
    assert why.trap is not None
    assert why.trap.cause == "the mirror has files that not everyone may read"
    assert "ovs-ofctl" not in why.last_lines
    assert "fatal: failed to copy file to" in why.last_lines


def test_a_failed_command_is_told_and_what_devstack_dumps_afterwards_is_no_reason() -> None:
    why = stack_log.failure(FAILED, catalog.load().traps)
    assert (why.where, why.command) == ("lib/host:configure_ksm:20", "sudo tee /sys/kernel/mm/ksm/run")
    assert why.trap is not None
    assert "page merging" in why.trap.cause


def test_an_unknown_failure_has_no_trap() -> None:
    why = stack_log.failure("something odd\n", catalog.load().traps)
    assert (why.where, why.command, why.last_lines, why.trap) == ("", "", "something odd", None)


class HereRemote:
    """Runs a machine's commands on this host, with a systemctl that reads and writes files."""

    def __init__(self, path: Path) -> None:
        self.path, self.looks = path, 0
        self.before_look: Callable[[int], None] = lambda _: None
        stubs = path / "bin"
        stubs.mkdir()
        (stubs / "systemctl").write_text(
            f'#!/bin/sh\necho "$*" >>{path}/calls\ncase $* in *=ActiveState\\ *) head -n 1 {path}/state ;; '
            f"show*) cat {path}/state ;; "
            f"restart*) echo activating >{path}/state ;; esac\n"
        )
        (stubs / "systemctl").chmod(0o755)
        (path / "state").write_text("inactive\n")
        (path / "calls").write_text("")

    def run(self, *argv: Argument, check: bool = True, **_: object) -> Finished:
        if stack_run.LOOK in argv:
            self.looks += 1
            self.before_look(self.looks)
        env = {"PATH": f"{self.path}/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        done = subprocess.run([str(a) for a in argv], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return Finished(tuple(map(str, argv)), done.returncode, done.stdout, done.stderr, 0.0)

    def script(self, text: str) -> Finished:
        return self.run("bash", "-euo", "pipefail", "-c", text)

    @property
    def starts(self) -> int:
        return (self.path / "calls").read_text().count("restart --no-block")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HereRemote:
    for name, value in {"LOG": "unit.log", "SUMMARY": "summary", "TOLD": "told", "BEGUN": "begun"}.items():
        monkeypatch.setattr(stack_run, name, str(tmp_path / value))
    monkeypatch.setattr(stack_run, "EVERY", 0.01)
    monkeypatch.setattr(
        stack_run, "START", f"rm -f {tmp_path}/told\necho KEY >{tmp_path}/begun\nsystemctl restart --no-block x\n"
    )
    return HereRemote(tmp_path)


def run_of(here: HereRemote, gone: str | None = None) -> StackRun:
    return StackRun(here, Home("dev", here.path / "labs"), "key1", 5, lambda: gone)  # type: ignore[arg-type]


def test_it_is_started_followed_and_fetched_without_secrets(here: HereRemote) -> None:
    run, seen = run_of(here), []
    run.home.make()
    secret = run.home.secrets["devstack"]

    def note(text: str) -> None:
        seen.append(text)
        if text == "Installing OpenStack project source":
            (here.path / "state").write_text("active\n")

    (here.path / "summary").write_text(SUMMARY)
    (here.path / "unit.log").write_text(f"ADMIN_PASSWORD={secret}\nlast line without end")
    run.run(note)
    assert here.starts == 1
    assert seen[0] == "starting stack.sh"
    assert run.log.read_text() == "ADMIN_PASSWORD=********\n"
    assert [name for name, _ in run.home.state["stack.phases"]][-1] == "Installing OpenStack project source"


def test_a_run_that_is_under_way_is_only_followed(here: HereRemote) -> None:
    (here.path / "state").write_text("activating\n")
    (here.path / "unit.log").write_text("one\n")
    run = run_of(here)
    run.home.make()
    seen: list[str] = []

    def goes_on(look: int) -> None:
        with (here.path / "unit.log").open("a") as log:
            log.write("é two\n")
        if look == 3:
            (here.path / "state").write_text("active\n")

    here.before_look = goes_on
    run.run(seen.append)
    assert here.starts == 0
    assert run.log.read_text() == "one\n" + "é two\n" * 3
    assert seen == ["starting"], "a phase is told once"


@pytest.mark.parametrize(("key", "starts"), [("key1", 0), ("key0", 1)])
def test_one_that_ended_well_unseen_runs_again_only_if_it_was_of_something_else(
    here: HereRemote, key: str, starts: int
) -> None:
    def ends(_: int) -> None:
        (here.path / "state").write_text("active\n")

    ends(0)
    (here.path / "begun").write_text(f"{key}\n")
    here.before_look = ends
    run = run_of(here)
    run.home.make()
    run.run(silent)
    assert here.starts == starts
    assert (here.path / "begun").read_text() == "key1\n"


def test_a_failure_that_nobody_saw_is_told_once_and_then_begun_anew(here: HereRemote) -> None:
    (here.path / "state").write_text("failed\n")
    (here.path / "summary").write_text(SUMMARY)
    (here.path / "unit.log").write_text(DIED)
    run = run_of(here)
    run.home.make()
    with pytest.raises(StackFailed) as caught:
        run.run(lambda _: None)
    assert here.starts == 0
    assert caught.value.cause.startswith(
        "stack.sh failed in its phase 'Installing OpenStack project source' at "
        "/opt/stack/devstack/functions-common:701, on `git call failed: [git clone /opt/stack/keystone]`: "
        "the mirror has files that not everyone may read. Its last lines:\n"
    )
    assert caught.value.remedy.startswith("chmod -R a+rX")

    def note(text: str) -> None:
        if here.starts:
            (here.path / "state").write_text("active\n")

    run_of(here).run(note)
    assert here.starts == 1


def test_a_lost_connection_is_waited_for_and_a_dead_machine_is_not(here: HereRemote) -> None:
    (here.path / "state").write_text("activating\n")
    run = run_of(here)
    run.home.make()

    def reset_twice(look: int) -> None:
        if look < 3:
            raise SshFailed("machine", "reset")
        (here.path / "state").write_text("active\n")

    here.before_look = reset_twice
    run.run(silent)
    assert here.looks == 3
    (here.path / "state").write_text("activating\n")
    here.looks = 0
    with pytest.raises(GaveUp, match="the machine is halted"):
        run_of(here, "the machine is halted").run(silent)


# --- what is refused before anything is made ---------------------------------------------------------------


def asked(**more: str) -> LabSpec:
    chosen: dict[str, Any] = {
        "provider": "docker",
        "distro": "debian13",
        "release": "2026.1",
        "installer": "devstack",
        **more,
    }
    return LabSpec(hypervisor="qemu", **chosen)


def test_what_cannot_end_well_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(Unsupported) as caught:
        limits.check(asked(provider="libvirt", distro="ubuntu2404"))
    assert caught.value.remedy.startswith("./inv render --distro=ubuntu2404 --release=2026.1 ")
    with pytest.raises(Unsupported, match="not brought into machines of provider libvirt"):
        limits.check(asked(provider="libvirt", mirror=str(tmp_path)))
    with pytest.raises(MirrorLacks, match=r"lacks stable/2026\.1 of openstack/cinder"):
        limits.check(asked(mirror=str(tmp_path)))


@pytest.mark.parametrize("distro", [row.name for row in catalog.load().distros if not row.container])
def test_a_distribution_without_a_machine_names_the_nearest_release_that_the_lab_installs(distro: str) -> None:
    """It named only the local.conf for a machine that somebody else must make."""
    rows = catalog.load()
    facts = Facts(docker=(True, ""), libvirt=(True, ""), virtualbox=(False, ""), kvm=(False, ""))
    for release in rows.releases_on(distro, "devstack"):
        with pytest.raises(Unsupported) as caught:
            limits.check(asked(provider="libvirt", distro=distro, release=release))
        told = re.search(r"\./inv up --installer=devstack --release=(\S+)$", caught.value.remedy)
        assert told
        planned = plan.decide(LabSpec(installer="devstack", release=told[1]), {}, facts).spec
        assert rows.distro(planned.distro).container
        assert planned.provider == "docker"


def test_a_git_server_that_does_not_answer_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "GIT_BASE", str(tmp_path / "nowhere"))
    with pytest.raises(GitUnreachable, match="nowhere/openstack/devstack"):
        limits.check(asked())


# --- what the cloud is afterwards --------------------------------------------------------------------------


def test_urls_of_the_catalogue_lead_to_the_published_ports() -> None:
    ports = {"web": 33001, "database": 33002}
    assert installer.published("http://10.99.99.1/compute/v2.1", ports) == "http://127.0.0.1:33001/compute/v2.1"
    url = installer.published("http://10.99.99.1:8779/v1.0/$(tenant_id)s", ports)
    assert installer.with_project(url, "abc") == "http://127.0.0.1:33002/v1.0/abc"
    assert installer.published("http://10.99.99.1:8774/v2.1", ports) == ""


def test_the_machines_pip_uses_the_hosts_indexes_but_not_its_files() -> None:
    listed = (
        "global.index-url='https://mirror.example/simple'\n"
        "global.extra-index-url='file:///srv/simple https://two.example/simple'\n"
        "global.find-links='/srv/wheels'\n"
        ":env:.cert='/etc/ssl/x'\n"
    )
    assert pypi.render(listed) == (
        "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n"
        "index-url = https://mirror.example/simple\nextra-index-url = https://two.example/simple\n"
    )


class Probed:
    """A machine that was seen to be able to do this."""

    def __init__(self, *can: str) -> None:
        self.can = can

    def script(self, _: str) -> Finished:
        return Finished((), 0, "\n".join(self.can), "", 0.0)


def files_for(tmp_path: Path, hypervisor: str, *can: str, taken: str = "") -> dict[str, tuple[str, str, int]]:
    """What is put on the machine: path to text, group and mode."""
    home = Home("dev", tmp_path)
    home.make()
    spec = dataclasses.replace(asked(mirror="/srv/git"), hypervisor=hypervisor)
    wanted = machine_files.rendered_from(home, spec, Probed(*can))  # type: ignore[arg-type]
    return {file.path: (file.text, file.group, file.mode) for file in machine_files.files(home, wanted, taken)}


def test_a_machine_gets_what_its_kernel_and_hypervisor_ask_for(tmp_path: Path) -> None:
    narrow = files_for(tmp_path, "docker")
    assert "volume_support = False" in narrow["/etc/trove-lab/local.conf"][0]
    assert "/opt/stack/userspace-ovs/devstack/plugin.sh" in narrow
    assert "/opt/stack/novadriver/docker/driver.py" in narrow
    assert "/usr/local/bin/qemu-system-x86_64" not in narrow
    assert "/opt/stack/data/nova/instances/" in narrow["/etc/trove-lab/detach-loops.sh"][0]
    assert "PartOf=docker.service" in narrow["/etc/systemd/system/devstack@n-cpu.service.d/trove-lab.conf"][0]
    assert "/usr/local/bin/qemu-system-x86_64" in files_for(tmp_path, "qemu")
    whole = files_for(tmp_path, "kvm", "volumes", "openvswitch", "nofile", "ksm")
    assert not [path for path in whole if "qemu" in path or "novadriver" in path or "userspace" in path]
    assert "c-vol" in whole["/etc/trove-lab/local.conf"][0]


def test_what_holds_passwords_is_not_for_everyone(tmp_path: Path) -> None:
    files = files_for(tmp_path, "docker")
    assert files["/etc/trove-lab/local.conf"][1:] == ("root", 0o600)
    assert files["/etc/pip.conf"][1:] == ("stack", 0o640)
    password = Home("dev", tmp_path).secrets["devstack"]
    assert [path for path, (text, _, _) in files.items() if password in text] == ["/etc/trove-lab/local.conf"]
    assert files["/usr/local/sbin/lab-stack-before"][2] == 0o755


# --- scripts that bash must take, run with stand-ins for what would change a machine ------------------------


def test_what_stack_sh_set_by_hand_is_kept_for_boots(tmp_path: Path) -> None:
    """stack-keep.sh against the words of real tools."""
    stubs, sys, etc = tmp_path / "bin", tmp_path / "sys", tmp_path / "etc"
    for folder in (stubs, sys / "br-ex", sys / "trove-mgmt", etc):
        folder.mkdir(parents=True)
    for name, mac in (("br-ex", "0e:11:22:33:44:55"), ("trove-mgmt", "fa:16:3e:aa:bb:cc")):
        (sys / name / "address").write_text(f"{mac}\n")
        (sys / name / "mtu").write_text("1442\n")
    tools = {
        "ip": 'case "$*" in *br-ex*) echo "5: br-ex    inet 172.24.4.1/24 scope global br-ex" ;; '
        '*trove-mgmt*) echo "6: trove-mgmt    inet 192.168.254.33/24 scope global trove-mgmt" ;; '
        '*route*) echo "default via 172.18.0.1 dev eth0"; echo "172.31.0.0/26 via 172.24.4.188 dev br-ex" ;; esac',
        "iptables": 'echo "-P POSTROUTING ACCEPT"; echo "-A POSTROUTING -j DOCKER_POSTROUTING"; '
        'echo "-A POSTROUTING -s 172.24.4.0/24 -o eth0 -j MASQUERADE"',
        "systemctl": "echo systemctl $* >&2",
        "ovn-nbctl": 'echo "ovn-nbctl $*" >&2; case "$*" in *type=snat) printf "nat1\\n\\nnat2\\n" ;; '
        "create*) echo set1 ;; esac",
    }
    for name, body in tools.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    script = (PACKAGE / "install/scripts/stack-keep.sh").read_text()
    script = script.replace("/sys/class/net", str(sys)).replace("/etc/trove-lab", str(etc))
    env = {"PATH": f"{stubs}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "enable --quiet trove-lab-network trove-lab-address" in done.stderr
    # answers of guests to the machine keep their own address
    assert done.stderr.splitlines()[-4:] == [
        "ovn-nbctl create address_set name=lab_machine addresses=172.24.4.1",
        "ovn-nbctl --bare --columns=_uuid find nat type=snat",
        "ovn-nbctl set nat nat1 exempted_ext_ips=set1",
        "ovn-nbctl set nat nat2 exempted_ext_ips=set1",
    ]
    nat = "POSTROUTING -s 172.24.4.0/24 -o eth0 -j MASQUERADE"
    assert (etc / "network.sh").read_text().splitlines()[2:] == [
        "sysctl -q -w net.ipv4.ip_forward=1",
        "ip link set br-ex address 0e:11:22:33:44:55 mtu 1442 up",
        "ip address replace 172.24.4.1/24 dev br-ex",
        "ip link set trove-mgmt address fa:16:3e:aa:bb:cc mtu 1442 up",
        "ip address replace 192.168.254.33/24 dev trove-mgmt",
        "ip route replace 172.31.0.0/26 via 172.24.4.188",
        f"iptables -t nat -C {nat} 2>/dev/null || iptables -t nat -A {nat}",
    ]


def test_the_hypervisor_of_containers_configures_nova_through_devstacks_own_functions(tmp_path: Path) -> None:
    script = f"""
    set -e
    STACK_USER=stack NOVA_DIR={tmp_path}/nova NOVA_CONF=nova.conf NOVA_CPU_CONF=/etc/nova/nova-cpu.conf
    PYTHON={tmp_path}/python
    echo 'echo /venv/site-packages' > $PYTHON && chmod +x $PYTHON
    for name in install_package add_user_to_group pip_install restart_service sudo iniset cp patch; do
        eval "$name() {{ echo $name \\"\\$@\\"; }}"
    done
    is_package_installed() {{ [ "$1" != docker-cli ]; }}
    type() {{ return 1; }}
    source {RESOURCES}/localconf/hypervisor-docker
    install_nova_hypervisor; configure_nova_hypervisor; start_nova_hypervisor; stop_nova_hypervisor
    """
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:5] == [
        "install_package docker.io ethtool",
        "install_package docker-cli",
        "add_user_to_group stack docker",
        "pip_install docker",
        "sudo systemctl enable docker",
    ]
    assert f"cp -r /opt/stack/novadriver/docker {tmp_path}/nova/nova/virt/" in said
    assert "iniset nova.conf DEFAULT compute_driver docker.DockerDriver" in said
    privileged = "helper_command sudo privsep-helper --config-file /etc/nova/nova-cpu.conf"
    assert [row for row in said if row.endswith(privileged)]
    patches = [row for row in said if row.startswith("patch ")]
    assert patches[0] == patches[1].replace("patch ", "patch --dry-run ", 1)
    assert patches[1].endswith("oslo-messaging-replies-at-once.patch --directory=/venv/site-packages")
    (name,) = (word.rpartition("/")[2] for word in patches[1].split() if word.startswith("--input="))
    assert (RESOURCES / "dockerfiles/machine/patches" / name).exists()
