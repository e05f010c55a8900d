"""stack.sh on a real machine container, with a stand-in for DevStack: prepared, run as a unit, followed, run again.

What is real: the machine, its systemd, the mirror that it sees, SSH, the scripts and the rendered local.conf. What is
not: the stand-in takes seconds and installs nothing.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.config.settings import LabSpec
from lab.core import waits
from lab.core.errors import StackFailed
from lab.core.home import Home
from lab.core.job import Job
from lab.core.ssh import Remote
from lab.core.waits import silent
from lab.host.git_mirrors import IN_MACHINE
from lab.install.contract import Ground
from lab.install.devstack import stack_run
from lab.install.devstack.installer import PUBLISHED, DevStack
from lab.install.devstack.stack_run import StackRun
from lab.lifecycle import leftovers
from lab.machine import image
from lab.machine.contract import Wanted
from lab.machine.docker import DockerMachine

pytestmark = pytest.mark.integration

SPEC = LabSpec(
    name="itest-s",
    provider="docker",
    distro="debian13",
    release="2026.1",
    installer="devstack",
    hypervisor="docker",
    install_timeout=120,
)
STACK = """#!/bin/bash
exec 2>&1
logs=/opt/stack/logs
say() { echo "$(date '+%F %T.000') | $*"; }
say "stack.sh log $logs/x" > $logs/summary
ln -sf $logs/summary $logs/stack.sh.log.summary
touch .stackenv
say "+ ./stack.sh:main:10                  :   ADMIN_PASSWORD=$(sed -n 's/^ADMIN_PASSWORD=//p' local.conf)"
say "user $(id -un), KSM $(ls /sys/kernel/mm/ksm 2>/dev/null | wc -l), $(sudo id -un), $(locale 2>&1 | head -1)"
say 'Phase one' >> $logs/summary
sleep 3
say 'Phase two' >> $logs/summary
if [ -e /opt/stack/fail ]; then
    say "+ lib/x:install_x:7                    :   pip install x"
    say "ERROR: No matching distribution found for x===1"
    say "++ ./stack.sh:install_x:1               :   err_trap"
    say "World dumping..."
    exit 1
fi
sleep 3
say "the end"
"""


MODELS = """\
                            {'instance_id': self.id, 'vm_id': self.server_id})

        # Cinder volume.
        vols = self.volume_client.volumes.list(
            search_opts={'name': f'trove-{self.id}'})
        for vol in vols:
            LOG.info(f"Deleting volume {vol.id} for instance {self.id}")

            try:
"""
"""Where the patch for deletion without Cinder goes."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home("itest-s", tmp_path_factory.mktemp("labs"))
    home.make()
    yield home
    leftovers.sweep(home, keep_cache=True, note=silent)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    folder.chmod(0o755)  # pytest's own are closed to others, and stack is one
    _repository(
        folder / "openstack/devstack",
        {
            "stack.sh": STACK,
            "unstack.sh": "#!/bin/bash\ntouch /opt/stack/unstacked\n",
            "lib/nova_plugins/hypervisor-fake": "",
        },
    )
    _repository(folder / "openstack/trove", {"trove/instance/models.py": MODELS})
    return folder


def _repository(path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
        (path / name).chmod(0o755)
    git = ["git", "-C", str(path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q", "-b", "stable/2026.1"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)


@pytest.fixture(scope="module")
def machine(home: Home, mirror: Path) -> DockerMachine:
    machine = DockerMachine(home, 120)
    machine.up(
        Wanted(
            image=image.base("trixie", Job(silent, home.log("image"), 900)),
            memory=2,
            cpus=0,
            disk=5,
            containers=True,
            ports=dict(PUBLISHED),
            mounts={str(mirror): IN_MACHINE},
        ),
        silent,
    )
    return machine


@pytest.fixture(scope="module")
def remote(machine: DockerMachine) -> Remote:
    return Remote(machine.address())


@pytest.fixture(scope="module")
def installer(home: Home, machine: DockerMachine, remote: Remote, mirror: Path) -> DevStack:
    spec = replace(SPEC, mirror=str(mirror))
    made = DevStack(Ground(home, spec, lambda: remote, machine.ports, lambda: None))
    prepare = made.steps("machine")[0]
    assert not prepare.done()
    prepare.run(silent)
    assert prepare.done()
    return made


@pytest.mark.usefixtures("installer")
def test_the_machine_is_prepared_as_stack_sh_wants_it(remote: Remote) -> None:
    conf = remote.run("cat", "/opt/stack/devstack/local.conf").stdout
    for line in ("GIT_BASE=/opt/mirror", "HOST_IP=10.99.99.1", "VIRT_DRIVER=docker", "network_isolation = False"):
        assert line in conf
    assert remote.run("stat", "-c", "%a %U", "/opt/stack/devstack/local.conf").stdout.split() == ["600", "stack"]
    assert remote.run("cat", "/opt/stack/devstack/lib/nova_plugins/hypervisor-docker").ok
    assert "10.99.99.1/32" in remote.run("ip", "-o", "address", "show", "dev", "lo").stdout
    assert remote.run("runuser", "-u", "stack", "--", "sudo", "-n", "id", "-u").stdout.strip() == "0"
    models = remote.run("cat", "/opt/stack/trove/trove/instance/models.py").stdout
    assert (") if self.volume_support else []" in models) == ("trove_volume_support = False" in conf)
    if "enable_plugin userspace-ovs" in conf:
        assert remote.run("git", "-C", "/opt/stack/userspace-ovs", "rev-parse", "main").ok


def test_it_runs_to_its_end_and_a_second_client_only_follows(installer: DevStack, remote: Remote) -> None:
    one, two = ([], [])  # type: tuple[list[str], list[str]]
    first = threading.Thread(
        target=lambda: StackRun(remote, installer.ground.home, "k", 60, lambda: None).run(one.append)
    )
    first.start()
    waits.until("the first phase", lambda: "Phase one" in one, seconds=30, setting="-", every=0.2)
    run = StackRun(remote, installer.ground.home, "k", 60, lambda: None)
    run.run(two.append)
    first.join()
    assert "starting stack.sh" in one
    assert "starting stack.sh" not in two
    assert "Phase two" in two
    log = run.log.read_text()
    assert installer.ground.home.secrets["devstack"] not in log
    assert "ADMIN_PASSWORD=********" in log
    assert "user stack, KSM 0, root, LANG=en_US.UTF-8" in log
    assert log.rstrip().endswith("the end")
    assert [name for name, _ in installer.ground.home.state["stack.phases"]] == ["Phase one", "Phase two"]
    assert not remote.run("test", "-e", "/opt/stack/unstacked", check=False).ok
    three: list[str] = []
    StackRun(remote, installer.ground.home, "k", 60, lambda: None).run(three.append)
    assert "starting stack.sh" not in three, "it has ended well: it need not run again"


def test_a_failure_is_explained_and_the_next_run_begins_with_unstack(installer: DevStack, remote: Remote) -> None:
    remote.run("touch", "/opt/stack/fail")
    with pytest.raises(StackFailed) as caught:
        StackRun(remote, installer.ground.home, "another", 60, lambda: None).run(silent)
    assert "in its phase 'Phase two' at lib/x:install_x:7, on `pip install x`" in caught.value.cause
    assert "World dumping" not in caught.value.cause
    assert "PIP_INDEX_URL" in caught.value.remedy
    remote.run("rm", "/opt/stack/fail")
    remote.run("rm", "-f", "/opt/stack/unstacked")
    StackRun(remote, installer.ground.home, "k", 60, lambda: None).run(silent)
    assert remote.run("test", "-e", "/opt/stack/unstacked", check=False).ok


def test_the_unit_does_not_run_at_boot(machine: DockerMachine, remote: Remote) -> None:
    machine.halt(silent)
    machine.up(Wanted(image="", memory=2, cpus=0, disk=5), silent)
    fresh = Remote(machine.address())
    fresh.run("systemctl", "is-system-running", "--wait", check=False)
    state = fresh.run("systemctl", "show", "--property=ActiveState", "--value", stack_run.UNIT).stdout.strip()
    assert state == "inactive"
    assert "10.99.99.1/32" in fresh.run("ip", "-o", "address", "show", "dev", "lo").stdout
