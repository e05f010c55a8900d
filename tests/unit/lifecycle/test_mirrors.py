"""What a mirror keeps beside git: taken only where it was made from the same, carried whole, else one sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.config import catalog, settings
from lab.config.settings import LabSpec
from lab.containers import client
from lab.core.errors import BadFile, BadValue, MirrorLacks, MirrorStale, NoSuchLab, NothingKept, Unsupported
from lab.core.home import Home
from lab.core.job import Job
from lab.core.waits import silent
from lab.guest.guests import Guests
from lab.host import git_mirrors, pypi
from lab.install.devstack import installer, kept, limits
from lab.install.devstack.kept import Kept
from lab.lifecycle import assembly, labs, mirrors
from lab.lifecycle.lab import Lab
from lab.lifecycle.machine_steps import MachineSteps
from lab.lifecycle.mirrors import Request
from tests.unit.host.test_git_mirrors import git

RELEASE = catalog.load().release("2026.1")
SPEC = LabSpec(provider="docker", distro="debian13", release="2026.1", installer="devstack", hypervisor="docker")
NAME = "2026.1-debian13-docker"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """git's part of 2026.1."""
    folder = tmp_path_factory.mktemp("repositories")
    folder.chmod(0o755)
    for row in git_mirrors.wanted(RELEASE):
        repository = folder / f"{row.repository}.git"
        repository.mkdir(parents=True)
        git(repository, "init", "--quiet", "--bare", "--template=", "--initial-branch=master")
        tree = git(repository, "hash-object", "-w", "-t", "tree", "/dev/null")
        git(repository, "update-ref", f"refs/heads/{row.ref}", git(repository, "commit-tree", "-m", "x", tree))
    return folder


@pytest.fixture
def folder(repositories: Path, tmp_path: Path) -> Path:
    """A mirror with git's part alone."""
    return Path(shutil.copytree(repositories, tmp_path / "mirror"))


@pytest.fixture
def full(folder: Path) -> Path:
    """The same with wheels and images."""
    there = folder / "kept" / NAME
    for name in kept.KINDS:
        (there / name).mkdir(parents=True)
    (there / "wheels/nova-1-py3-none-any.whl").write_bytes(b"x" * (3 << 20))
    sums = {}
    for name in ("machine.tar", "trove-guest-abc.tar", "smoke-abc.tar"):
        (there / "images" / name).write_text(name)
        sums[name] = hashlib.sha256(name.encode()).hexdigest()
    guests = {"trove-guest": "abc", "smoke": "abc"}
    Kept(there, kept.key(folder, RELEASE), "trove-lab/devstack:abc", guests, sums).write()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home("off", tmp_path / "labs")
    home.make()
    return home


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def with_mirror(folder: Path, **more: str) -> LabSpec:
    return dataclasses.replace(SPEC, mirror=str(folder), **more)  # type: ignore[arg-type]


def test_a_lab_takes_what_its_mirror_keeps(full: Path, home: Home, cache: Path) -> None:
    made = Lab(home, with_mirror(full))
    assert MachineSteps(made).image_tag() == "trove-lab/devstack:abc"
    (guests,) = made.guests
    assert [image.key for image in (guests.trove, guests.smoke)] == ["abc", "abc"]
    assert not guests.trove.whole()
    guests.trove.build(Job(silent, home.log("x"), 10))
    assert guests.trove.path.read_text() == "trove-guest-abc.tar"
    assert guests.trove.whole()
    assert isinstance(made.installer, installer.DevStack)
    assert made.installer._taken == f"/opt/mirror/kept/{NAME}"
    assert "take the machine's image from the mirror" in {step.title for step in assembly.steps(made)}


def test_a_file_that_was_spoilt_on_the_way_is_not_taken(full: Path, home: Home, cache: Path) -> None:
    made = Lab(home, with_mirror(full))
    guest, there = made.guests[0].trove, full / "kept" / NAME / "images"
    (there / "trove-guest-abc.tar").write_text("trove-guest-abc.ta")
    with pytest.raises(BadFile, match="not the file that was kept"):
        guest.build(Job(silent, home.log("x"), 10))
    assert not guest.path.exists()
    (there / "machine.tar").unlink()
    (step,) = (step for step in assembly.steps(made) if step.name == "machine-image")
    with pytest.raises(BadFile, match=r"machine\.tar cannot be read: it is not the file that was kept"):
        step.run(silent)


def test_another_distribution_or_hypervisor_takes_nothing(full: Path, home: Home) -> None:
    assert kept.of(home, with_mirror(full)) is not None
    for other in ({"distro": "debian12"}, {"hypervisor": "qemu"}, {"release": "2025.2"}):
        assert kept.of(home, with_mirror(full, **other)) is None
    assert kept.of(home, SPEC) is None


def test_what_was_made_from_other_sources_is_refused(
    full: Path, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "recipe").write_text("new")
    with monkeypatch.context() as patched:
        patched.setattr(kept, "SOURCES", (*kept.SOURCES, tmp_path / "recipe"))
        with pytest.raises(MirrorStale):
            kept.of(home, with_mirror(full))
    assert kept.of(home, with_mirror(full)) is not None
    glance = full / "openstack/glance.git"
    tree = git(glance, "rev-parse", "stable/2026.1^{tree}")
    git(glance, "update-ref", "refs/heads/stable/2026.1", git(glance, "commit-tree", "-m", "newer", tree))
    with pytest.raises(MirrorStale) as caught:
        kept.of(home, with_mirror(full))
    assert f"./inv mirror keep --mirror={full} --name=LAB" in caught.value.remedy
    assert "other sources than now" in mirrors.status(full, ["2026.1"])[-1]["has"]


def test_it_is_settled_when_the_lab_is_first_made(full: Path, home: Home) -> None:
    home.state["kept"] = ""  # it was made where there was a network, and its mirror got wheels and images from it
    assert kept.of(home, with_mirror(full)) is None
    home.state["kept"] = "another"
    with pytest.raises(MirrorStale):
        kept.of(home, with_mirror(full))


def test_pip_and_apt_of_the_machine_ask_nobody(tmp_path: Path) -> None:
    from tests.unit.install.devstack.test_installer import files_for

    files = files_for(tmp_path, "docker", taken="/opt/mirror/kept/x")
    assert files["/etc/pip.conf"][0] == "[global]\nno-index = true\nfind-links = /opt/mirror/kept/x/wheels\n"
    assert files["/etc/apt/apt.conf.d/90trove-lab"][0].count("/dev/null") == 2
    files = files_for(tmp_path, "docker")
    assert "no-index" not in files["/etc/pip.conf"][0]
    assert "/etc/apt/apt.conf.d/90trove-lab" not in files


def test_git_alone_is_refused_at_once_where_no_index_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(requests, "head", refuse)
    monkeypatch.setattr(client, "usable", lambda: "no engine")
    with pytest.raises(NothingKept, match=rf"no {folder}/kept/{NAME}, and Python packages .* does not answer"):
        limits.check(with_mirror(folder))
    monkeypatch.setattr(requests, "head", lambda *_, **__: None)
    limits.check(with_mirror(folder))


def test_an_answer_of_any_kind_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def untrusted(url: str, **_: Any) -> None:
        asked.append(url)
        raise requests.exceptions.SSLError

    monkeypatch.setattr(requests, "head", untrusted)
    monkeypatch.setattr(pypi, "configuration", lambda: "[global]\nindex-url = https://one.example/simple x\n")
    assert pypi.unreachable() == ""
    assert asked == ["https://one.example/simple"]


def test_the_command_says_what_there_is(full: Path) -> None:
    rows = {row["what"]: row["has"] for row in mirrors.command(Request("status", str(full), ["2026.1"]), silent)}
    assert rows[f"wheels {NAME}"] == "1 files, 3 MiB"
    assert rows[f"images {NAME}"] == "3 files, 0 MiB"
    assert len(rows["openstack/nova"]) == 40


def test_it_travels_as_one_file(full: Path, tmp_path: Path) -> None:
    (full / "notes").write_text("not the mirror's")
    archive, there = tmp_path / "mirror.tar", tmp_path / "there"
    rows = mirrors.command(Request("export", str(full), archive=str(archive)), silent)
    # without names: the releases that it can serve
    assert mirrors.command(Request("import", str(there), archive=str(archive)), silent) == rows
    assert kept.read(there / "kept" / NAME) == dataclasses.replace(
        kept.read(full / "kept" / NAME) or Kept(there, "", "", {}, {}), folder=there / "kept" / NAME
    )
    assert not (there / "notes").exists()
    (tmp_path / "bad.tar").write_text("no tar")
    with pytest.raises(BadFile, match=r"bad\.tar cannot be read"):
        mirrors.bring(tmp_path / "bad.tar", there)


def test_what_is_imported_replaces_what_was_kept(full: Path, tmp_path: Path) -> None:
    archive = tmp_path / "mirror.tar"
    mirrors.export(full, archive)
    wheels, other = full / "kept" / NAME / "wheels", full / "kept/2025.2-debian12-docker/wheels"
    other.mkdir(parents=True)
    for folder in (wheels, other):
        (folder / "old.whl").touch()
    mirrors.bring(archive, full)
    assert [path.name for path in wheels.iterdir()] == ["nova-1-py3-none-any.whl"]
    assert (other / "old.whl").exists(), "the archive has nothing in its place"


def test_a_lab_made_from_a_mirror_adds_nothing_to_one(
    full: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.state["spec"] = settings.to_dict(with_mirror(full))
    monkeypatch.setattr(labs, "home_of", lambda _: home)
    with pytest.raises(Unsupported, match="was made from what the mirror"):
        mirrors.keep(full, "off", silent)


def test_git_alone_travels_and_is_said_to_be_alone(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "mirror.tar"
    mirrors.command(Request("export", str(folder), archive=str(archive)), silent)
    rows = mirrors.command(Request("import", str(tmp_path / "there"), archive=str(archive)), silent)
    assert [row["what"] for row in rows if not row["has"]] == ["wheels, debs, images"]


@pytest.mark.parametrize(
    ("wanted", "remedy"),
    [
        (Request("burn", "m"), "sync, keep, status, export, import"),
        (Request("sync", "", ["2026.1"]), "--mirror=DIR"),
        (Request("export", "m"), "--archive=FILE"),
        (Request("sync", "m"), "--release="),
    ],
)
def test_what_is_left_out_is_asked_for(wanted: Request, remedy: str) -> None:
    with pytest.raises(BadValue) as caught:
        mirrors.command(wanted, silent)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"key": "x", "machine": "x", "guests": [], "sums": {}}'])
def test_a_broken_record_is_one_sentence(full: Path, home: Home, text: str) -> None:
    (full / "kept" / NAME / "kept.json").write_text(text)
    with pytest.raises(BadFile, match=r"kept\.json cannot be read"):
        kept.of(home, with_mirror(full))


class Halted:
    """A machine that is not running."""

    def status(self) -> str:
        return "halted"


def test_only_a_running_lab_of_devstack_can_be_kept(
    folder: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoSuchLab):
        mirrors.keep(folder, "nosuchlab", silent)
    monkeypatch.setattr(labs, "home_of", lambda _: home)
    monkeypatch.setattr(Lab, "machine", Halted())
    for spec, said in (
        (LabSpec(installer="packages"), "not made by DevStack"),
        (with_mirror(folder), "no running machine with OpenStack on it"),
    ):
        home.state["spec"] = settings.to_dict(spec)
        with pytest.raises(Unsupported, match=said):
            mirrors.keep(folder, "off", silent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MirrorLacks):
        mirrors.keep(tmp_path / "empty", "off", silent)


class Elsewhere:
    """A lab, and its installer, whose nova was cloned at the commit ``nova``."""

    spec = SPEC

    def __init__(self, nova: str) -> None:
        self.installer, self._nova = self, nova

    def commits(self) -> dict[str, str]:
        return {"commit of nova": self._nova}


def test_a_lab_of_other_commits_than_the_mirrors_is_seen(folder: Path) -> None:
    assert mirrors._differing(folder, Elsewhere("0" * 40)) == "openstack/nova"  # type: ignore[arg-type]
    commit = git_mirrors.commit(folder, git_mirrors.Wanted("openstack/nova", "stable/2026.1"))
    assert mirrors._differing(folder, Elsewhere(commit or "")) == ""  # type: ignore[arg-type]


@dataclasses.dataclass
class Guest:
    """A guest image in the cache."""

    name: str
    path: Path
    key: str = "new"


def test_kept_again_it_replaces_what_was_kept(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Made:
        """A lab's parts."""

        guests = (Guests(*(Guest(name, tmp_path / f"{name}-new.tar") for name in ("trove-guest", "smoke"))),)  # type: ignore[arg-type]

    def packages(_: Lab, part: Path) -> None:
        (part / "debs").mkdir()
        (part / "wheels").mkdir(mode=0o700)
        (part / "wheels/nova-2-py3-none-any.whl").touch(0o600)

    for name in ("trove-guest", "smoke"):
        (tmp_path / f"{name}-new.tar").write_text(name)
    monkeypatch.setattr(mirrors, "_packages", packages)
    monkeypatch.setattr(MachineSteps, "image_tag", lambda _: "trove-lab/devstack:new")
    monkeypatch.setattr(client, "save", lambda tag, target: target.write_text(tag))
    there = full / "kept" / NAME
    mirrors._keep(there, "key", Made(), silent)  # type: ignore[arg-type]
    assert sorted(path.name for path in there.glob("*/*")) == [
        "machine.tar",
        "nova-2-py3-none-any.whl",
        "smoke-new.tar",
        "trove-guest-new.tar",
    ]
    found = kept.read(there)
    assert found is not None
    assert (found.key, found.machine) == ("key", "trove-lab/devstack:new")
    assert found.guests == {"trove-guest": "new", "smoke": "new"}
    assert found.sums["smoke-new.tar"] == hashlib.sha256(b"smoke").hexdigest()
    git_mirrors.check(full, RELEASE)  # all of it is readable to others
