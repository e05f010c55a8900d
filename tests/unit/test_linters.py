"""The linters are tests: what they refuse does not land."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint
ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "lab/install/templates"
MOST_LINES = 300
BY_RULE_ONE_FILE = "lab/core/errors.py"


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--quiet", "."],
        ["ruff", "format", "--check", "--quiet", "."],
        ["mypy", "--no-error-summary"],
    ],
    ids=lambda c: " ".join(c[:2]),
)
def test_python(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_arrows_between_packages_run_one_way() -> None:
    """The contracts of pyproject.toml: layers, and no circle anywhere."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_module_has_a_room_and_none_is_too_large() -> None:
    modules = sorted((ROOT / "lab").rglob("*.py"))
    assert [path.name for path in modules if path.parent == ROOT / "lab"] == ["__init__.py"]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert {path: count for path, count in lines.items() if count > MOST_LINES and path != BY_RULE_ONE_FILE} == {}


SHELL = re.compile(rb"#! ?(/usr)?/bin/(env )?(sh|bash|dash)\b")


def scripts() -> list[Path]:
    """Every shell script of the repository, known by its first line; of templates those that tests render."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    paths = [path for path in paths if TEMPLATES not in path.parents and path.is_file()]
    return [path for path in paths if SHELL.match(path.read_bytes()[:40])]


def test_shell() -> None:
    assert shutil.which("shellcheck"), "the linters need it: apt-get install shellcheck"
    done = subprocess.run(["shellcheck", *map(str, scripts())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
