"""OpenStack from wheels: locks that pip can hold to, an agent out of them, and units for what scripts start."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from lab.config import catalog
from lab.core.errors import CommandFailed
from lab.core.job import Job
from lab.core.resources import RESOURCES
from lab.guest import agent
from lab.guest.agent import WheelAgent
from lab.install import packages
from lab.install.wheels.units import UNITS
from tests.golden import same

RELEASES = tuple(catalog.load().installers["wheels"].locks)
OTHERS = {*packages.LIBVIRT_UNITS, "ovn-host", "trove-lab-network"}
"""Of the units that the steps start: not OpenStack's."""


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_has_a_lock_with_hashes_and_no_addresses(release: str) -> None:
    text = (RESOURCES / "locks" / f"{release}.lock").read_text()
    pinned = re.findall(r"^([\w.-]+)==\S+((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[^\s#]", text, re.MULTILINE)) > 150
    asked = re.findall(r"^([\w-]+)", (RESOURCES / "locks" / f"{release}.in").read_text(), re.MULTILINE)
    assert {name.lower() for name in asked} < {name for name, _ in pinned}
    assert "://" not in text
    assert "/" not in re.sub(r"locks/\S+|#.*", "", text), "a path of the machine that made it"


def test_every_service_that_the_steps_start_has_a_unit() -> None:
    assert {unit.name for unit in UNITS} == set(packages.UNITS) - OTHERS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_golden(unit: object) -> None:
    file = unit.file("/opt/openstack")  # type: ignore[attr-defined]
    same(f"install/wheels{file.path}", file.text)


def wheel(folder: Path, version: str) -> str:
    """A wheel of a small Trove in ``folder``; its line of a lock."""
    path = folder / f"trove-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("trove/__init__.py", f"version = {version!r}\n")
        file.writestr(
            f"trove-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: trove\nVersion: {version}\n"
        )
        file.writestr(
            f"trove-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"trove-{version}.dist-info/RECORD", "")
    return f"trove=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_guest_s_agent_is_the_one_of_the_lock(index: Path, tmp_path: Path) -> None:
    wheel(index, "1.0")
    found, target = WheelAgent(wheel(index, "2.0")), tmp_path / "target"
    target.mkdir()
    found.fetch(target, Job(lambda text: None, tmp_path / "log", 60))
    assert (target / "trove/__init__.py").read_text() == "version = '2.0'\n"
    assert found.ref == "2.0"


def test_an_agent_that_is_not_the_locked_one_is_refused(index: Path, tmp_path: Path) -> None:
    line = wheel(index, "2.0")
    other = line.replace(line[-10:-1], "000000000")
    with pytest.raises(CommandFailed, match="hash"):
        WheelAgent(other).fetch(tmp_path, Job(lambda text: None, tmp_path / "log", 60))


@pytest.mark.parametrize("release", RELEASES)
def test_the_lock_s_line_of_trove_is_found_whole(release: str) -> None:
    found = agent.from_lock(release)
    assert re.fullmatch(r"trove==\d[\d.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", found.requirement)
    assert found.key != agent.WheelAgent("trove==1.0\n").key
