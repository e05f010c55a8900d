"""Where this host's pip takes packages from, for the pip of a machine: pip itself is asked."""

from __future__ import annotations

import re
import sys

from lab import process

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_OPTION = re.compile(r"^(?:global|install|:env:)\.(?P<name>index-url|extra-index-url|trusted-host)='(?P<value>.*)'$")


def configuration() -> str:
    """The text of a pip.conf: this host's indexes, and the machine's own certificate authorities."""
    listed = process.run(sys.executable, "-m", "pip", "config", "list", check=False).stdout
    return render(listed)


def render(listed: str) -> str:
    """pip.conf from the output of ``pip config list``; places that only this host has are left out."""
    lines = ["[global]", f"cert = {CERTIFICATES}"]
    for line in listed.splitlines():
        if found := _OPTION.match(line):
            usable = [word for word in found["value"].replace("\\n", " ").split() if not word.startswith("file:")]
            if usable:
                lines.append(f"{found['name']} = {' '.join(usable)}")
    return "\n".join(lines) + "\n"
