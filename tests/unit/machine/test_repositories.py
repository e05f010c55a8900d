"""Scripts for machines that may not run here: linted, parsed by the shells they meet, run against stub tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.core.resources import RESOURCES

SCRIPTS = sorted((RESOURCES / "machines/repositories").glob("*.sh"))
PLUGIN = RESOURCES / "localconf/userspace-ovs/devstack/plugin.sh"
UBUNTU = """deb http://us.archive.ubuntu.com/ubuntu/ trusty main universe
deb-src http://security.ubuntu.com/ubuntu trusty-security main
deb https://old-releases.ubuntu.com/ubuntu trusty-updates main
deb http://ppa.launchpad.net/x/ubuntu trusty main
"""
EPEL = """[epel]
#baseurl=http://download.fedoraproject.org/pub/epel/7/$basearch
metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-7&arch=$basearch
"""


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.name)
def test_parses(script: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", script], check=True)


@pytest.mark.parametrize("script", [*SCRIPTS, PLUGIN], ids=lambda s: s.name)
def test_shellcheck(script: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def run(
    script: str, folder: Path, replace: dict[str, str], stubs: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script of ours with paths of the machine replaced and tools that are not here stubbed."""
    text = (RESOURCES / "machines/repositories" / script).read_text()
    for old, new in replace.items():
        assert old in text
        text = text.replace(old, new)
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for name, body in stubs.items():
        (binaries / name).write_text(f"#!/bin/sh\n{body}\n")
        (binaries / name).chmod(0o755)
    path = f"{binaries}:{os.environ['PATH']}"
    return subprocess.run(["sh", "-c", text], env={"PATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("host", ["archive.ubuntu.com", "old-releases.ubuntu.com"])
def test_ubuntu_goes_where_its_release_is(host: str, tmp_path: Path) -> None:
    sources = tmp_path / "sources.list"
    sources.write_text(UBUNTU)
    stubs = {
        "lsb_release": "echo trusty",
        "apt-get": f"echo apt-get $* >>{tmp_path}/calls",
        "wget": f'case "$*" in *//{host}/ubuntu/dists/trusty/Release) exit 0;; *) exit 8;; esac',
    }
    for _ in range(2):
        assert run("ubuntu.sh", tmp_path, {"/etc/apt/sources.list": str(sources)}, stubs).returncode == 0
        assert sources.read_text().splitlines() == [
            f"deb http://{host}/ubuntu/ trusty main universe",
            f"deb-src http://{host}/ubuntu trusty-security main",
            f"deb http://{host}/ubuntu trusty-updates main",
            "deb http://ppa.launchpad.net/x/ubuntu trusty main",
        ]
    assert (tmp_path / "calls").read_text() == "apt-get update\n" * 2


def test_ubuntu_without_a_way_out_changes_nothing(tmp_path: Path) -> None:
    sources = tmp_path / "sources.list"
    sources.write_text(UBUNTU)
    stubs = {"lsb_release": "echo trusty", "apt-get": "exit 97", "wget": "exit 4"}
    done = run("ubuntu.sh", tmp_path, {"/etc/apt/sources.list": str(sources)}, stubs)
    assert done.returncode == 1
    assert "there is no way out" in done.stderr
    assert sources.read_text() == UBUNTU


def test_centos7_moves_to_the_vault_and_the_archive(tmp_path: Path) -> None:
    repos = tmp_path / "yum.repos.d"
    repos.mkdir()
    (repos / "CentOS-Base.repo").write_text("[base]\nmirrorlist=http://mirrorlist.centos.org/\n")
    yum = f"echo yum $* >>{tmp_path}/calls\n[ \"$1\" != -y ] || cat >epel.repo <<'REPO'\n{EPEL}REPO"
    for _ in range(2):
        done = run("centos7.sh", tmp_path, {"/etc/yum.repos.d": str(repos)}, {"yum": yum})
        assert done.returncode == 0, done.stderr
        active = {p.name: p.read_text() for p in repos.glob("*.repo")}
        assert set(active) == {"CentOS-Vault-lab.repo", "epel.repo"}
        assert not [line for text in active.values() for line in text.splitlines() if line.startswith("m")]
        assert "\nbaseurl=https://archives.fedoraproject.org/pub/archive/epel/7/$basearch\n" in active["epel.repo"]
        assert active["CentOS-Vault-lab.repo"].count("baseurl=http://vault.centos.org/7.9.2009/") == 3
        assert active["CentOS-Vault-lab.repo"].count("gpgcheck=1") == 3
    assert (tmp_path / "calls").read_text().split("\n")[1] == "yum -y install epel-release yum-utils"


@pytest.mark.parametrize(
    ("phase", "wraps"), [("stack pre-install", True), ("stack install", False), ("clean", False)]
)
def test_userspace_ovs_wraps_devstacks_own_function(phase: str, wraps: bool) -> None:
    script = f"""
    function _start_ovs {{ echo devstack; }}
    function sudo {{ echo "$@"; }}
    source {PLUGIN} {phase}
    _start_ovs
    """
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    set_datapath = "ovs-vsctl --no-wait set open_vswitch . external-ids:ovn-bridge-datapath-type=netdev"
    assert said == ["devstack", *([set_datapath] if wraps else [])]
