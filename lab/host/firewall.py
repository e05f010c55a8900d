"""What a Docker engine leaves in the host's network when it ends: its bridge, its packet filter rules.

Used only after an engine that the lab itself started on a host that had none.
"""

from __future__ import annotations

import re
from pathlib import Path

from lab.core import process
from lab.host import kernel

BRIDGE = "docker0"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_TOOLS = ("iptables", "ip6tables")
_OURS = re.compile(rf"\b(DOCKER[A-Z0-9-]*|{BRIDGE}|br-[0-9a-f]{{12}})\b|--comment .*[Dd]ocker")


def facts() -> dict[str, str]:
    """What an engine changes and nobody changes back: forwarding, and the policies of the chain FORWARD."""
    found = {"ip_forward": kernel.read(FORWARDING).strip()}
    for tool in _TOOLS:
        if (policy := re.search(r"^:FORWARD (\w+)", _saved(tool), re.MULTILINE)) is not None:
            found[tool] = policy[1]
    return found


def restore(before: dict[str, str]) -> None:
    """Take away what the ended engine left, and set back what ``before`` (of ``facts``) says."""
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        process.run(*process.as_root("ip", "link", "delete", BRIDGE), check=False)
    for tool in _TOOLS:
        saved = _saved(tool)
        if _OURS.search(saved):
            process.run(*process.as_root(f"{tool}-restore"), stdin=without_docker(saved, before.get(tool, "")))
    if before.get("ip_forward") == "0":
        process.run(*process.as_root("sysctl", "-q", "-w", "net.ipv4.ip_forward=0"), check=False)


def without_docker(saved: str, policy: str) -> str:
    """An iptables-save text without Docker's chains and rules; ``policy`` is what FORWARD gets back, if it is one."""
    lines = [line for line in saved.splitlines() if line.startswith("#") or not _OURS.search(line)]
    if policy:
        lines = [re.sub(r"^:FORWARD \w+", f":FORWARD {policy}", line) for line in lines]
    return "\n".join(lines) + "\n"


def _saved(tool: str) -> str:
    """The rules as text; empty where the tool or the kernel part is not there."""
    if not process.have(f"{tool}-save"):
        return ""
    return process.run(*process.as_root(f"{tool}-save"), check=False).stdout
