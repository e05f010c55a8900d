"""What is read from /proc and /sys, from texts as real hosts have them."""

import gzip
import itertools
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.doctor import features
from lab.host import kernel
from lab.machine import network

UNDER_DOCKER = """
DAC_READ_SEARCH LINUX_IMMUTABLE NET_BROADCAST NET_ADMIN IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_PTRACE SYS_PACCT
SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG LEASE AUDIT_CONTROL MAC_OVERRIDE MAC_ADMIN SYSLOG
WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n"
HYBRID = (
    "tmpfs /sys/fs/cgroup tmpfs ro,nosuid,nodev,noexec,size=4096k,nr_inodes=1024,mode=755 0 0\n"
    "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0\n"
    "cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,name=systemd 0 0\n"
)
LEGACY = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "version", "unified"),
    [
        (V2, 2, Path("/sys/fs/cgroup")),
        (HYBRID, 1, Path("/sys/fs/cgroup/unified")),
        (LEGACY, 1, None),
        ("", 1, None),
    ],
)
def test_cgroups(mounts: str, version: int, unified: Path | None) -> None:
    assert kernel.cgroup_version(mounts) == version
    assert kernel.unified_mount(mounts) == unified


@pytest.mark.parametrize(
    ("bounding", "lacking"),
    [
        ("000001ffffffffff", ()),
        ("000001fffeffffff", ("SYS_RESOURCE",)),
        # Docker's default set: what a lab inside an ordinary container would have
        (
            "00000000a80425fb",
            tuple(UNDER_DOCKER.split()),
        ),
    ],
)
def test_capabilities(bounding: str, lacking: tuple[str, ...]) -> None:
    assert kernel.lacking(f"Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t{bounding}\nCapAmb:\t0\n") == lacking


def test_the_engines_bounding_set_counts_not_ours(tmp_path: Path) -> None:
    for path, text in {
        "run/docker.pid": "77",
        "proc/77/status": "CapBnd:\t000001fffeffffff\n",
        "proc/self/status": "CapBnd:\t000001ffffffffff\n",
        "proc/mounts": V2,
        "dev/kvm": "",
        "proc/sys/net/ipv6/x": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    facts = kernel.probe(tmp_path)
    assert facts == kernel.Kernel(lacking=("SYS_RESOURCE",), cgroup=2, ipv6=True, devices=("/dev/kvm",))
    (tmp_path / "run/docker.pid").unlink()
    assert kernel.probe(tmp_path).lacking == ()


def test_kernel_parts(tmp_path: Path) -> None:
    tree = tmp_path / "lib/modules/6.1"
    tree.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/modules").write_text("openvswitch 180224 0 - Live 0x0\nnsh 16384 1 openvswitch, Live 0x0\n")
    (tree / "modules.dep").write_text("kernel/drivers/net/geneve.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz\n")
    assert features.find(tmp_path, "6.1") == {"openvswitch": "loaded", "geneve": "loadable"}
    (tmp_path / "proc/modules").write_text("")
    (tree / "modules.dep").write_text("")
    (tree / "modules.builtin").write_text("kernel/net/openvswitch/openvswitch.ko\n")
    assert features.find(tmp_path, "6.1") == {"openvswitch": "built in", "geneve": "absent"}


def test_a_kernel_without_modules_is_asked_for_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    config = "CONFIG_OPENVSWITCH=y\nCONFIG_GENEVE=m\n# CONFIG_X is not set\n"
    (tmp_path / "proc/config.gz").write_bytes(gzip.compress(config.encode()))
    # a module that lies nowhere cannot be loaded
    assert features.find(tmp_path, "6.18") == {"openvswitch": "built in", "geneve": "absent"}


ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "lo\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    "br0\t0000D50A\t00000000\t0001\t0\t0\t0\t00FEFFFF\t0\t0\t0\n"
)


def test_routes_are_little_endian() -> None:
    assert network.routes(ROUTES) == [IPv4Network("192.0.2.0/24"), IPv4Network("10.213.0.0/23")]


def test_the_mtu_is_the_default_routes() -> None:
    assert network.default_mtu(ROUTES) == 65536  # of lo, which is everywhere
    assert network.default_mtu("header\n") == 1500


def test_subnets_touch_nothing_that_is_there() -> None:
    free = list(itertools.islice(network.free_subnets(network.routes(ROUTES)), 254))
    assert free[0] == IPv4Network("10.213.2.0/24")
    assert free[-1] == IPv4Network("10.213.255.0/24")
    assert next(network.free_subnets([IPv4Network("10.213.0.0/28")], 29)) == IPv4Network("10.213.0.16/29")


def test_no_subnet_left_is_an_error() -> None:
    from lab.core.errors import Unsupported

    with pytest.raises(Unsupported):
        next(network.free_subnets([IPv4Network("10.0.0.0/8")]))


def test_ports_are_kept_where_they_are_free() -> None:
    import socket

    first = network.free_ports(["ssh", "web"], {})
    assert network.free_ports(["ssh", "web"], first) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["ssh"]))
        again = network.free_ports(["ssh", "web"], first)
    assert again["ssh"] != first["ssh"]
    assert again["web"] == first["web"]
    assert len(set(network.free_ports(map(str, range(50)), {}).values())) == 50
