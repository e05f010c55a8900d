"""One bundle of what every part said, with the lab's secrets masked: for a bug report or for one's own reading."""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from openstack.exceptions import SDKException

from lab.cloud import access, guest_shell
from lab.core.errors import LabError
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.units import MIB
from lab.lifecycle import labs

Add = Callable[[str, str], None]

PER_FILE = 4 * MIB
"""Bytes kept of each file, from its end."""

# what is asked on the machine: file name in the bundle, and the command; a failing command is itself a finding
QUESTIONS: dict[str, list[str]] = {
    "units.txt": ["systemctl", "list-units", "--all", "--no-pager", "--plain"],
    "failed.txt": ["systemctl", "--failed", "--no-pager", "--plain"],
    "journal.txt": ["journalctl", "--no-pager", "-o", "short-iso", "-n", "20000"],
    "addresses.txt": ["ip", "address"],
    "routes.txt": ["ip", "route"],
    "listeners.txt": ["ss", "-tlnp"],
    "openvswitch.txt": ["ovs-vsctl", "show"],
    "memory.txt": ["free", "-m"],
    "disk.txt": ["df", "-h"],
    "processes.txt": ["ps", "axo", "pid,ppid,rss,etime,args"],
    "packages.txt": ["dpkg-query", "-W"],
}
GUEST_QUESTIONS: dict[str, list[str]] = {
    "agent.txt": ["journalctl", "--no-pager", "-u", "trove-guestagent", "-n", "5000"],
    "journal.txt": ["journalctl", "--no-pager", "-b", "-n", "5000"],
    "containers.txt": ["docker", "ps", "-a"],
    "disk.txt": ["df", "-h"],
}
LOOKS_SECRET = re.compile(
    r"""((?:password|passwd|token|secret|encr_key|identified\s+by)['"]?\s*[:=,]?\s*['"]?)([^\s'",;}\]]{6,})""",
    re.IGNORECASE,
)
"""Secrets that are not the lab's own: Trove's guest agent logs the passwords that it makes (trove 23, docker.py)."""
KINDS = (
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)([^\s/@'\"]+)(?=@)", re.IGNORECASE),
    re.compile(r"(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)([\w.~+/=-]{6,})", re.IGNORECASE),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)((?:(?!-----END).)*)", re.DOTALL),
    re.compile(r"()(\beyJ[\w-]+\.[\w-]+\.[\w-]+|\bgAAAAA[\w-]{40,}=*)"),
)
"""Those that no word tells: of a URL, a header, a private key (to its end or the text's), a JWT or Fernet token."""
GATHER = r"""
cd /
find var/log/keystone var/log/glance var/log/placement var/log/nova var/log/neutron var/log/trove \
     var/log/ovn var/log/openvswitch var/log/libvirt var/log/rabbitmq var/log/apache2 \
     -type f -size +0 2>/dev/null || true
"""


def of_lab(name: str, target: Path | None) -> tuple[Path, list[str]]:
    """The bundle of lab ``name``, as ``bundle`` gives it; works without a machine too. Raises: NoSuchLab."""
    home = labs.home_of(name)
    remote = None
    if home.state.get("spec") and labs.machine_of(home).status() == "running":
        remote = Remote(labs.machine_of(home).address())
    return bundle(home, remote if remote and remote.answers() else None, target)


def bundle(home: Home, remote: Remote | None, target: Path | None = None) -> tuple[Path, list[str]]:
    """Write ``trove-lab-NAME-TIME.tar.gz`` (mode 0600) and return its path and what could not be had.

    ``remote`` is None when the machine does not answer: then the bundle holds this host's side alone.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = target or Path.cwd() / f"trove-lab-{home.name}-{stamp}.tar.gz"
    missing: list[str] = []
    path.touch(mode=0o600)
    path.chmod(0o600)
    with tarfile.open(path, "w:gz") as tar:

        def add(name: str, text: str) -> None:
            kept = text[-PER_FILE:]
            if len(kept) == PER_FILE:  # its first line may be the end of a secret, which nobody would know
                kept = kept.partition("\n")[2]
            data = masked(home.secrets.redact(kept)).encode()
            info = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))

        for file in _own_files(home):
            add(f"host/{file.relative_to(home.path)}", file.read_text(errors="replace"))
        if remote is None:
            missing.append("the machine does not answer: only this host's side is in the bundle")
        else:
            missing += _from_machine(remote, add)
            missing += _from_guests(home, remote, add)
        add("missing.txt", "\n".join(missing) + "\n")
    return path, missing


def masked(text: str) -> str:
    """``text`` without what follows a word for a secret, or looks like one by its kind."""
    for kind in (*KINDS, LOOKS_SECRET):
        text = kind.sub(r"\1********", text)
    return text


def _own_files(home: Home) -> list[Path]:
    logs = sorted(path for path in (home.path / "logs").glob("*") if path.is_file())
    return [f for f in (home.path / "state.json", home.path / "manifest.json", *logs) if f.exists()]


def _from_machine(remote: Remote, add: Add) -> list[str]:
    missing = []
    for name, command in QUESTIONS.items():
        try:
            add(f"machine/{name}", remote.run(*command, check=False, timeout=60).stdout)
        except LabError as error:
            missing.append(f"{name}: {error.cause}")
    try:
        files = remote.script(GATHER, check=False, timeout=60).stdout.split()
    except LabError as error:
        return [*missing, f"the list of logs: {error.cause}"]
    for file in files:
        try:
            add(f"machine/{file}", remote.run("tail", "-c", str(PER_FILE), f"/{file}", timeout=60).stdout)
        except LabError as error:
            missing.append(f"{file}: {error.cause}")
    return missing


def _from_guests(home: Home, remote: Remote, add: Add) -> list[str]:
    """The guest agents' own words, over SSH through the machine; host keys are read from the consoles."""
    missing = []
    try:
        admin = access.connect(home.clouds_yaml, "admin")
        for server in admin.compute.servers(all_projects=True):
            try:
                said = guest_shell.console(admin, server)
                add(f"guest/{server.name}/console.log", said)
                if (address := guest_shell.address(server)) is None:
                    continue
                with contextlib.closing(guest_shell.shell(home, remote, address, said)) as guest:
                    for name, command in GUEST_QUESTIONS.items():
                        add(f"guest/{server.name}/{name}", guest.run(*command, check=False, timeout=60).stdout)
            except (LabError, SDKException, OSError) as error:
                missing.append(f"guest {server.name}: {error}")
    except (LabError, SDKException, OSError) as error:
        missing.append(f"guests: {error}")
    return missing
