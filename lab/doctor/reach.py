"""What of the network this host reaches: names, package mirrors, a git host, a container registry, and its clock."""

from __future__ import annotations

import concurrent.futures
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from lab.doctor.finding import Finding, Status
from lab.host import apt

SECONDS = 3.0
GIT = "https://opendev.org/openstack/trove/info/refs?service=git-upload-pack"
"""What ``git clone`` of Trove asks first."""
REGISTRY = "https://quay.io/v2/"
"""The registry that Trove's own datastore images lie in; 401 there is an answer."""


CLOCK_SECONDS = 60
"""Certificates, tokens and package lists begin to fail when the clock is off by more than minutes."""


@dataclass(frozen=True)
class Answer:
    """One try. ``clock`` is the host's clock minus the server's, in seconds, if the server told its time."""

    url: str
    ok: bool
    detail: str
    clock: float | None = None


def http(url: str, seconds: float = SECONDS) -> Answer:
    """Ask for a page's head; any answer below 500 that is not 404 means that the service is there."""
    host = urlsplit(url).hostname or url
    try:
        response = requests.get(url, timeout=seconds, stream=True, allow_redirects=True)
        response.close()
    except requests.exceptions.SSLError as error:
        return Answer(url, False, f"{host}: its certificate is not trusted here ({_last(error)})")
    except requests.exceptions.Timeout:
        return Answer(url, False, f"{host}: no answer in {seconds:.0f} s")
    except requests.exceptions.RequestException as error:
        return Answer(url, False, f"{host}: {_last(error)}")
    ok = response.status_code < 500 and response.status_code not in (403, 404, 407)
    return Answer(url, ok, f"{host} answers ({response.status_code})", skew(response.headers.get("Date", "")))


def resolves(name: str) -> Answer:
    """Whether the host's resolver knows ``name``."""
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        return Answer(name, False, f"{name}: {error.strerror or error}")
    return Answer(name, True, f"{name} is {found[0][4][0]}")


def skew(date: str) -> float | None:
    """Seconds that our clock is ahead of an HTTP ``Date``; None where that is none."""
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return None


def _last(error: Exception) -> str:
    """The innermost reason of a requests error, without its layers."""
    found = re.search(r"(certificate verify failed[^(]*|\[Errno -?\d+\] [^')\"]*)", str(error))
    return found[1].strip() if found else type(error).__name__


def findings() -> list[Finding]:
    """Names, mirrors, git host, registry and clock, asked at the same time."""
    releases = apt.release_urls()[:4]
    name = urlsplit(releases[0] if releases else GIT).hostname or "localhost"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        names = pool.submit(resolves, name)
        git, registry = pool.submit(http, GIT), pool.submit(http, REGISTRY)
        mirrors = list(pool.map(http, releases))
    found = [_reached("names", "Name resolution", names.result(), "fail", "See /etc/resolv.conf.")]
    if mirrors:
        broken = [m for m in mirrors if not m.ok]
        shown = broken[0] if broken else mirrors[0]
        found.append(_reached("mirrors", "Package mirrors", shown, "fail", "See /etc/apt/sources.list*."))
    else:
        found.append(Finding("mirrors", "Package mirrors", "info", "apt names none over HTTP; Debian's are used"))
    need_git = "Only DevStack needs it."
    found.append(_reached("git", "Git host", git.result(), "info", need_git))
    need_registry = "None is needed: datastore images are built from Debian's packages."
    found.append(_reached("registry", "Container registry", registry.result(), "info", need_registry))
    clocks = [a.clock for a in mirrors if a.clock is not None]
    if clocks:
        off = min(clocks, key=abs)
        status: Status = "ok" if abs(off) < CLOCK_SECONDS else "warn"
        fix = "" if status == "ok" else "Set it: sudo timedatectl set-ntp true"
        found.append(Finding("clock", "Clock", status, f"{abs(off):.0f} s off the mirror's", fix))
    return found


def _reached(name: str, title: str, answer: Answer, otherwise: Status, fix: str) -> Finding:
    return Finding(name, title, "ok" if answer.ok else otherwise, answer.detail, "" if answer.ok else fix)
