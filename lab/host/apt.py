"""What the host's own package manager is configured with: Debian mirrors, proxies, certificate authorities.

apt itself reads its configuration (one-line and deb822, options, disabled entries); we only read what it prints.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.core import process
from lab.host import kernel

CA_DIRECTORY = Path("/usr/local/share/ca-certificates")
_INDEX = re.compile(
    r"^'(?P<uri>[a-z+]+:.*?)/dists/(?P<suite>[^/']+)/(?:updates/)?main/binary-[^/]+/Packages[^']*'", re.MULTILINE
)
_DEBIAN = re.compile(r"(stable|oldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky)(-updates|-security)?")


@dataclass(frozen=True)
class Mirrors:
    """Base URLs of Debian's archive and of its security archive, as the host uses them."""

    archive: str
    security: str | None

    def lines(self, suite: str) -> list[str]:
        """sources.list lines for another Debian suite."""
        lines = [f"deb {self.archive} {suite} main", f"deb {self.archive} {suite}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return lines


def mirrors(options: Sequence[str] = ()) -> Mirrors | None:
    """The Debian mirrors that the host's apt uses; None where it has none (Ubuntu, no apt).

    ``options`` are further words for apt-get (tests point it at another configuration).
    """
    if not process.have("apt-get"):
        return None
    return parse(process.run("apt-get", "update", "--print-uris", *options, check=False).stdout)


def parse(uris: str) -> Mirrors | None:
    """Pick Debian's archives from ``apt-get update --print-uris``.

    Third parties that name their suites after Debian's are told apart by the path, which holds "debian" on every
    mirror of Debian that follows its mirroring guide.
    """
    archive = security = None
    for match in _INDEX.finditer(uris):
        suite = _DEBIAN.fullmatch(match["suite"])
        uri = _resolved(match["uri"])
        if suite is None or uri is None or "debian" not in uri.split("//", 1)[-1].split("/", 1)[-1].lower():
            continue
        if suite[2] == "-security":
            security = security or uri
        elif suite[2] is None:
            archive = archive or uri
    return Mirrors(archive, security) if archive else None


def release_urls(options: Sequence[str] = ()) -> list[str]:
    """The InRelease URLs that apt would fetch over HTTP."""
    if not process.have("apt-get"):
        return []
    listed = process.run("apt-get", "update", "--print-uris", *options, check=False).stdout
    return re.findall(r"^'(https?://[^']+/InRelease)'", listed, re.MULTILINE)


def authorities(directory: Path = CA_DIRECTORY) -> dict[str, bytes]:
    """The host's own certificate authorities by file name: networks that re-sign TLS need them in every machine."""
    return {p.name: p.read_bytes() for p in sorted(directory.glob("*.crt")) if p.is_file()}


def proxies(environ: dict[str, str]) -> dict[str, str]:
    """The proxy variables of an environment."""
    names = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
    return {k: v for k, v in environ.items() if k.lower() in names and v}


def _resolved(uri: str) -> str | None:
    """An address that another system can use: ``mirror+file`` lists are read, local media dropped."""
    if uri.startswith("mirror+file:"):
        listed = kernel.read(Path("/" + uri.removeprefix("mirror+file:").lstrip("/")))
        usable = [line.split()[0] for line in listed.splitlines() if line.startswith("http")]
        return usable[0].rstrip("/") if usable else None
    return uri.rstrip("/") if re.match(r"(mirror\+)?https?:", uri) else None
