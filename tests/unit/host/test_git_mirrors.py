"""Folders of git mirrors: only the refs that are wanted, refused with the command that mends them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.config import catalog
from lab.config.settings import LabSpec
from lab.core.errors import BadFile, BadValue, GitUnreachable, MirrorLacks
from lab.core.home import Home
from lab.core.waits import silent
from lab.guest import agent, trove
from lab.host import git_mirrors

RELEASE = catalog.load().release("2026.1")
GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=master")


def git(where: Path, *words: str) -> str:
    return subprocess.run([*GIT, "-C", where, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A git server's folder with every repository that 2026.1 wants: its branch, another one, a tag on each."""
    for row in git_mirrors.wanted(RELEASE):
        repository = tmp_path / "source" / row.repository
        repository.mkdir(parents=True)
        git(repository, "init", "--quiet")
        git(repository, "commit", "--quiet", "--allow-empty", "--message=one")
        git(repository, "tag", "1.0.0", "--annotate", "--message=1")
        git(repository, "branch", row.ref)
        git(repository, "commit", "--quiet", "--allow-empty", "--message=two")
    return tmp_path / "source"


def test_what_a_release_wants() -> None:
    rows = {(row.repository, row.ref) for row in git_mirrors.wanted(RELEASE)}
    assert ("openstack/trove", "stable/2026.1") in rows
    assert ("openstack/requirements", "stable/2026.1") in rows
    assert not [row for row in rows if "horizon" in row[0]]
    kilo = git_mirrors.wanted(catalog.load().release("kilo"))
    assert git_mirrors.Wanted("openstack/devstack", "a631abadde7346b49fab5b2ac16561dff77050d7") in kilo


def test_sync_brings_the_refs_and_their_tags_and_nothing_else(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    for _ in range(2):  # again is harmless
        git_mirrors.sync(folder, ["2026.1"], str(source), silent, tmp_path / "log")
    assert all(len(row["has"]) == 40 for row in git_mirrors.status(folder, RELEASE))
    git_mirrors.check(folder, RELEASE)
    nova = folder / "openstack/nova.git"
    assert git(nova, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/stable/2026.1", "refs/tags/1.0.0"]
    clone = tmp_path / "clone"
    # as DevStack's git_clone does it
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", f"{folder}/openstack/nova", clone], check=True)
    git(clone, "fetch", "--quiet", "origin", "stable/2026.1")
    git(clone, "checkout", "--quiet", "FETCH_HEAD")
    assert git(clone, "describe") == "1.0.0"


def test_a_mirror_that_lacks_a_ref_is_refused_with_what_brings_it(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    git_mirrors.sync(folder, ["2026.1"], str(source), silent, tmp_path / "log")
    git(folder / "openstack/glance.git", "update-ref", "-d", "refs/heads/stable/2026.1")
    with pytest.raises(MirrorLacks) as caught:
        git_mirrors.check(folder, RELEASE)
    assert f"{folder} lacks stable/2026.1 of openstack/glance, which 2026.1 needs." in caught.value.cause
    assert f"./inv mirror sync --mirror={folder} --release=2026.1" in caught.value.remedy
    assert [row["what"] for row in git_mirrors.status(folder, RELEASE) if not row["has"]] == ["openstack/glance"]


def test_no_folder_and_no_server_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="cannot be used"):
        git_mirrors.check(tmp_path / "nowhere", RELEASE)
    with pytest.raises(GitUnreachable) as caught:
        git_mirrors.reachable(str(tmp_path / "nowhere"))
    assert "does not appear to be a git repository" in caught.value.cause
    assert "--mirror=DIR" in caught.value.remedy


def test_a_commit_that_no_branch_leads_to(tmp_path: Path) -> None:
    """kilo's DevStack is known by its commit alone."""
    server = tmp_path / "source/openstack/devstack"
    server.mkdir(parents=True)
    git(server, "init", "--quiet")
    git(server, "commit", "--quiet", "--allow-empty", "--message=one")
    commit = git(server, "rev-parse", "HEAD")
    git(server, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(server, "commit", "--quiet", "--allow-empty", "--amend", "--message=other")
    git_mirrors._fetch(tmp_path / "m/openstack/devstack.git", str(server), commit, tmp_path / "log")
    assert git_mirrors.commit(tmp_path / "m", git_mirrors.Wanted("openstack/devstack", commit)) == commit


def test_a_mirror_that_the_machine_may_not_read_is_refused(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    git_mirrors.sync(folder, ["2026.1"], str(source), silent, tmp_path / "log")
    (folder / "openstack/nova.git/HEAD").chmod(0o600)
    with pytest.raises(BadFile) as caught:
        git_mirrors.check(folder, RELEASE)
    assert caught.value.remedy == f"chmod -R a+rX {folder}"


def test_the_commit_of_a_branch_or_tag_is_asked_from_the_repository_itself(source: Path) -> None:
    trove = source / "openstack/trove"
    assert git_mirrors.head(str(trove), "stable/2026.1") == git(trove, "rev-parse", "stable/2026.1")
    assert git_mirrors.head(str(trove), "1.0.0") == git(trove, "rev-parse", "1.0.0^{commit}"), (
        "the commit, not the tag"
    )
    with pytest.raises(GitUnreachable, match=r"it has no 9\.9"):
        git_mirrors.head(str(trove), "9.9")


def test_the_guest_agent_is_the_releases_own_and_settled_once(source: Path, tmp_path: Path) -> None:
    home = Home("x", tmp_path / "labs")
    spec = LabSpec(installer="devstack", release="2026.1", mirror=str(source))
    first = agent.from_git(home, spec.release, spec.mirror)
    assert first.commit == git(source / "openstack/trove", "rev-parse", "stable/2026.1")
    home.make()
    home.state["agent.commit"] = "0" * 40
    assert agent.from_git(home, spec.release, spec.mirror).commit == "0" * 40
    with_agent, plain = (trove.Recipe("trixie", a).key for a in (first, None))
    assert with_agent != plain
