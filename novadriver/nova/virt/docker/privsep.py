"""Everything that needs root on the host: veth pairs, network namespaces, loop devices."""

import json
import os
import stat

from oslo_concurrency import processutils
from oslo_privsep import capabilities as caps
from oslo_privsep import priv_context

LOOP_MAJOR = 7

context = priv_context.PrivContext(
    "nova.virt.docker",
    cfg_section="docker_privsep",
    pypath=__name__ + ".context",
    capabilities=[
        *(caps.CAP_NET_ADMIN, caps.CAP_SYS_ADMIN, caps.CAP_SYS_PTRACE, caps.CAP_MKNOD),
        *(caps.CAP_CHOWN, caps.CAP_DAC_OVERRIDE, caps.CAP_DAC_READ_SEARCH, caps.CAP_FOWNER),
    ],
)


def _in_netns(pid, *command):
    return processutils.execute("nsenter", "-t", str(pid), "-n", *command)[0]


@context.entrypoint
def add_veth(host_dev, guest_dev, mac, mtu, offload):
    """Make a veth pair in the host's namespace; an older one of the same name is removed first.

    Without ``offload`` both ends finish their checksums themselves: Open vSwitch's userspace datapath reads frames
    with AF_PACKET, where a half-done checksum would reach the peer as a wrong one.
    """
    if os.path.exists(f"/sys/class/net/{host_dev}"):
        processutils.execute("ip", "link", "del", host_dev)
    processutils.execute(
        "ip", "link", "add", host_dev, "mtu", str(mtu), "type", "veth",
        "peer", "name", guest_dev, "address", mac, "mtu", str(mtu),
    )  # fmt: skip
    if not offload:
        for dev in (host_dev, guest_dev):
            processutils.execute("ethtool", "-K", dev, "tx", "off")
    processutils.execute("ip", "link", "set", host_dev, "up")


@context.entrypoint
def give_veth(guest_dev, pid, name, addresses, gateways):
    """Move ``guest_dev`` into the namespace of ``pid``, as ``name``.

    The rename comes last: the guest's start waits for that name.
    """
    processutils.execute("ip", "link", "set", guest_dev, "netns", str(pid))
    _in_netns(pid, "ip", "link", "set", "lo", "up")
    _in_netns(pid, "ip", "link", "set", guest_dev, "name", name)
    if addresses:
        for address in addresses:
            _in_netns(pid, "ip", "address", "add", address, "dev", name)
        _in_netns(pid, "ip", "link", "set", name, "up")
        for gateway in gateways:
            _in_netns(pid, "ip", "route", "replace", "default", "via", gateway, "dev", name)


@context.entrypoint
def netns_links(pid):
    """{MAC: name} of the interfaces in the namespace of ``pid``."""
    return {link.get("address"): link["ifname"] for link in json.loads(_in_netns(pid, "ip", "-j", "link"))}


@context.entrypoint
def delete_dev(dev):
    """Delete a network interface of the host; with it goes its peer, wherever it is."""
    if os.path.exists(f"/sys/class/net/{dev}"):
        processutils.execute("ip", "link", "del", dev)


@context.entrypoint
def set_master(dev, bridge):
    """Make ``dev`` a port of a Linux bridge (Neutron's hybrid plug, Linux bridge agent)."""
    processutils.execute("ip", "link", "set", dev, "master", bridge)


@context.entrypoint
def attach_loop(path, node):
    """Attach the file to a loop device, unless it is, and make ``node`` a device file for it.

    A container's configuration names the node for ever; the loop device's number changes when the host restarts.
    """
    device = _loop_of(path)
    if device is None:
        # udev makes these where it runs; in a container nobody does
        for number in range(_loops_in_use() + 1):
            if not os.path.exists(f"/dev/loop{number}"):
                os.mknod(f"/dev/loop{number}", 0o660 | stat.S_IFBLK, os.makedev(LOOP_MAJOR, number))
        if not os.path.exists("/dev/loop-control"):
            os.mknod("/dev/loop-control", 0o660 | stat.S_IFCHR, os.makedev(10, 237))
        device = processutils.execute("losetup", "--find", "--show", path)[0].strip()
    if os.path.lexists(node):
        os.unlink(node)
    os.mknod(node, 0o660 | stat.S_IFBLK, os.stat(device).st_rdev)


@context.entrypoint
def refresh_loop(path):
    """Tell the loop device that its file has grown."""
    _losetup_if_attached("--set-capacity", path)


@context.entrypoint
def detach_loop(path):
    """Detach the file from its loop device, if it is attached."""
    _losetup_if_attached("--detach", path)


@context.entrypoint
def remove_tree(path):
    """Remove an instance's directory, device nodes and root's files included."""
    processutils.execute("rm", "-rf", "--one-file-system", path)


def _loop_of(path):
    out = processutils.execute("losetup", "--noheadings", "--output", "NAME", "--associated", path)[0].split()
    return out[0] if out else None


def _losetup_if_attached(option, path):
    device = _loop_of(path)
    if device is not None:
        processutils.execute("losetup", option, device)


def _loops_in_use():
    """One more than the highest number of a loop device the kernel knows."""
    numbers = [int(name[4:]) for name in os.listdir("/sys/block") if name[4:].isdigit() and name.startswith("loop")]
    return max(numbers, default=-1) + 1
