"""Seconds of ``up --installer=devstack`` on the baked image, against a bare stack.sh in a machine of the same image.

Run as ``python -m benchmarks.stack [FLAGS]`` (``--release=2026.1 --mirror=DIR``, say) from the checkout; it makes and
destroys a lab named ``bench``. Images are built before the clock starts. Both get the same local.conf and begin on a
fresh machine; bare means: no unit, no guest, nobody who follows.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from time import monotonic

from benchmarks.up import NAME, ROOT, inv, shown, up
from lab import doctor
from lab.config import plan, settings
from lab.config.settings import LabSpec
from lab.core import steps
from lab.core.home import Home
from lab.core.progress import People
from lab.lifecycle import assembly
from lab.lifecycle.lab import Lab

IMAGES = ("machine-image", "guest-image", "smoke-image")
LIMIT_SECONDS = 3600


def lab_of(spec: LabSpec, wanted: tuple[str, ...]) -> Lab:
    """The lab ``bench``, after the steps ``wanted``."""
    home = Home(NAME)
    home.make()
    lab, progress = Lab(home, spec), People()
    steps.run([step for step in assembly.steps(lab) if step.name in wanted], home.state, progress, "the same command")
    progress.close()
    return lab


def bare(spec: LabSpec) -> float:
    """Seconds of stack.sh as its user types it."""
    lab = lab_of(spec, (*IMAGES, "machine", "prepare"))
    lab.remote.run("/usr/local/sbin/lab-stack-before")
    words = ("runuser", "-u", "stack", "--", "env", "TERM=dumb", "LANG=en_US.UTF-8", "/opt/stack/devstack/stack.sh")
    began = monotonic()
    lab.remote.run(
        "sh", "-c", 'cd /opt/stack/devstack && exec "$@" >/dev/null 2>&1', "stack", *words, timeout=LIMIT_SECONDS
    )
    return monotonic() - began


def main() -> None:
    """Print the table as JSON."""
    flags = ["--installer=devstack", "--no-database", "--no-warm", *sys.argv[1:]]
    given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
    merged = settings.load({**given, "name": NAME, "installer": "devstack", "warm": False}, ROOT)
    spec = plan.decide(merged.spec, merged.origins, doctor.facts(merged.spec.install)).spec
    inv("destroy", f"--name={NAME}", "--keep-cache")
    lab_of(spec, IMAGES)
    sys.argv[1:] = flags
    _, cloud, events = up()
    inv("destroy", f"--name={NAME}", "--keep-cache")
    alone = bare(spec)
    inv("destroy", f"--name={NAME}", "--keep-cache")
    took = {e["step"]: e["seconds"] for e in events if e["event"] == "finished"}
    rows = {
        "flags": shown(flags),
        "machine": f"{os.cpu_count()} processors, {platform.platform()}",
        "lab, to fresh heartbeats": cloud,
        "lab, its steps": took,
        "bare stack.sh": alone,
        "lab's own time around stack.sh, of stack.sh's": (cloud - took["stack"]) / took["stack"],
    }
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
