"""Keys of content: what makes an image is in its key, whatever file it is written in, and nothing absent is."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.build.content_key import content
from lab.core.home import Home
from lab.core.resources import PACKAGE, RESOURCES
from lab.guest import sources
from lab.install.devstack import kept
from lab.machine import warm


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "moved.py")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "empty")


def test_compiled_files_are_no_content(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    before = content(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert content(tmp_path) == before


def imported_by(path: Path) -> Iterator[Path]:
    """The modules of lab that a module imports, as files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lab."):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                file = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
                if file.is_file():
                    yield file


def needed_by(*modules: Path) -> set[Path]:
    """Those modules, and all that they import, and so on; but for the core and the doctor."""
    found, left = set(), list(modules)
    while left:
        path = left.pop()
        if path not in found and path.relative_to(PACKAGE).parts[0] not in {"core", "doctor"}:
            found.add(path)
            left += imported_by(path)
    return found


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package and its data as a copy, which the warm image's key is made of."""
    for name in ("lab", *warm.DATA):
        source = RESOURCES / name
        target = tmp_path / "project" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    monkeypatch.setattr(warm, "PACKAGE", tmp_path / "project/lab")
    monkeypatch.setattr(warm, "RESOURCES", tmp_path / "project")
    return tmp_path / "project"


def test_a_change_in_whatever_makes_a_lab_makes_another_warm_image(copy: Path, tmp_path: Path) -> None:
    home = Home("a", tmp_path)
    provisioning = needed_by(PACKAGE / "lifecycle/assembly.py", PACKAGE / "lifecycle/up.py")
    assert {"access.py", "trove.py", "glance.py", "packages.py", "installer.py", "first_database.py"} <= {
        path.name for path in provisioning
    }
    before, same = warm.tag(home, "x"), []
    for module in sorted(provisioning):
        file = copy / module.relative_to(PACKAGE.parent)
        text = file.read_text()
        file.write_text(text + "\n# changed")
        if warm.tag(home, "x") == before:
            same.append(module)
        file.write_text(text)
    assert same == []
    assert warm.tag(home, "x") == before
    assert warm.tag(home, "y") != before


def test_a_warm_image_is_of_its_templates_and_scripts_too(copy: Path, tmp_path: Path) -> None:
    home = Home("a", tmp_path)
    names = ["install/templates/etc/nova/nova.conf", "install/scripts/first.sh", "config/catalog.toml"]
    names = [*(f"lab/{name}" for name in names), "localconf/local.conf.j2", "novadriver/nova/virt/docker/driver.py"]
    for name in names:
        before = warm.tag(home)
        (copy / name).write_text("changed")
        assert warm.tag(home) != before, name


@pytest.mark.parametrize("module", ["guest/trove.py", "guest/smoke.py"])
def test_a_guest_image_is_of_all_that_makes_it(module: str) -> None:
    """The client of Docker and the host's mirrors carry and fetch; what they bring is hashed where it is used."""
    makes = {path for path in needed_by(PACKAGE / module) if path.relative_to(PACKAGE).parts[0] in {"build", "guest"}}
    keyed = {path for source in sources.SOURCES if source.is_dir() for path in source.rglob("*.py")}
    assert makes <= keyed
    assert set(sources.SOURCES) <= set(kept.SOURCES)
