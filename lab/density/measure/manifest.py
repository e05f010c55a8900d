"""What a run was made with: enough to judge its figures, and to repeat it."""

from __future__ import annotations

import json
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.build.qemu import PROGRAM
from lab.core import process
from lab.core.errors import BadValue
from lab.core.run_manifest import FILE, read
from lab.core.state import write_atomically
from lab.core.version import commit
from lab.density import protocol
from lab.density.arm_names import TROVE
from lab.density.bake import Baked
from lab.density.dockers import Dockers
from lab.density.host import cgroup, procfs, surroundings
from lab.density.measure.profile import Spec
from lab.density.vm.machine import CLONE, LEAN, NAIVE, Machines

if TYPE_CHECKING:
    from lab.density.clouds import Cloud

TOOLS = {PROGRAM: "--version", "pgbench": "--version", "sysbench": "--version"}


def make(
    spec: Spec,
    dockers: Dockers,
    machines: Machines | None,
    baked: list[Baked],
    command: str,
    cloud: Cloud | None = None,
) -> dict[str, Any]:
    """The manifest as plain values."""
    return {
        "version": 1,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "spec": spec.as_dict(),
        "commit": commit(),
        "protocol": protocol.DIGEST,
        "host": {
            "kernel": platform.release(),
            "machine": platform.machine(),
            "processors": surroundings.processors(),
            "processor": _cpuinfo("model name"),
            "hypervisor": "hypervisor" in _cpuinfo("flags").split(),
            "memory": procfs.meminfo()["MemTotal"],
            "swap": procfs.meminfo().get("SwapTotal", 0),
            "cgroup": cgroup.version(),
            "thp": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
            "ksm": _read("/sys/kernel/mm/ksm/run"),
            "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "psi": procfs.pressure_full() is not None,
        },
        "docker": {
            key: dockers.info.get(key)
            for key in ("ServerVersion", "Driver", "CgroupDriver", "CgroupVersion", "DefaultRuntime")
        },
        "accelerator": {
            "name": machines.accelerator,
            "why": machines.why,
            "cache_mib": {k.name: k.cache for k in (NAIVE, LEAN, CLONE)} if machines.emulated else None,
        }
        if machines
        else None,
        "machines": {
            k.name: {"memory_mib": k.memory, "cpus": k.cpus, "machine": k.machine, "ram": k.ram}
            for k in (NAIVE, LEAN, CLONE)
        },
        "labs": {arm: cloud.as_dict(arm) for arm in spec.arms if arm in TROVE} if cloud else {},
        "guest_kernel": machines.kit.release if machines else None,
        "engines": {
            b.engine.name: {"image": b.engine.image, "tag": b.tag, "hashes": b.hashes, "config": b.engine.config}
            for b in baked
        },
        "tools": {tool: _version(tool, flag) for tool, flag in TOOLS.items()},
    }


def settle(folder: Path, fresh: dict[str, Any]) -> bool:
    """Write a new run's manifest; True if the folder holds the same run already. Raises: BadValue, BadFile.

    The same run may come with other arms: they join those that are there.
    """
    path = folder / FILE
    if not path.exists():
        write_atomically(path, json.dumps(fresh, indent=1))
        return False
    old = read(folder)
    new = json.loads(json.dumps(fresh))
    more = [arm for arm in new["spec"]["arms"] if arm not in old["spec"]["arms"]]
    new["spec"]["arms"] = old["spec"]["arms"] + more
    old["spec"]["arms"] = new["spec"]["arms"]
    # only where machines are among the arms was the accelerator looked at
    new["accelerator"] = new["accelerator"] or old["accelerator"]
    old["accelerator"] = old["accelerator"] or new["accelerator"]
    for part in ("spec", "engines", "accelerator", "protocol"):
        if new[part] != old.get(part):
            raise BadValue("out", str(folder), f"a new folder: this one holds a run with another {part}", "--out")
    if more:
        old["labs"] = {**old.get("labs", {}), **new.get("labs", {})}
        old["guest_kernel"] = old.get("guest_kernel") or new.get("guest_kernel")
        old["command"] += "\n" + new["command"]
        write_atomically(path, json.dumps(old, indent=1))
    return True


def _version(tool: str, flag: str) -> str:
    if not process.have(tool):
        return ""
    return (process.run(tool, flag, check=False).stdout.splitlines() or [""])[0]


def _cpuinfo(field: str) -> str:
    match = re.search(rf"^{field}\s*:\s*(.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return match[1] if match else ""


def _chosen(path: str) -> str:
    match = re.search(r"\[(\w+)\]", _read(path))
    return match[1] if match else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
