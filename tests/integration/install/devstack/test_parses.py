"""Every release's local.conf, judged by that release's own stack.sh, up to and including its distribution check.

Needs DevStack's repository: LAB_DEVSTACK_MIRROR=DIRECTORY (a git directory; the commits that the catalog names).
With LAB_TROVE_MIRROR Trove's plugin settings are loaded too, with LAB_DEVSTACK_RECORD=FILE the results are written.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.config import catalog
from lab.config.rows import FACTS, HYPERVISORS, Distro, Release
from lab.host.git_mirrors import GIT_BASE
from lab.install.devstack import localconf
from lab.install.devstack.localconf import Facts, Spec
from tests.integration.install.devstack import stackhead

pytestmark = pytest.mark.integration
ROWS = catalog.load()
RELEASES = [release for release in ROWS.releases if release.distros]
TROVE = {"trove", "tr-api", "tr-tmgr", "tr-cond"}
REFUSALS = ("FORCE=yes", "Unable to determine DISTRO", "stack.sh wanted: sudo dnf install")
NASTY = {
    "LAB_A": "two words  and 'quotes' \"both\"",
    "LAB_B": "$HOME `id` $(id) \\ \\' !!",
    "LAB_C": "line\n[[local|localrc]]\n[[post-config|/etc/passwd]]\ttab",
    "LAB_D": "#; & | < > ( ) { } * ? ~ é 字 \x7f\x01",
    "LAB_E": "",
}
# stackrc looks for an address on the host's interfaces unless it has one
ADDRESS = {"HOST_IP": "192.0.2.10"}


def _mirror(name: str) -> Path | None:
    path = os.environ.get(name)
    if path and subprocess.run(["git", "-C", path, "rev-parse"], capture_output=True, check=False).returncode:
        pytest.fail(f"{name}={path} is no git directory")
    return Path(path) if path else None


@pytest.fixture(scope="module")
def devstack() -> Path:
    mirror = _mirror("LAB_DEVSTACK_MIRROR")
    if mirror is None:
        pytest.skip("no DevStack at hand: set LAB_DEVSTACK_MIRROR to a git directory of openstack/devstack")
    return mirror


@pytest.fixture(scope="module")
def record() -> Iterator[Callable[[str], None]]:
    """Collects table rows; writes them where LAB_DEVSTACK_RECORD says, if all releases passed."""
    rows: list[str] = []
    yield rows.append
    if (path := os.environ.get("LAB_DEVSTACK_RECORD")) and len(rows) == len(RELEASES):
        text = Path(path).read_text()
        head, mark, _ = text.partition("<!-- results -->\n")
        Path(path).write_text(head + mark + "\n".join(rows) + "\n")


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder that an ordinary user may enter (pytest's own is closed to others)."""
    path = Path(tempfile.mkdtemp(prefix="trove-lab-parses-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.name)
def test_stack_sh_reads_it_as_the_catalog_says(
    release: Release, devstack: Path, work: Path, record: Callable[[str], None]
) -> None:
    tree, trove = work / "devstack", work / "trove"
    commit = _commit(devstack, release.devstack.ref, release.devstack.commit, release.name)
    stackhead.archive(devstack, commit, tree)
    stackhead.cut(tree)
    if mirror := _mirror("LAB_TROVE_MIRROR"):
        stackhead.archive(mirror, _commit(mirror, release.trove.ref, release.trove.commit, release.name), trove)
    run = functools.partial(_run, release, tree, trove)
    for distro in ROWS.distros:
        seen = run(distro)
        assert seen.accepted == (distro.name in release.distros), f"{distro.name}: {seen.output[-2000:]}"
        if not seen.accepted:
            assert any(reason in seen.output for reason in REFUSALS), f"{distro.name}: {seen.output[-2000:]}"
    for hypervisor in HYPERVISORS:
        if hypervisor != "docker" or release.nova_docker.how != "none":
            assert run(ROWS.distro(release.distros[0]), hypervisor).accepted
    bare = Facts(volumes=False, openvswitch=False, nofile=False, ksm=False)
    for driven in (False, True):
        assert run(ROWS.distro(release.distros[0]), facts=bare, driven=driven).accepted
    record(
        f"| {release.name} | {release.devstack.ref} | {commit} | {release.trove.ref} | {release.trove.commit} "
        f"| {', '.join(release.distros)} |"
    )


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.name)
def test_every_setting_is_read_by_something(release: Release, devstack: Path) -> None:
    """No name is set that neither DevStack nor Trove's plugin of that release mentions."""
    sources = [(devstack, release.devstack.commit, ".")]
    if mirror := _mirror("LAB_TROVE_MIRROR"):
        sources.append((mirror, release.trove.commit, "devstack"))
    everything = frozenset({*HYPERVISORS, *FACTS, "el", "python3.9", "centos7"})
    rows = ROWS.rows(ROWS.settings, release.name, everything)
    names = {name for row in rows for name in row.set if not row.file and not row.export} | set(release.branches)
    for name in sorted(names):
        if name.startswith("TROVE") and len(sources) == 1:
            continue
        argvs = [["git", "-C", str(git), "grep", "-qw", name, commit, "--", path] for git, commit, path in sources]
        assert any(subprocess.run(argv, check=False).returncode == 0 for argv in argvs), f"nothing reads {name}"


def _commit(mirror: Path, ref: str, commit: str, name: str) -> str:
    """The catalog's commit, which the ref must still lead to (a tag: exactly; a branch: at it or after it)."""
    for candidate in (ref, f"origin/{ref}"):
        argv = ["git", "-C", str(mirror), "rev-parse", "-q", "--verify", f"{candidate}^{{commit}}"]
        found = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
        if found:
            break
    else:
        pytest.fail(f"{name}: {mirror} has no ref {ref}")
    if ref.endswith("-eol") or ref == commit:
        assert found == commit
    else:
        subprocess.run(["git", "-C", mirror, "merge-base", "--is-ancestor", commit, found], check=True)
    return commit


def _run(
    release: Release,
    tree: Path,
    trove: Path,
    distro: Distro,
    hypervisor: str = "qemu",
    facts: Facts | None = None,
    driven: bool = False,
) -> stackhead.Seen:
    """Run the head of stack.sh; if it accepted the distribution, compare all that it read."""
    own = {} if release.network == "nova-network" else ADDRESS
    spec = Spec(
        release,
        distro,
        "Secret1",
        "Token2",
        hypervisor,
        facts=facts or Facts(),
        settings=NASTY | own,
        driven=driven,
    )
    settings = {
        name: value.format(service_token="Token2")
        for row in ROWS.rows(ROWS.settings, release.name, spec.words)
        for name, value in row.set.items()
        if not row.file
    }
    passwords = {f"{name}_PASSWORD": "Secret1" for name in ("ADMIN", "DATABASE", "RABBIT", "SERVICE")}
    # what DevStack itself derives further is not compared as written
    derived = {"IMAGE_URLS", "DOWNLOAD_DEFAULT_IMAGES", "ULIMIT_NOFILE", "PYTHON3_VERSION"}
    wanted = {**release.branches, **settings, **passwords, **spec.settings}
    wanted = {name: value for name, value in wanted.items() if name not in derived}
    seen = stackhead.run(tree, distro, localconf.render(spec), list(wanted), trove)
    if not seen.accepted:
        return seen
    got = seen.variables
    assert got["DISTRO"] == distro.token
    assert {name: got[name] for name in wanted} == wanted
    in_tree = release.trove.how == "in-tree"
    services = {name for row in ROWS.rows(ROWS.services, release.name, spec.words) for name in row.names}
    loaded = trove.is_dir()
    assert set(got["ENABLED_SERVICES"].split(",")) == services | (TROVE if in_tree or loaded else set())
    plugins = {row.name for row in ROWS.rows(ROWS.plugins, release.name, spec.words)}
    plugins |= set() if in_tree else {"trove"}
    assert set(got["DEVSTACK_PLUGINS"].strip(",").split(",")) - {""} == plugins
    if not in_tree:
        assert got["repo:trove"] == f"{GIT_BASE}/openstack/trove"
        assert got["branch:trove"] == release.trove.ref
    if shutil.which("gawk"):
        for file in ("trove.conf", "trove-guestagent.conf"):
            options = {
                f"{name} = {value}"
                for row in ROWS.rows(ROWS.settings, release.name, spec.words)
                for name, value in row.set.items()
                if row.file == f"/etc/trove/{file}"
            }
            assert _options(got.get(f"file:etc-trove/{file}", "")) == options
    return seen


def _options(text: str) -> set[str]:
    """``section.option = value`` of an ini file."""
    section, found = "", set()
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            found.add(f"{section}.{line}")
    return found
