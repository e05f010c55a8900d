"""Where the pip of a machine takes packages from: where this host's pip does, which is asked; or a folder."""

from __future__ import annotations

import re
import sys
from urllib.parse import urlsplit

import requests

from lab.core import process

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PYPI = "https://pypi.org/simple/"
_OPTION = re.compile(r"^(?:global|install|:env:)\.(?P<name>index-url|extra-index-url|trusted-host)='(?P<value>.*)'$")


def configuration() -> str:
    """The text of a pip.conf: this host's indexes, and the machine's own certificate authorities."""
    return render(_listed())


def environment() -> dict[str, str]:
    """The same as environment variables that pip reads."""
    return {f"PIP_{name.replace('-', '_').upper()}": value for name, value in _options(_listed()).items()}


def offline(folder: str) -> str:
    """The text of a pip.conf that takes the wheels of a folder and asks nobody."""
    return f"[global]\nno-index = true\nfind-links = {folder}\n"


def unreachable(seconds: float = 5.0) -> str:
    """Why the first index does not answer (an answer of any kind is one), or an empty string."""
    found = re.search(r"^(?:extra-)?index-url = (\S+)", configuration(), re.MULTILINE)
    url = found[1] if found else PYPI
    try:
        requests.head(url, timeout=seconds)
    except requests.exceptions.SSLError:
        return ""  # pip may have authorities that we have not
    except requests.exceptions.RequestException as error:
        return f"{urlsplit(url).hostname} does not answer ({type(error).__name__})"
    return ""


def render(listed: str) -> str:
    """pip.conf from the output of ``pip config list``; places that only this host has are left out."""
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in _options(listed).items())


def _listed() -> str:
    return process.run(sys.executable, "-m", "pip", "config", "list", check=False).stdout


def _options(listed: str) -> dict[str, str]:
    """Option to value; where pip names one twice, the later counts, as it does for pip."""
    options = {"cert": CERTIFICATES}
    for line in listed.splitlines():
        if found := _OPTION.match(line):
            usable = [word for word in found["value"].replace("\\n", " ").split() if not word.startswith("file:")]
            if usable:
                options[found["name"]] = " ".join(usable)
    return options
