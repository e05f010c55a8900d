"""What this host offers: inventories from the Docker daemon's own answers."""

import shutil

import os_resource_classes as orc
from nova.objects import fields
from nova.virt.docker.conf import CONF
from oslo_privsep import capabilities as caps
from oslo_serialization import jsonutils
from oslo_utils import units


def capabilities(status="/proc/1/status"):
    """All capabilities that the host's own init may have: Docker 20.10 cannot start a container that wants more.

    Those after CAP_AUDIT_READ, whose names that Docker does not know, are each a part of CAP_SYS_ADMIN.
    """
    with open(status) as lines:
        bounding = next(int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:"))
    known = sorted((bit, name) for bit, name in caps.CAPS_BYVALUE.items() if bit <= caps.CAP_AUDIT_READ)
    return [name.removeprefix("CAP_") for bit, name in known if bounding >> bit & 1]


def counts_projects(folder, mounts="/proc/self/mounts"):
    """Whether the file system that ``folder`` lies on counts by project, as XFS does with the mount option pquota."""
    with open(mounts) as lines:
        known = {point: options.split(",") for _, point, _, options, *_ in (line.split() for line in lines)}
    over = max((point for point in known if f"{folder}/".startswith(f"{point.rstrip('/')}/")), key=len, default="/")
    return bool({"prjquota", "pquota"} & set(known.get(over, ())))


def maps_users(info):
    """Whether the daemon gives containers users of their own (userns-remap). ``info`` is the daemon's."""
    return any(option.startswith("name=userns") for option in info.get("SecurityOptions") or [])


def version(text):
    """``26.1.5+dfsg1`` as Nova's integer: 26001005."""
    numbers = [int("".join(filter(str.isdigit, part)) or 0) for part in text.split("+")[0].split("-")[0].split(".")]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major * 1000000 + minor * 1000 + patch


def resources(info, containers):
    """Nova's resource dict. ``info`` is the daemon's, ``containers`` the driver's own, as inspected."""
    disk = shutil.disk_usage(CONF.instances_path)
    running = [c for c in containers if c["State"]["Running"]]
    return {
        "vcpus": info["NCPU"],
        "vcpus_used": round(sum(c["HostConfig"]["NanoCpus"] for c in running) / 10**9),
        "memory_mb": info["MemTotal"] // units.Mi,
        "memory_mb_used": CONF.reserved_host_memory_mb + sum(c["HostConfig"]["Memory"] for c in running) // units.Mi,
        "local_gb": disk.total // units.Gi,
        "local_gb_used": disk.used // units.Gi,
        "disk_available_least": disk.free // units.Gi,
        "hypervisor_type": fields.HVType.DOCKER,
        "hypervisor_version": version(info["ServerVersion"]),
        "hypervisor_hostname": CONF.host,
        "cpu_info": jsonutils.dumps({"arch": info["Architecture"], "topology": {"cores": info["NCPU"]}}),
        "supported_instances": [
            (fields.Architecture.canonicalize(info["Architecture"]), fields.HVType.DOCKER, fields.VMMode.EXE)
        ],
        "numa_topology": None,
    }


def inventory(available, ratios, reserved_disk_gb):
    """Placement's inventory of VCPU, MEMORY_MB and DISK_GB."""
    kinds = (
        (orc.VCPU, available["vcpus"], CONF.reserved_host_cpus),
        (orc.MEMORY_MB, available["memory_mb"], CONF.reserved_host_memory_mb),
        (orc.DISK_GB, available["local_gb"], reserved_disk_gb),
    )
    return {
        kind: {
            "total": total,
            "min_unit": 1,
            "max_unit": total,
            "step_size": 1,
            "allocation_ratio": ratios[kind],
            "reserved": reserved,
        }
        for kind, total, reserved in kinds
    }
