"""Debian mirrors from the host's apt configuration, as apt itself understands it."""

from pathlib import Path

import pytest

from lab.core import process
from lab.host import apt

pytestmark = pytest.mark.skipif(not process.have("apt-get"), reason="the parser is apt's own")

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
TABLE = {
    "debian 12 installer, one line each": (
        {
            "sources.list": "# deb cdrom:[Debian GNU/Linux 12.5.0 _Bookworm_]/ bookworm main\n"
            "deb http://ftp.example.org/debian/ bookworm main non-free-firmware\n"
            "deb-src http://ftp.example.org/debian/ bookworm main\n"
            "deb http://sec.example.org/debian-security bookworm-security main\n"
            "deb http://ftp.example.org/debian/ bookworm-updates main\n"
        },
        ("http://ftp.example.org/debian", "http://sec.example.org/debian-security"),
    ),
    "debian 13 deb822, with a disabled entry first": (
        {
            "sources.list.d/debian.sources": "Types: deb\nURIs: http://off.example.org/debian\nSuites: trixie\n"
            f"Components: main\nEnabled: no\nSigned-By: {KEY}\n\n"
            "Types: deb deb-src\nURIs: http://a.example.org/debian/\n"
            f"Suites: trixie trixie-updates\nComponents: main contrib\nSigned-By: {KEY}\n\n"
            "Types: deb\nURIs: http://a.example.org/debian-security\nSuites: trixie-security\nComponents: main\n"
            f"Signed-By: {KEY}\n"
        },
        ("http://a.example.org/debian", "http://a.example.org/debian-security"),
    ),
    "cloud image with a list of mirrors in a file": (
        {
            "sources.list.d/debian.sources": "Types: deb\nURIs: mirror+file:{etc}/mirrors/debian.list\n"
            "Suites: bookworm\nComponents: main\n",
            "mirrors/debian.list": "https://cdn.example.org/debian\nhttps://other.example.org/debian\n",
        },
        ("https://cdn.example.org/debian", None),
    ),
    "third parties with Debian's suite names": (
        {
            "sources.list": "deb https://apt.vendor.example bookworm main\n"
            "deb https://download.docker.example/linux/debian bookworm stable\n"
            "deb https://apt.pg.example/pub/repos/apt bookworm-pgdg main\n"
        },
        None,
    ),
    "options, a proxying mirror with a port and a path": (
        {"sources.list": "deb [arch=amd64 trusted=yes] http://10.0.0.5:8081/repository/debian-proxy trixie main\n"},
        ("http://10.0.0.5:8081/repository/debian-proxy", None),
    ),
    "ubuntu": (
        {
            "sources.list.d/ubuntu.sources": "Types: deb\nURIs: http://archive.example.org/ubuntu/\n"
            "Suites: noble noble-updates\nComponents: main universe\n"
        },
        None,
    ),
    "local media only": ({"sources.list": "deb [trusted=yes] file:/opt/debian bookworm main\n"}, None),
    "old security layout of Debian 10": (
        {
            "sources.list": "deb http://x.example/debian bullseye main\n"
            "deb http://x.example/debian-security bullseye-security main\n"
            "deb http://x.example/debian bullseye-backports main\n"
        },
        ("http://x.example/debian", "http://x.example/debian-security"),
    ),
    "nothing": ({}, None),
}


def options(etc: Path) -> list[str]:
    for folder in ("lists/partial", "cache", "sources.list.d"):
        (etc / folder).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::Etc={etc}", "-o", f"Dir::State::lists={etc}/lists", "-o", f"Dir::Cache={etc}/cache"]


def write(etc: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{etc}", str(etc)))


@pytest.mark.parametrize("case", TABLE)
def test_mirrors(case: str, tmp_path: Path) -> None:
    files, expected = TABLE[case]
    write(tmp_path, files)
    found = apt.mirrors(options(tmp_path))
    assert (None if found is None else (found.archive, found.security)) == expected


def test_lines_for_another_suite() -> None:
    assert apt.Mirrors("http://a/debian", "http://a/debian-security").lines("trixie") == [
        "deb http://a/debian trixie main",
        "deb http://a/debian trixie-updates main",
        "deb http://a/debian-security trixie-security main",
    ]
    assert len(apt.Mirrors("http://a/debian", None).lines("trixie")) == 2


def test_release_urls_leave_local_media_out(tmp_path: Path) -> None:
    text = "deb http://x.example/debian trixie main\ndeb [trusted=yes] file:/opt/debian trixie main\n"
    write(tmp_path, {"sources.list": text})
    assert apt.release_urls(options(tmp_path)) == ["http://x.example/debian/dists/trixie/InRelease"]


def test_authorities_are_the_hosts_own_certificates_only(tmp_path: Path) -> None:
    (tmp_path / "b.crt").write_bytes(b"B")
    (tmp_path / "a.crt").write_bytes(b"A")
    (tmp_path / "note.txt").write_bytes(b"no")
    assert apt.authorities(tmp_path) == {"a.crt": b"A", "b.crt": b"B"}
    assert apt.authorities(tmp_path / "absent") == {}


def test_proxies_of_either_case() -> None:
    given = {"HTTPS_PROXY": "http://p:1", "no_proxy": "localhost", "http_proxy": "", "PATH": "/bin"}
    assert apt.proxies(given) == {"HTTPS_PROXY": "http://p:1", "no_proxy": "localhost"}
