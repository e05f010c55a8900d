"""A real machine container: SSH with its host key checked, halt, up, snapshot, and nothing left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import psutil
import pytest

from lab.containers import client, ownership
from lab.containers import volumes as volume
from lab.core import process
from lab.core.errors import LabError, SshFailed
from lab.core.home import LABEL, Home
from lab.core.job import Job
from lab.core.ssh import Remote
from lab.host import apt, kernel
from lab.lifecycle import leftovers
from lab.machine import image, keys, network, warm
from lab.machine.contract import Wanted
from lab.machine.docker import DockerMachine

pytestmark = pytest.mark.integration

WANTED = Wanted(image="", memory=2, cpus=0, disk=5, containers=True, ports={"web": 80})


def say(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home("itest-m", tmp_path_factory.mktemp("labs"))
    home.make()
    yield home
    leftovers.sweep(home, keep_cache=True, note=say)


@pytest.fixture(scope="module")
def wanted(home: Home) -> Wanted:
    return replace(WANTED, image=image.base("trixie", Job(say, home.log("image"), 900)))


@pytest.fixture(scope="module")
def machine(home: Home, wanted: Wanted) -> DockerMachine:
    machine = DockerMachine(home, 120)
    machine.up(wanted, say)
    Remote(machine.address()).run("touch", "/root/kept")
    return machine


def test_systemd_runs_in_a_cgroup_tree_of_its_own(machine: DockerMachine) -> None:
    remote = Remote(machine.address())
    assert remote.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip() == "running"
    assert remote.run("cat", "/proc/1/cgroup").stdout.splitlines()[-1] == "0::/init.scope"
    assert remote.run("hostname").stdout.strip() == "machine"


def test_the_host_key_came_through_docker_and_is_checked(machine: DockerMachine, home: Home) -> None:
    address = machine.address()
    strange = home.path / "strange_hosts"
    other = keys.generate("other").public.split()
    strange.write_text(f"[127.0.0.1]:{address.port} {other[0]} {other[1]}\n")
    with pytest.raises(SshFailed):
        Remote(replace(address, known_hosts=strange)).run("true")
    assert process.run(*address.ssh_argv("true"), check=False).ok


def test_a_channel_leads_to_what_the_machine_reaches_and_says_when_it_is_refused(machine: DockerMachine) -> None:
    remote = Remote(machine.address())
    remote.script(
        "cd /run/systemd/system\n"
        "printf '[Socket]\\nListenStream=127.0.0.1:7777\\nAccept=yes\\n' > greeter.socket\n"
        "printf '[Service]\\nStandardOutput=socket\\nExecStart=echo hello\\n' > greeter@.service\n"
        "systemctl start greeter.socket\n"
    )
    for length in (5, 1, 5):  # one hangs up in the middle
        with remote.channel("127.0.0.1", 7777) as there:
            there.settimeout(10)
            assert there.recv(length) == b"hello"[:length]
    with pytest.raises(ConnectionRefusedError), remote.channel("127.0.0.1", 7778):
        pass
    assert remote.answers()


def test_ports_are_on_loopback_only(machine: DockerMachine) -> None:
    mine = {machine.address().port, machine.ports()["web"]}
    sockets = [c.laddr for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr]
    assert {where.ip for where in sockets if where.port in mine} == {"127.0.0.1"}


def test_capabilities_are_all_but_those_the_engine_lacks(machine: DockerMachine) -> None:
    status = Remote(machine.address()).run("cat", "/proc/1/status").stdout
    later = {"PERFMON", "BPF", "CHECKPOINT_RESTORE"}  # engines before 23 know none of these as part of ALL
    assert set(kernel.lacking(status)) - later == set(kernel.probe().lacking) - later


def test_up_on_a_running_machine_changes_nothing(machine: DockerMachine, wanted: Wanted) -> None:
    before = json.loads(process.run("docker", "inspect", "trove-lab-itest-m").stdout)
    began = monotonic()
    machine.up(wanted, say)
    assert monotonic() - began < 5
    assert json.loads(process.run("docker", "inspect", "trove-lab-itest-m").stdout) == before


def test_halt_and_up_keep_files_ports_and_host_key(machine: DockerMachine, wanted: Wanted) -> None:
    address, known = machine.address(), machine.address().known_hosts.read_text()
    # what a systemd does that gives a nested Docker its controllers
    give = "for c in $(cat cgroup.controllers); do echo +$c > cgroup.subtree_control; done"
    Remote(address).script(f"cd /sys/fs/cgroup\n{give}\n")
    machine.halt(say)
    assert machine.status() == "halted"
    machine.up(wanted, say)
    assert (machine.address(), machine.address().known_hosts.read_text()) == (address, known)
    assert Remote(machine.address()).run("ls", "/root").stdout.split() == ["kept"]


def test_input_arrives_at_once_and_one_who_leaves_before_its_end_is_named(machine: DockerMachine) -> None:
    remote = Remote(machine.address())
    assert remote.run("wc", "-c", stdin="é" * 200_000, timeout=30).stdout == "400000\n"
    with pytest.raises(SshFailed, match=r"true was gone before it had its input"):
        remote.run("true", stdin="x" * 20_000_000)
    assert remote.run("cat", stdin="again").stdout == "again"


def test_a_snapshot_is_gone_back_to_with_its_docker_volume(machine: DockerMachine) -> None:
    Remote(machine.address()).run("touch", "/var/lib/docker/then")
    machine.save("first", say)
    assert machine.snapshots() == ["first"]
    Remote(machine.address()).run("touch", "/root/later", "/var/lib/docker/later")
    machine.restore("first", say)
    assert Remote(machine.address()).run("ls", "/root", "/var/lib/docker").stdout.split() == [
        *("/root:", "kept", "/var/lib/docker:", "then")
    ]
    machine.forget("first")
    assert machine.snapshots() == []


def test_a_copied_volume_shares_the_layers_of_images_and_nothing_else(wanted: Wanted) -> None:
    source, target = (f"trove-lab-itest-v-{name}" for name in ("source", "target"))
    make = """
        mkdir -p image/overlay2/layerdb/sha256/x overlay2/layer/diff overlay2/container/diff volumes
        printf layer > image/overlay2/layerdb/sha256/x/cache-id
        for file in overlay2/layer/diff/file overlay2/container/diff/file volumes/file; do echo old > "$file"; done
        ln -s ../layer/diff overlay2/container/link
    """
    look = "find . -type f -printf '%P %n ' -exec cat {} \\; | sort; readlink overlay2/container/link"

    def there(name: str, script: str) -> str:
        volumes = {name: {"bind": "/there", "mode": "rw"}}
        return client.output(wanted.image, ["sh", "-ec", f"cd /there; {script}"], volumes=volumes)

    try:
        with client.connect() as daemon:
            daemon.volumes.create(source, labels={LABEL: "itest-v"})
        there(source, make)
        volume.copy(source, target, wanted.image, "itest-v")
        there(target, "echo new > overlay2/container/diff/file; echo new > volumes/file; rm -r overlay2/layer")
        volume.copy(source, target, wanted.image, "itest-v")
        there(target, "echo new > overlay2/container/diff/file; echo new > volumes/file")
        for name, text in ((source, "old"), (target, "new")):
            assert there(name, look).splitlines() == [
                "image/overlay2/layerdb/sha256/x/cache-id 1 layer",
                f"overlay2/container/diff/file 1 {text}",
                "overlay2/layer/diff/file 2 old",
                f"volumes/file 1 {text}",
                "../layer/diff",
            ]
    finally:
        volume.remove(r"trove-lab-itest-v-\w+")


def test_another_lab_from_the_same_image_has_another_host_key(machine: DockerMachine, home: Home) -> None:
    machine.commit("trove-lab/itest-warm:1", client.SHARED, say)
    other = Home("itest-n", home.root)
    other.make()
    second = DockerMachine(other, 120)
    try:
        second.up(replace(WANTED, image="trove-lab/itest-warm:1"), say)
        assert Remote(second.address()).run("ls", "/root").stdout.split() == ["kept"]
        ours, theirs = (a.known_hosts.read_text().split()[-1] for a in (machine.address(), second.address()))
        assert ours != theirs
    finally:
        leftovers.sweep(other, keep_cache=False, note=say)
        with client.connect() as daemon:
            daemon.images.remove("trove-lab/itest-warm:1", force=True)
        volume.remove(r"trove-lab\.itest-warm\.1")


def test_a_container_that_vagrant_does_not_know_is_no_obstacle(home: Home, wanted: Wanted) -> None:
    stray = Home("itest-s", home.root)
    stray.make()
    process.run("docker", "create", "--name", "trove-lab-itest-s", "--label", "trove-lab=itest-s", wanted.image)
    machine = DockerMachine(stray, 120)
    try:
        assert machine.status() == "absent"
        machine.up(wanted, say)
        assert machine.status() == "running"
    finally:
        leftovers.sweep(stray, keep_cache=True, note=say)


def test_a_machine_that_dies_says_its_last_words(home: Home, wanted: Wanted, tmp_path: Path) -> None:
    broken = Home("itest-b", tmp_path)
    broken.make()
    (tmp_path / "Dockerfile").write_text(f'FROM {wanted.image}\nCMD ["sh", "-c", "echo no such disk; exit 3"]\n')
    tag = client.build("trove-lab/itest-broken", tmp_path, arguments={}, job=Job(say, tmp_path / "log", 60))
    began = monotonic()
    try:
        with pytest.raises(LabError) as caught:
            DockerMachine(broken, 60).up(replace(wanted, image=tag), say)
        assert monotonic() - began < 60
        assert "no such disk" in caught.value.cause
    finally:
        leftovers.sweep(broken, keep_cache=False, note=say)
        with client.connect() as daemon:
            daemon.images.remove(tag, force=True)


def test_destroy_leaves_the_host_as_it_was(home: Home, wanted: Wanted, tmp_path: Path) -> None:
    def networks() -> tuple[object, ...]:
        """Interfaces, routes and packet filter rules, without their counters."""
        rules = [process.run(t, check=False).stdout for t in ("iptables-save", "ip6tables-save") if process.have(t)]
        lines = [line.split("[")[0] for text in rules for line in text.splitlines() if not line.startswith("#")]
        return sorted(psutil.net_if_addrs()), kernel.read(Path("/proc/net/route")), lines

    before = networks()
    brief = Home("itest-d", tmp_path)
    brief.make()
    machine = DockerMachine(brief, 120)
    machine.up(wanted, say)
    ownership.claim(wanted.image, brief.name)
    kept = client.tag(wanted.image, warm.REPOSITORY, f"{brief.name}-0123456789abcdef")
    assert networks() != before
    kinds = {line.split()[0] for line in leftovers.leftovers(brief)}
    assert {"container", "network", "image", "folder"} <= kinds
    machine.destroy(say)
    leftovers.sweep(brief, keep_cache=True, note=say)
    assert leftovers.leftovers(brief) == [f"image {kept}", f"folder {brief.path}"], "the cache was to be kept"
    leftovers.sweep(brief, keep_cache=False, note=say)
    assert leftovers.leftovers(brief) == [f"folder {brief.path}"]
    assert client.find(wanted.image) is not None, "the lab had let go of it"
    assert networks() == before
    assert process.run("vagrant", "global-status", check=False).stdout.find("trove-lab-itest-d") == -1


def test_the_root_filesystem_is_this_host_s_own_mirror(machine: DockerMachine) -> None:
    found = apt.mirrors()
    if found is None:
        pytest.skip("this host's apt has no Debian mirror")
    sources = Remote(machine.address()).run("cat", "/etc/apt/sources.list").stdout.splitlines()
    assert [line for line in sources if line] == found.lines("trixie")


def test_ports_that_someone_takes_between_choice_and_start_are_chosen_anew(
    home: Home, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Home("itest-l", home.root)
    late.make()
    machine = DockerMachine(late, 120)
    taken: list[str] = []
    choose = network.free_ports

    def quicker(services: Iterable[str], before: dict[str, int]) -> dict[str, int]:
        ports = choose(services, before)
        if not taken:
            publish = ["--publish", f"127.0.0.1:{ports['ssh']}:22"]
            created = process.run(
                "docker", "run", "-d", "--label", "trove-lab=itest-l", *publish, wanted.image, "sleep", "60"
            )
            taken.append(created.stdout.strip())
        return ports

    monkeypatch.setattr(network, "free_ports", quicker)
    try:
        machine.up(wanted, say)
        assert taken
        assert machine.status() == "running"
    finally:
        leftovers.sweep(late, keep_cache=True, note=say)


def test_a_throw_away_container_takes_its_volumes_with_it(wanted: Wanted) -> None:
    name = "trove-lab/itest-volume:1"

    def volumes() -> set[str]:
        with client.connect() as daemon:
            return {str(v.name) for v in daemon.volumes.list()}

    with client.connect() as daemon:
        made = daemon.containers.create(wanted.image, labels={LABEL: "itest-v"})
        made.commit(*name.split(":"), changes=["VOLUME /srv/kept"])
        made.remove(force=True, v=True)
    before = volumes()
    try:
        assert client.output(name, ["sh", "-c", "touch /srv/kept/a; ls /srv/kept"]) == "a\n"
        with pytest.raises(LabError, match=r"no-such-file"):
            client.output(name, ["ls", "/no-such-file"])
        assert volumes() == before
    finally:
        client.remove_tags(re.escape(name))
