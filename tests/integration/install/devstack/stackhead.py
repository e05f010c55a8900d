"""Runs the head of a real stack.sh, through its distribution check and stackrc, and tells what it saw.

Nothing of DevStack is changed but two things: what follows is cut off, and /etc/os-release is read from
a folder of ours, so that one host can pass for any distribution. It runs as an ordinary user with a sudo that
refuses, so it can install nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.config.rows import Distro

NOBODY = 65534
# As the distributions themselves say: lsb_release -i, -r, -c (absent from EL 9 and later), and os-release
LSB = {"ubuntu": "Ubuntu", "debian": "Debian"}
OS_NAMES = {"centos": "CentOS Stream", "rocky": "Rocky Linux"}
SOURCED = "\nsource $TOP_DIR/stackrc\n"
CHECK = re.compile(r"^if \[\[ ! \$\{DISTRO\} =~ .*?^fi$", re.MULTILINE | re.DOTALL)
TAIL = r"""
set +o xtrace
GITDIR[trove]=$LAB_TROVE
[[ -r $TOP_DIR/extras.d/70-trove.sh ]] && source $TOP_DIR/extras.d/70-trove.sh source
declare -F load_plugin_settings >/dev/null && load_plugin_settings
for file in $(get_meta_section_files $TOP_DIR/local.conf post-config); do
    mkdir -p $(dirname $(eval "echo $file")) && touch $(eval "echo $file")
done
if [[ -n $LAB_GAWK ]]; then
    CONFIG_AWK_CMD=$LAB_GAWK
    merge_config_group $TOP_DIR/local.conf post-config
fi
{
    for name in DISTRO ENABLED_SERVICES DEVSTACK_PLUGINS GIT_BASE $LAB_NAMES; do
        printf '%s=%s\0' "$name" "${!name}"
    done
    for name in "${!GITREPO[@]}"; do
        printf 'repo:%s=%s\0branch:%s=%s\0' "$name" "${GITREPO[$name]}" "$name" "${GITBRANCH[$name]}"
    done
} >"$LAB_DUMP"
exit 0
"""


@dataclass(frozen=True)
class Seen:
    """Whether stack.sh went past its distribution check, its variables after that, and what it printed."""

    accepted: bool
    variables: dict[str, str]
    output: str


def archive(mirror: Path, commit: str, into: Path) -> None:
    """Unpack a commit's tree."""
    into.mkdir(parents=True)
    tar = subprocess.run(["git", "-C", mirror, "archive", commit], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", into], input=tar, check=True)


def cut(tree: Path) -> None:
    """Make the tree's stack.sh end behind its distribution check and stackrc (juno has them the other way round)."""
    script = tree / "stack.sh"
    text = script.read_text()
    check = CHECK.search(text)
    assert check, "stack.sh has no distribution check as known"
    script.write_text(text[: max(check.end(), text.index(SOURCED) + len(SOURCED))] + TAIL)
    common = tree / "functions-common"
    common.write_text(common.read_text().replace("/etc/os-release", "$LAB_ETC/os-release"))


def run(tree: Path, distro: Distro, local_conf: str, names: list[str], trove: Path) -> Seen:
    """Run the head as on ``distro``; ``names`` are the variables to report."""
    work = tree.parent / f"{tree.name}-{distro.name}"
    stubs, etc, dump = work / "bin", work / "etc", work / "dump"
    for folder in (stubs, etc):
        folder.mkdir(parents=True, exist_ok=True)
    _pose_as(distro, stubs, etc)
    conf = local_conf.replace("/etc/trove/", f"{work}/etc-trove/")
    for path, text in ((tree / "local.conf", conf), (dump, "")):
        path.write_text(text)
    for path in (tree, work, *work.iterdir()):
        path.chmod(0o777)
    as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_user, "bash", tree / "stack.sh"],
        cwd=tree,
        env={
            "PATH": f"{stubs}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(work),
            "LAB_ETC": str(etc),
            "LAB_DUMP": str(dump),
            "LAB_TROVE": str(trove),
            "LAB_NAMES": " ".join(names),
            # merge_config_file is not for mawk; stack.sh installs gawk before it gets there
            "LAB_GAWK": shutil.which("gawk") or "",
        },
        capture_output=True,
        errors="replace",
        text=True,
        timeout=120,
        check=False,
    )
    entries = [e.partition("=") for e in dump.read_text(errors="surrogateescape").split("\0") if e]
    variables = {name: value for name, _, value in entries}
    files = {f"file:{p.relative_to(work)}": p.read_text() for p in (work / "etc-trove").glob("*")}
    return Seen(done.returncode == 0 and bool(variables), variables | files, done.stdout + done.stderr)


def _pose_as(distro: Distro, stubs: Path, etc: Path) -> None:
    kind = "rocky" if distro.name.startswith("rocky") else "centos"
    version = f"{distro.version} ({distro.codename})" if kind == "rocky" else distro.version
    if distro.family == "el" and distro.version != "7":
        lsb = "exit 127"
        os_release = f'ID={kind}\nNAME="{OS_NAMES[kind]}"\nVERSION="{version}"\nVERSION_ID="{distro.version}"\n'
    else:
        vendor, release = LSB.get(distro.family, "CentOS"), "7.9.2009" if distro.family == "el" else distro.version
        lsb = f"case $1 in -i) echo {vendor};; -r) echo {release};; -c) echo {distro.codename};; esac"
        os_release = f'ID={vendor.lower()}\nNAME="{vendor}"\nVERSION="{version}"\nVERSION_ID="{distro.version}"\n'
    (etc / "os-release").write_text(os_release)
    refuse = 'echo "stack.sh wanted: ${0##*/} $*" >&2; exit 97'
    scripts = dict.fromkeys(("sudo", "apt-get", "dnf", "yum", "zypper"), refuse)
    for name, body in {**scripts, "lsb_release": lsb, "rpm": "exit 1", "sleep": "exit 0"}.items():
        (stubs / name).write_text(f"#!/bin/bash\n{body}\n")
        (stubs / name).chmod(0o755)
