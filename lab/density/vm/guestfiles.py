"""What goes into the virtual machines beside the engine's own files: a first program, a probe, an initramfs."""

from __future__ import annotations

import lzma
import shlex
from dataclasses import dataclass
from pathlib import Path

from lab.build import initrd
from lab.core.errors import BadFile
from lab.density.bake import Baked
from lab.density.engine import FILES, UID

END = "density: end"
PORT = "density"
ADDRESS = "10.0.2.15/24"
"""What QEMU's user network gives its only guest."""
MODULES = ("virtio_blk", "failover", "net_failover", "virtio_net", "virtio_balloon")
TOOLS = "/srv/vm"
ENGINE_ROOT = "/srv/engine"


@dataclass(frozen=True)
class Kit:
    """A Debian guest root's kernel parts: the kernel image, static busybox, modules by name (uncompressed)."""

    kernel: Path
    busybox: Path
    modules: dict[str, bytes]
    release: str


def kit(root: Path) -> Kit:
    """Take the parts out of an unpacked guest root. Raises: BadFile if one is missing."""
    try:
        kernel = sorted((root / "boot").glob("vmlinuz-*"))[-1]
        release = kernel.name.removeprefix("vmlinuz-")
        tree = root / "usr/lib/modules" / release
        found = {p.name.split(".")[0]: p for p in tree.rglob("*.ko*")}
        modules = {name: _plain(found[name]) for name in MODULES}
    except (IndexError, KeyError) as error:
        raise BadFile(
            root, f"it lacks a kernel or its module {error}", "./inv image-build builds the guest root."
        ) from error
    busybox = root / "usr/bin/busybox"
    if not busybox.exists():
        raise BadFile(root, "it lacks busybox-static", "./inv image-build builds the guest root.")
    return Kit(kernel, busybox, modules, release)


def initramfs(parts: Kit) -> bytes:
    """An uncompressed cpio: load the disk's driver, go on with the disk's ``density.next=`` program."""
    script = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox insmod /virtio_blk.ko
for word in $(/bin/busybox cat /proc/cmdline); do
    case "$word" in density.next=*) next=${word#*=} ;; esac
done
until [ -b /dev/vda ]; do /bin/busybox usleep 10000; done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || /bin/busybox poweroff -f
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /proc
exec /bin/busybox switch_root /root "$next"
"""
    files = {
        "bin/busybox": parts.busybox.read_bytes(),
        "virtio_blk.ko": parts.modules["virtio_blk"],
        "init": script.encode(),
    }
    return initrd.archive({
        **dict.fromkeys(("bin", "dev", "proc", "root"), initrd.directory()),
        **{name: initrd.file(data, 0o755) for name, data in files.items()},
    })  # fmt: skip


def lean_files(baked: Baked, parts: Kit) -> dict[str, bytes]:
    """Files for the lean machine's disk: no service manager, the engine as the machine's only program."""
    box = f"{TOOLS}/busybox"
    load = "\n".join(f"{box} insmod {TOOLS}/{name}.ko" for name in MODULES if name != "virtio_blk")
    init = f"""#{"!"}{box} sh
{box} mount -t proc proc /proc
{box} mount -t sysfs sys /sys
{box} mount -t tmpfs -o mode=1777 tmp /tmp
{box} mkdir -p /dev/shm /dev/pts
{box} mount -t tmpfs -o mode=1777 shm /dev/shm
{load}
{box} ip link set lo up
{box} ip addr add {ADDRESS} dev eth0
{box} ip link set eth0 up
{_exports(baked)}
ulimit -n {FILES}
/usr/sbin/chroot --userspec={UID}:{UID} / {shlex.join(baked.argv())} > /dev/console 2>&1 &
exec {TOOLS}/probe {baked.program}
"""
    files = {f"{TOOLS}/{name}.ko": data for name, data in parts.modules.items()}
    return {**files, box: parts.busybox.read_bytes(), f"{TOOLS}/init": init.encode(), f"{TOOLS}/probe": probe(box)}


def naive_files(baked: Baked) -> dict[str, bytes]:
    """Files for the ordinary machine's disk: the engine as a service under ENGINE_ROOT, and the probe as another."""
    exports = "\n".join(f'Environment="{e}"' for e in baked.environment)
    binds = " ".join(f"/{name}:{ENGINE_ROOT}/{name}" for name in ("proc", "sys", "dev"))
    # no User= with RootDirectory=: systemd 257 wants the number to be a known user ("No such process")
    unit = f"""[Unit]
Description=The database
After=network.target
[Service]
BindPaths={binds}
{exports}
ExecStart=/usr/sbin/chroot --userspec={UID}:{UID} {ENGINE_ROOT} {shlex.join(baked.argv())}
LimitNOFILE={FILES}
[Install]
WantedBy=multi-user.target
"""
    asker = f"""[Unit]
Description=What the density bench asks the guest
[Service]
ExecStart={TOOLS}/probe {baked.program}
[Install]
WantedBy=multi-user.target
"""
    network = "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n"
    units = "/etc/systemd/system"
    return {
        "/etc/systemd/network/10-density.network": network.encode(),
        "/etc/cloud/cloud.cfg.d/90-density.cfg": b"datasource_list: [NoCloud]\nnetwork: {config: disabled}\n",
        "/var/lib/cloud/seed/nocloud/meta-data": b"instance-id: density\nlocal-hostname: database\n",
        "/var/lib/cloud/seed/nocloud/user-data": b"#cloud-config\nssh_genkeytypes: [ed25519]\n",
        # an image that was booted before, as clouds have it: no first-boot rebuilding of caches
        "/etc/.updated": b"",
        "/var/.updated": b"",
        "/etc/fstab": b"/dev/vda / ext4 defaults 0 1\n",
        f"{units}/database.service": unit.encode(),
        f"{units}/density-probe.service": asker.encode(),
        f"{TOOLS}/probe": probe("/usr/bin/busybox"),
    }


def probe(shell: str) -> bytes:
    """A program for the guest: for each line from the host, tell /proc/meminfo and the engine's smaps_rollup.

    Its argument is the engine's program; processes are found by their executable's name.
    """
    return f"""#{"!"}{shell} sh
for entry in /sys/class/virtio-ports/*; do
    read -r name < "$entry/name" && [ "$name" = {PORT} ] && port=/dev/${{entry##*/}}
done
exec 3<> "$port"
tell() {{
    while read -r line; do echo "$line"; done < /proc/meminfo
    for one in /proc/[0-9]*; do
        case "$(readlink "$one/exe" 2> /dev/null)" in
            */"${{1##*/}}") while read -r line; do echo "$line"; done < "$one/smaps_rollup" ;;
        esac
    done
    echo '{END}'
}}
# a port whose other end is closed reads as ended
while :; do
    while read -r _ <&3; do tell "$1" >&3; done
    {shell} sleep 2
done
""".encode()


def _exports(baked: Baked) -> str:
    return "\n".join(f"export '{e}'" for e in baked.environment)


def _plain(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
