"""What this host's kernel and its limits offer: read from /proc and /sys, nothing changed, nothing assumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Linux's capabilities by bit number: capability.h, stable since they are part of the kernel's interface
_NAMES = """
chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
"""
CAPABILITIES = tuple(_NAMES.upper().split())


@dataclass(frozen=True)
class Kernel:
    """Facts that decide how a machine container is started.

    ``lacking`` are capabilities outside the bounding set of whoever starts containers; ``cgroup`` is 1 or 2;
    ``devices`` are those of /dev that exist among the ones a machine wants.
    """

    lacking: tuple[str, ...]
    cgroup: int
    ipv6: bool
    devices: tuple[str, ...]


def probe(root: Path = Path("/")) -> Kernel:
    """Read the facts. ``root`` is another tree in tests."""
    wanted = ("/dev/net/tun", "/dev/fuse", "/dev/kvm", "/dev/vhost-net")
    return Kernel(
        lacking=lacking(_engine_status(root)),
        cgroup=cgroup_version(read(root / "proc/mounts")),
        ipv6=(root / "proc/sys/net/ipv6").is_dir(),
        devices=tuple(device for device in wanted if (root / device.lstrip("/")).exists()),
    )


def read(path: Path) -> str:
    """A file's text, or an empty string where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def lacking(status: str) -> tuple[str, ...]:
    """Capabilities missing from the bounding set (``CapBnd``) in a /proc/PID/status text."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line.split()[1], 16)
            return tuple(name for bit, name in enumerate(CAPABILITIES) if not bounding >> bit & 1)
    return ()


def cgroup_version(mounts: str) -> int:
    """2 where /sys/fs/cgroup itself is cgroup2, else 1 (hybrid counts as 1), from /proc/mounts."""
    for line in mounts.splitlines():
        _, where, kind, *_ = line.split()
        if where == "/sys/fs/cgroup":
            return 2 if kind == "cgroup2" else 1
    return 2 if " cgroup2 " in mounts and " cgroup " not in mounts else 1


def unified_mount(mounts: str) -> Path | None:
    """Where the host has cgroup2 mounted, from /proc/mounts."""
    for line in mounts.splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    return None


def _engine_status(root: Path) -> str:
    """The status of dockerd where it runs (its bounding set is what counts), else our own."""
    for pid_file in ("run/docker.pid", "var/run/docker.pid"):
        pid = read(root / pid_file).strip()
        if pid.isdigit() and (status := read(root / "proc" / pid / "status")):
            return status
    return read(root / "proc/self/status")
