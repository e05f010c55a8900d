"""How a systemd machine is started under Docker, computed from what the kernel and the engine offer."""

from __future__ import annotations

from lab.host.kernel import Kernel
from lab.machine.contract import HOSTNAME, Wanted


def create_args(name: str, label: str, wanted: Wanted, facts: Kernel) -> list[str]:
    """Arguments of ``docker run`` beyond image, environment and ports.

    All capabilities minus those that the engine itself lacks: ``--privileged`` fails where one is missing, and
    would hand over every device where none is.
    """
    args = ["--hostname", HOSTNAME, "--network", name, "--label", label, "--stop-signal", "SIGRTMIN+3"]
    args.append("--cap-add=ALL")
    args += [f"--cap-drop={capability}" for capability in facts.lacking]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        args += ["--security-opt", option]
    # v1: lab-init makes a cgroup v2 group in the host's tree, then a namespace with that as its root
    args.append("--cgroupns=private" if facts.cgroup == 2 else "--cgroupns=host")
    for device in facts.devices:
        if device in ("/dev/kvm", "/dev/vhost-net") and not wanted.kvm:
            continue
        args += ["--device", device]
    for rule in ("b 7:* rmw", "c 10:237 rmw"):  # loop devices and their control
        args += ["--device-cgroup-rule", rule]
    for mount in ("/run:exec,mode=755", "/run/lock", "/tmp:exec,mode=1777"):
        args += ["--tmpfs", mount]
    args += ["--sysctl", "net.ipv4.ip_forward=1"]
    if facts.ipv6:
        # Docker turns IPv6 off in networks without it; memcached and others bind ::1
        for where in ("all", "default", "lo"):
            args += ["--sysctl", f"net.ipv6.conf.{where}.disable_ipv6=0"]
    if wanted.containers:
        volume = f"type=volume,source={name}-docker,target=/var/lib/docker,volume-label={label}"
        args += ["--mount", volume]  # overlayfs does not stack on overlayfs
    for source, target in wanted.mounts.items():
        args += ["--mount", f"type=bind,source={source},target={target},readonly"]
    args += ["--memory", f"{wanted.memory}g"]
    if wanted.cpus:
        args += ["--cpus", str(wanted.cpus)]
    return args
