"""Which kernel parts are there, without loading any: from the kernel's own lists."""

from __future__ import annotations

import gzip
import platform
from pathlib import Path

from lab.host.kernel import read

WANTED = ("openvswitch", "geneve")
ABSENT = "absent"


def find(root: Path = Path("/"), release: str = "") -> dict[str, str]:
    """Per wanted part: ``loaded``, ``built in``, ``loadable`` or ``absent``. ``root`` is another tree in tests."""
    release = release or platform.release()
    folder = root / "lib/modules" / release
    texts = {
        "loaded": read(root / "proc/modules"),
        "built in": read(folder / "modules.builtin"),
        "loadable": read(folder / "modules.dep"),
    }
    configured = config(root, release)
    return {name: _state(name, texts, configured) for name in WANTED}


def config(root: Path, release: str) -> dict[str, str]:
    """The kernel's build configuration, ``CONFIG_X`` to ``y``, ``m`` or text; empty where it is not told."""
    packed = root / "proc/config.gz"
    text = read(root / "boot" / f"config-{release}")
    if not text and packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def _state(name: str, texts: dict[str, str], configured: dict[str, str]) -> str:
    if any(line.split(" ")[0] == name for line in texts["loaded"].splitlines()):
        return "loaded"
    for state in ("built in", "loadable"):
        files = (line.split(":")[0].rsplit("/", 1)[-1] for line in texts[state].splitlines())
        if any(file.split(".ko")[0].replace("-", "_") == name for file in files):
            return state
    # a kernel without a module tree can only have what it was built with
    return "built in" if configured.get(f"CONFIG_{name.upper()}") == "y" else ABSENT
