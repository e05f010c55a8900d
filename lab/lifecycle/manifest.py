"""A run's manifest: what was asked, what it was made of, how long it took; enough to repeat it and to see drift."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.config import settings
from lab.config.settings import LabSpec
from lab.core import version
from lab.core.errors import BadFile
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.state import write_atomically

VERSION = 1


def write(home: Home, spec: LabSpec, made_of: Mapping[str, str], remote: Remote) -> Path:
    """Write ``.lab/NAME/manifest.json``.

    ``made_of`` maps an artefact (``machine image``, ``guest image`` …) to its digest; the machine's package versions
    are asked from it.
    """
    rows = remote.run("dpkg-query", "-W", "-f", "${Package} ${Version}\\n").stdout.splitlines()
    data = {
        "version": VERSION,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "lab_commit": version.commit(),
        "host": {"system": platform.platform(), "processors": _processors(), "python": platform.python_version()},
        "spec": settings.to_dict(spec),
        "artefacts": dict(made_of),
        "packages": dict(row.split(" ", 1) for row in rows if " " in row),
        "seconds": {name: step["seconds"] for name, step in home.state.steps.items() if step["status"] == "done"},
        "stack.sh": dict(home.state.get("stack.phases", [])),
    }
    path = home.path / "manifest.json"
    write_atomically(path, json.dumps(data, indent=1, sort_keys=True))
    return path


def read(path: Path) -> dict[str, Any]:
    """A manifest. Raises: BadFile."""
    remedy = "Give the manifest.json that an earlier ./inv up left in .lab/NAME/."
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(path, str(error), remedy) from error
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("spec"), dict):
        raise BadFile(path, "it is no manifest of this version of the lab", remedy)
    return data


def spec_of(manifest: Mapping[str, Any]) -> LabSpec:
    """The spec to repeat. Raises: UnknownSetting, BadValue."""
    return settings.from_dict(manifest["spec"], "the manifest")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Where a repeated run is not the same: one line an artefact or package."""
    lines = []
    for part in ("artefacts", "packages"):
        before, after = old.get(part, {}), new.get(part, {})
        lines += [
            f"{key}: {before.get(key, 'absent')} → {after.get(key, 'absent')}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
    return lines


def _processors() -> int:
    import psutil

    return psutil.cpu_count() or 0
